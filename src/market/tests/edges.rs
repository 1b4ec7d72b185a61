//! The edge cases of acceptance that need a provider, by their numbers in spec boost-mk12 12. The list of all of them is at
//! the head of `deal/tests/edges.rs`.

use super::world::{Running, World, car, wait};
use crate::deal::tests::samples::{self, uuid};
use crate::store::{Listing, Store};
use crate::wire::DealParams;
use serde_json::Value;

async fn told(running: &Running, params: &DealParams) -> String {
    let answer = running.propose(params).await;
    assert!(!answer.accepted);
    answer.message
}

#[test]
fn edge_50_a_known_proposal_and_a_known_uuid_are_refused() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let params = world.online(1);
        running.accepted(&params).await;
        let mut renamed = params.clone();
        renamed.uuid = uuid(2);
        let text = told(&running, &renamed).await;
        let expected = format!(
            "deal proposal is identical to deal {} (proposed at ",
            uuid(1)
        );
        assert!(text.starts_with(&expected), "{text}");
        let mut other = world.online(3);
        other.uuid = params.uuid;
        let text = told(&running, &other).await;
        let expected = format!("deal has the same uuid as deal {} (proposed at ", uuid(1));
        assert!(text.starts_with(&expected), "{text}");
    });
}

#[test]
fn edge_51_of_two_identical_proposals_in_flight_one_lives() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        world.server.stall_after(100);
        let params = world.online(1);
        let mut renamed = params.clone();
        renamed.uuid = uuid(2);
        let (first, second) = futures::join!(running.propose(&params), running.propose(&renamed));
        assert!(first.accepted != second.accepted, "{first:?} {second:?}");
        let winner = if first.accepted { uuid(1) } else { uuid(2) };
        let listing = Listing {
            limit: 10,
            ..Listing::default()
        };
        let listed = running.gate.list(&listing).unwrap().0;
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].uuid, winner);
        // The staging file and the tags are the winner's, and stay.
        wait("the staging file", || {
            world
                .staged()
                .contains(&format!("{winner}.car"))
                .then_some(())
        })
        .await;
        world.server.release();
        running.until_sealed(winner).await;
        assert_eq!(world.sealer().state().added.len(), 1);
    });
}

#[test]
fn edge_53_a_host_with_its_port_is_another_host() {
    let mut world = World::new();
    let size = car(1).len() as u64;
    world.terms(|terms| {
        // One and a half deals from each host.
        terms.staging_bytes_max = 150 * size;
        terms.staging_host_percent = 1;
    });
    world.run(async {
        let running = world.start().await;
        // Nobody listens there: the deals keep their space.
        let at = |number: u8, url: &str| {
            let mut params = world.online(number);
            params.transfer.params = samples::transfer_params(url);
            params
        };
        running.accepted(&at(1, "http://127.0.0.1/a.car")).await;
        assert_eq!(
            told(&running, &at(2, "http://127.0.0.1/b.car")).await,
            "server error: provider has no space left for storage deals"
        );
        running.accepted(&at(2, "http://127.0.0.1:80/b.car")).await;
        assert_ne!(
            told(&running, &at(3, "http://127.0.0.1:80/c.car")).await,
            ""
        );
    });
}

#[test]
fn edge_55_a_filter_s_output_is_the_reason() {
    for (command, expected) in [
        ("echo nope; exit 1", "nope\n"),
        ("printf nope >&2; exit 1", "nope"),
        ("exit 1", ""),
        ("printf before; kill -9 $$", "before"),
        ("kill -9 $$", ""),
        ("exit 255", ""),
    ] {
        let mut world = World::new();
        world.filter(command);
        world.run(async {
            let running = world.start_filtering().await;
            assert_eq!(
                told(&running, &world.online(1)).await,
                expected,
                "{command}"
            );
        });
    }
    let mut world = World::new();
    world.filter("echo I do not mind; exit 0");
    world.run(async {
        let running = world.start_filtering().await;
        let uuid = running.accepted(&world.online(1)).await;
        running.until_sealed(uuid).await;
    });
}

#[test]
fn edge_56_the_filter_reads_the_deal_and_no_credentials() {
    let mut world = World::new();
    let seen = world.path("seen.json");
    world.filter(&format!("cat > '{}'", seen.display()));
    world.run(async {
        let running = world.start_filtering().await;
        let params = world.online(1);
        assert!(String::from_utf8_lossy(&params.transfer.params).contains("Bearer hidden"));
        running.accepted(&params).await;
        let text = std::fs::read_to_string(&seen).unwrap();
        assert!(
            !text.contains("hidden") && !text.contains("http://"),
            "{text}"
        );
        let seen: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(seen["DealUUID"], uuid(1).to_string());
        assert_eq!(seen["Transfer"]["Params"], "");
        assert_eq!(seen["Transfer"]["Size"], params.transfer.size);
        assert_eq!(seen["FormatVersion"], "2.2.0");
        assert_eq!(seen["SealingPipelineState"]["SectorStates"]["Packing"], 2);
        assert_eq!(seen["FundsState"]["Escrow"]["Tagged"], "0");
        assert_eq!(seen["FundsState"]["Escrow"]["Available"], "1000000");
        // The next deal sees what this one holds.
        running.accepted(&world.online(2)).await;
    });
}
