//! What is read and what is not: cases 1 to 15 and 18 to 21.

use super::raw_client::message::{
    self, FALSE, NULL, Proposal, amount, array, bytes, field, map, raw_text, text, uint,
};
use super::{MK_1_2_0, MK_1_2_1, World};

/// How an amount is refused that was signed in another form than the shortest. The reference says "server error:
/// validating signature", as if it were its own fault.
const WRONG_SIGNATURE: &str = "failed validation: invalid signature";

#[test]
fn edge_1_five_keys_on_the_newer_protocol() {
    let world = World::new("edge-1");
    world.accepts(MK_1_2_1, &world.proposal().five());
    let uuid = uuid::Uuid::from_bytes(world.uuid());
    let deal = world.provider.deal(uuid);
    assert_eq!(deal["skip_announce"], false);
    assert_eq!(deal["remove_unsealed"], false);
    // On the older one they are at home.
    world.accepts(MK_1_2_0, &world.proposal().five());
}

#[test]
fn edge_3_keys_in_any_order() {
    let world = World::new("edge-3");
    for turn in 0..7 {
        let mut shuffled = world.proposal().entries();
        shuffled.rotate_left(turn);
        shuffled.swap(0, 5);
        world.accepts(MK_1_2_1, &map(&shuffled));
    }
}

#[test]
fn edge_4_an_unknown_key_with_a_nested_value() {
    let world = World::new("edge-4");
    let root = message::cid(&message::root_cid(&[1; 32]));
    let inner = array(&[root, NULL.to_vec(), map(&[("IsOffline", FALSE.to_vec())])]);
    for place in [0, 1, 7] {
        let mut entries = world.proposal().entries();
        entries.insert(place, ("Extra", map(&[("inner", inner.clone())])));
        world.accepts(MK_1_2_1, &map(&entries));
    }
}

#[test]
fn edge_5_the_last_of_a_repeated_key_wins() {
    let world = World::new("edge-5");
    // Were the last not taken, this were an online deal without a transfer.
    let mut last_true = world.proposal().entries();
    last_true.insert(0, ("IsOffline", FALSE.to_vec()));
    world.accepts(MK_1_2_1, &map(&last_true));
    // As it is here.
    let mut last_false = world.proposal().entries();
    last_false.push(("IsOffline", FALSE.to_vec()));
    let reason = world.refuses(&map(&last_false));
    assert!(reason.contains("transfer type ''"), "{reason}");
}

#[test]
fn edge_6_an_online_deal_without_a_transfer() {
    let world = World::new("edge-6");
    let mut online = world.proposal();
    online.offline = false;
    let without = |proposal: &Proposal| {
        let mut entries = proposal.entries();
        entries.retain(|(key, _)| *key != "Transfer");
        map(&entries)
    };
    let expected = "server error: get deal transfer host: cannot parse params for unrecognized transfer type ''";
    assert_eq!(world.refuses(&without(&online)), expected);
    assert_eq!(world.refuses(&online.seven()), expected);
    // Validation comes first.
    let broken = online.clone().with(field::PIECE_SIZE, uint(129));
    assert_eq!(
        world.refuses(&without(&broken)),
        "failed validation: proposal piece size is invalid: padded piece size must be a power of 2"
    );
    // An offline deal needs no transfer.
    world.accepts(MK_1_2_1, &without(&world.proposal()));
}

/// Malformed forms of a good proposal, under the case's number.
fn malformed(good: &Proposal) -> Vec<(u8, Vec<u8>)> {
    let mut rows = vec![(7, good.seven_with("Transfer", NULL.to_vec()))];
    for long in [&[0x18, 5][..], &[0x19, 0, 5], &[0x1a, 0, 0, 0, 5]] {
        let request = good.clone().with_transfer("Size", long.to_vec());
        rows.push((8, request.seven()));
    }
    let mut indefinite = good.seven();
    indefinite[0] = 0xbf;
    indefinite.push(0xff);
    rows.push((9, indefinite));
    for uuid in [bytes(&[1; 15]), bytes(&[1; 17]), text("0123456789abcdef")] {
        rows.push((10, good.seven_with("DealUUID", uuid)));
    }
    let as_map = map(&[
        ("Proposal", good.tuple()),
        ("ClientSignature", bytes(&good.wallet.sign(&good.tuple()))),
    ]);
    rows.push((11, good.seven_with("ClientDealProposal", as_map)));
    let (mut short, mut long) = (good.clone(), good.clone());
    short.fields.pop();
    long.fields.push(uint(0));
    rows.push((12, short.seven()));
    rows.push((12, long.seven()));
    let kind = text(&"t".repeat(8193));
    rows.push((13, good.clone().with_transfer("Type", kind).seven()));
    let params = bytes(&vec![b' '; (2 << 20) + 1]);
    rows.push((14, good.clone().with_transfer("Params", params).seven()));
    for signature in [vec![4; 66], vec![]] {
        let mut broken = good.clone();
        broken.signature = Some(signature);
        rows.push((15, broken.seven()));
    }
    let label = good.clone().with(field::LABEL, raw_text(&[0xff, 0xfe]));
    rows.push((16, label.seven()));
    let root = message::root_cid(&[7; 32]);
    let tagged = |tag: &[u8], content: &[u8]| [tag, &bytes(content)].concat();
    let with_zero = [&[0][..], &root].concat();
    for broken in [
        tagged(&[0xd8, 0x2a], &root),
        tagged(&[0xd8, 0x2b], &with_zero),
        tagged(&[], &with_zero),
    ] {
        rows.push((21, good.seven_with("DealDataRoot", broken.clone())));
        let request = good.clone().with(field::PIECE_CID, broken);
        rows.push((21, request.seven()));
    }
    rows
}

#[test]
fn edges_7_to_15_and_21_are_not_answered() {
    let world = World::new("edges-malformed");
    let good = world.proposal();
    for (case, request) in malformed(&good) {
        let answer = world.ask(MK_1_2_1, &request);
        assert!(answer.is_empty(), "case {case}: {answer:02x?}");
    }
    // None of it has left anything behind: the same deal is taken.
    world.accepts(MK_1_2_1, &good.seven());
    let (status, list) = world.provider.admin("GET", "/v1/deals", None);
    assert_eq!(status, 200);
    assert_eq!(list["deals"].as_array().unwrap().len(), 1, "{list}");
}

#[test]
fn edge_13_a_type_of_8192_bytes() {
    let world = World::new("edge-13");
    let kind = text(&"t".repeat(8192));
    let mut online = world.proposal().with_transfer("Type", kind);
    online.offline = false;
    let reason = world.refuses(&online.seven());
    let start = "server error: get deal transfer host: cannot parse params for unrecognized transfer type 'ttt";
    assert!(reason.starts_with(start), "{reason}");
}

#[test]
fn edge_14_params_of_2_mib() {
    let world = World::new("edge-14");
    let params = bytes(&vec![b' '; 2 << 20]);
    let largest = world.proposal().with_transfer("Params", params);
    world.accepts(MK_1_2_1, &largest.seven());
}

#[test]
fn edge_18_a_long_zero_signed_in_short() {
    let world = World::new("edge-18");
    let long_zero = || world.proposal().with(field::CLIENT_COLLATERAL, bytes(&[0]));
    let mut signed_short = long_zero();
    let short = signed_short
        .clone()
        .with(field::CLIENT_COLLATERAL, amount(0));
    signed_short.signed_fields = Some(short.fields.clone());
    world.accepts(MK_1_2_1, &signed_short.seven());
    // It is kept and shown in the form that was signed.
    let uuid = world.uuid();
    let answer = world.status(uuid, &world.wallet.sign(&uuid));
    let status = message::deal_status("Accepted", &short, None, "");
    let expected = message::status_response("", &uuid, (true, status), (0, 0));
    assert_eq!(answer, expected);
    // Signed as it was sent.
    assert_eq!(world.refuses(&long_zero().seven()), WRONG_SIGNATURE);
}

#[test]
fn edge_19_an_amount_signed_in_long() {
    let world = World::new("edge-19");
    let padded = bytes(&[0, 0, 1, 0x7d, 0x79]);
    let mut proposal = world.proposal().with(field::PRICE, padded);
    assert_eq!(world.refuses(&proposal.seven()), WRONG_SIGNATURE);
    // It was the signature, not the amount: over the short form it holds.
    let short = proposal.clone().with(field::PRICE, amount(97_657));
    proposal.signed_fields = Some(short.fields);
    world.accepts(MK_1_2_1, &proposal.seven());
}

#[test]
fn edge_20_a_negative_price() {
    let world = World::new("edge-20");
    for (magnitude, shown) in [(1, "-1"), (200, "-200")] {
        let negative = world.proposal().with(field::PRICE, bytes(&[1, magnitude]));
        assert_eq!(
            world.refuses(&negative.seven()),
            format!(
                "failed validation: storage price per epoch less than asking price: {shown} < 97656"
            )
        );
    }
}
