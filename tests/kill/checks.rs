//! What must hold when everything has settled, read from the chain, the sealers, the operator's interface, the client's
//! protocol and the disk.

use super::life::{Place, contents};
use super::{Order, Way, World};
use crate::harness::wait_within;
use coracle::client::deal;
use coracle::deal::Checkpoint;
use coracle::filecoin::market_actor::{PUBLISH_STORAGE_DEALS, decode_publish};
use coracle::store::{Redb, Store};
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

/// The client sees the deal sealed.
pub fn proves(world: &World, order: &Order, place: &Place, patience: Duration) {
    let request = deal::status_request(order.uuid(), &world.client.key);
    wait_within("Proving", patience, || {
        let asked = world
            .client
            .node
            .status(place.peer, &place.addresses, &request);
        let response = smol::block_on(asked).ok()?;
        let status = response
            .status
            .unwrap_or_else(|| panic!("lost: {}", response.error));
        assert_ne!(status.status, "Complete", "failed: {}", status.error);
        (status.sealing_status == "Proving").then(|| {
            assert_eq!(status.status, "IndexedAndAnnounced");
            assert_eq!(status.error, "");
        })
    });
}

/// One deal on chain for each proposal, one message that brought it, one piece at its miner's sealer.
pub fn chain_and_sealers(world: &World, orders: &[Order]) {
    let on_chain = world.net.devnet.deals();
    assert_eq!(on_chain.len(), orders.len(), "deals on chain");
    let published: Vec<_> = world
        .net
        .devnet
        .received_messages()
        .iter()
        .filter(|signed| signed.message.method == PUBLISH_STORAGE_DEALS)
        .flat_map(|signed| decode_publish(&signed.message.params).unwrap())
        .map(|signed| signed.proposal.piece_cid)
        .collect();
    assert_eq!(published.len(), orders.len(), "deals in publish messages");
    for order in orders {
        let piece = order.car.piece_cid;
        let times = published.iter().filter(|cid| **cid == piece).count();
        assert_eq!(times, 1, "publish messages with {piece}");
        let mut same = on_chain
            .iter()
            .filter(|(_, deal)| deal.proposal.piece_cid == piece);
        let (id, deal) = same.next().unwrap();
        assert!(same.next().is_none(), "deals on chain with {piece}");
        assert_eq!(deal.proposal.provider, world.net.miners[order.miner]);
        assert_eq!(
            world.net.pieces_of(order.miner, *id),
            1,
            "pieces of {piece}"
        );
        assert_eq!(world.net.pieces_of(1 - order.miner, *id), 0);
    }
    let pieces = |miner: usize| {
        let sectors = world.net.devnet.sectors(miner);
        let pieces = sectors.iter().flat_map(|sector| &sector.pieces);
        pieces.filter(|piece| piece.deal.is_some()).count()
    };
    assert_eq!(pieces(0) + pieces(1), orders.len(), "pieces at the sealers");
}

/// The operator sees the deal as the chain and the sealer have it, every step of it once, and its piece is served.
pub fn as_the_operator_sees_it(world: &World, order: &Order, place: &Place) {
    let uuid = order.uuid();
    let shown = place
        .admin("GET", &format!("/v1/deals/{uuid}"), None)
        .unwrap();
    let on_chain = world.net.devnet.deals();
    let (id, _) = on_chain
        .iter()
        .find(|(_, deal)| deal.proposal.piece_cid == order.car.piece_cid)
        .unwrap();
    assert_eq!(shown["checkpoint"], "IndexedAndAnnounced");
    assert_eq!(shown["chain_deal_id"], *id);
    assert_eq!(shown["sealing"], "Proving");
    assert_eq!(shown["error"], "");
    assert_eq!(shown["retry"], "");
    assert_eq!(shown["bytes_received"], order.car.bytes.len());
    let sectors = world.net.devnet.sectors(order.miner);
    let sector = sectors.iter().find(|sector| {
        let mut deals = sector.pieces.iter().filter_map(|piece| piece.deal.as_ref());
        deals.any(|deal| deal.deal_id == *id)
    });
    assert_eq!(shown["sector"], sector.unwrap().number);

    let log = place
        .admin("GET", &format!("/v1/deals/{uuid}/log"), None)
        .unwrap();
    let lines = log["lines"].as_array().unwrap();
    let count = |text: &str| {
        let texts = lines.iter().filter_map(|line| line["text"].as_str());
        texts.filter(|line| line.starts_with(text)).count()
    };
    assert_eq!(count("accepted: "), 1, "{log}");
    for checkpoint in [
        Checkpoint::Transferred,
        Checkpoint::Published,
        Checkpoint::PublishConfirmed,
        Checkpoint::AddedPiece,
        Checkpoint::IndexedAndAnnounced,
    ] {
        let text = format!("reached {checkpoint}");
        assert_eq!(count(&text), 1, "{text} of {uuid}: {log}");
    }

    let url = format!("http://{}/piece/{}", place.http, order.car.piece_cid);
    let answer = ureq::get(&url).call();
    if order.params.remove_unsealed {
        assert!(answer.is_err(), "{url} is still served");
    } else {
        let mut body = Vec::new();
        let mut reader = answer.unwrap().into_body().into_reader();
        reader.read_to_end(&mut body).unwrap();
        assert!(body == *order.car.bytes, "{url}");
    }
}

/// Every file has its record and every record its files.
pub fn disk(world: &World, orders: &[Order]) {
    let home = world.scratch.join("home");
    assert_eq!(names(&home.join("staging")), BTreeSet::new());
    let store = Redb::open(&home.join("coracle.redb"), 1 << 20).unwrap();
    assert!(store.live().unwrap().is_empty(), "live deals");
    let kept = store.pieces().unwrap();
    let wanted = orders.iter().filter(|order| !order.params.remove_unsealed);
    assert_eq!(kept.len(), wanted.count(), "kept pieces");
    let pieces = home.join("pieces");
    // The mark that the directory is ours.
    let mut owned = BTreeSet::from([".coracle-pieces".to_owned()]);
    for (_, piece) in kept {
        let index = Path::new(&piece.index);
        for file in [
            Path::new(&piece.path).to_owned(),
            index.to_owned(),
            coracle::piece::index_file::sizes_path(index),
        ] {
            assert!(file.exists(), "{} is missing", file.display());
            if file.parent() == Some(&pieces) {
                owned.insert(file.file_name().unwrap().to_string_lossy().into_owned());
            }
        }
    }
    assert_eq!(names(&pieces), owned, "files in the piece store");
    for order in orders {
        assert_eq!(store.save_point(order.uuid()).unwrap(), None);
        // The operator's file stays where it was, unless it was given away.
        let stays = match order.way {
            Way::Import { delete_after } => !delete_after,
            Way::Download => true,
        };
        let there = contents(&order.car.path);
        assert_eq!(there.is_some(), stays, "{}", order.car.path.display());
        assert!(there.is_none_or(|bytes| bytes == *order.car.bytes));
    }
}

fn names(directory: &Path) -> BTreeSet<String> {
    std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}
