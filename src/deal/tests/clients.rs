//! One client, however its address is written: lists and quotas.

use super::samples::{HEAD, atto, client_id, client_key, miner, online, uuid};
use crate::deal::admit::{Room, admit};
use crate::deal::filter::filter;
use crate::deal::ledger::{Ledger, staging_of};
use crate::deal::{Client, Deal, Refusal, Terms};
use crate::filecoin::{Address, SecretKey};

fn stranger() -> Address {
    let key = SecretKey::secp256k1(&[9; 32]).expect("a valid scalar");
    key.address()
}

/// The sample deal, proposed with the client's ID address.
fn by_id() -> Deal {
    let mut deal = online();
    deal.signed.proposal.client = client_id();
    deal
}

fn refused(deal: &Deal, terms: &Terms) -> Option<Refusal> {
    filter(deal, HEAD, terms).err()
}

#[test]
fn a_denied_client_is_found_by_any_form_of_its_address() {
    for listed in [client_id(), client_key().address()] {
        let terms = Terms {
            clients_denied: [stranger(), listed].into(),
            ..Terms::default()
        };
        for deal in [online(), by_id()] {
            let refusal = refused(&deal, &terms).expect("denied");
            let told = format!(
                "miner is not accepting storage deals from client {}",
                deal.proposal().client
            );
            assert_eq!(refusal.client(), told);
            assert!(
                refusal
                    .log()
                    .contains("f02000, CORACLE_CLIENTS_DENIED names it")
            );
        }
    }
    let terms = Terms {
        clients_denied: [stranger()].into(),
        ..Terms::default()
    };
    assert_eq!(refused(&online(), &terms), None);
}

#[test]
fn an_allow_list_refuses_everybody_else() {
    for listed in [client_id(), client_key().address()] {
        let terms = Terms {
            clients_allowed: [listed].into(),
            ..Terms::default()
        };
        for deal in [online(), by_id()] {
            assert_eq!(refused(&deal, &terms), None);
        }
    }
    let terms = Terms {
        clients_allowed: [stranger()].into(),
        ..Terms::default()
    };
    let refusal = refused(&online(), &terms).expect("not allowed");
    assert!(
        refusal
            .log()
            .contains("CORACLE_CLIENTS_ALLOWED does not name it")
    );
}

#[test]
fn who_is_on_both_lists_is_denied() {
    let terms = Terms {
        clients_allowed: [client_id()].into(),
        clients_denied: [client_key().address()].into(),
        ..Terms::default()
    };
    assert!(refused(&online(), &terms).is_some());
}

#[test]
fn deals_of_one_client_are_counted_together() {
    let mut old = online();
    old.client_id = None;
    let mut foreign = online();
    foreign.client_id = Some(Address::id(2_001));
    foreign.client_key = stranger();
    foreign.signed.proposal.client = stranger();
    let mut offline = super::samples::offline();
    offline.request.size = 5_000;
    let deals = [online(), by_id(), old, foreign.clone(), offline];
    let held = |client: &Client| staging_of(deals.iter(), |deal| deal.is_of(client));
    // Its own by key, by ID, and that of a record without an ID; an offline deal holds nothing.
    assert_eq!(held(&online().client()), 6_000);
    assert_eq!(held(&by_id().client()), 6_000);
    assert_eq!(held(&foreign.client()), 2_000);
}

#[test]
fn an_old_record_of_another_client_is_not_counted() {
    let mut old = online();
    old.client_id = None;
    let other = Client {
        given: stranger(),
        key: stranger(),
        id: Address::id(2_001),
    };
    assert!(!old.is_of(&other));
}

fn room(client_staging: u64, host_staging: u64) -> Room {
    Room {
        same_proposal: None,
        same_uuid: None,
        head: HEAD,
        ledger: Ledger::default(),
        host_staging,
        client_staging,
        escrow_available: atto(10_i128.pow(18)),
        publish_balance: atto(10_i128.pow(18)),
        reserved_by_others: atto(0),
        disk_free: u64::MAX,
    }
}

fn told(room: &Room, terms: &Terms) -> String {
    let deal = online();
    assert_eq!((deal.uuid, deal.request.size), (uuid(1), 2_000));
    assert_eq!(deal.miner(), &miner());
    admit(&deal, room, terms)
        .err()
        .map(|refusal| refusal.client().to_owned())
        .unwrap_or_default()
}

#[test]
fn a_client_s_quota_may_be_used_up_and_not_passed() {
    let terms = Terms {
        staging_client_bytes_max: 5_000,
        ..Terms::default()
    };
    assert_eq!(told(&room(3_000, 0), &terms), "");
    assert_eq!(
        told(&room(3_001, 0), &terms),
        "client has no staging space left: its deals hold 3001 of 5000 bytes, this one needs 2000"
    );
    assert_ne!(told(&room(u64::MAX, 0), &terms), "");
    assert_eq!(told(&room(u64::MAX, 0), &Terms::default()), "");
}

#[test]
fn a_host_s_share_is_rounded_down_and_may_not_be_used_up() {
    const FULL: &str = "server error: provider has no space left for storage deals";
    // 33 % of 10,001 are 3,300.33.
    let terms = Terms {
        staging_bytes_max: 10_001,
        staging_host_percent: 33,
        ..Terms::default()
    };
    assert_eq!(told(&room(0, 1_299), &terms), "");
    assert_eq!(told(&room(0, 1_300), &terms), FULL);
    // Either limit alone is none.
    let no_share = Terms {
        staging_host_percent: 0,
        ..terms.clone()
    };
    assert_eq!(told(&room(0, 1_300), &no_share), "");
    let no_area = Terms {
        staging_bytes_max: 0,
        ..terms
    };
    assert_eq!(told(&room(0, u64::MAX), &no_area), "");
    let huge = Terms {
        staging_bytes_max: u64::MAX,
        staging_host_percent: 100,
        ..Terms::default()
    };
    assert_eq!(told(&room(0, u64::MAX - 2_001), &huge), "");
    assert_eq!(told(&room(0, u64::MAX - 2_000), &huge), FULL);
}

#[test]
fn the_log_says_which_limit_it_was() {
    let refusal = |room: &Room, terms: &Terms| admit(&online(), room, terms).unwrap_err();
    let terms = Terms {
        staging_bytes_max: 10_000,
        staging_host_percent: 10,
        ..Terms::default()
    };
    let log = refusal(&room(0, 500), &terms).log().to_owned();
    for part in [
        "example.com",
        "500",
        "1000",
        "2000",
        "CORACLE_STAGING_HOST_PERCENT_MAX",
    ] {
        assert!(log.contains(part), "{log}");
    }
    let terms = Terms {
        staging_client_bytes_max: 100,
        ..Terms::default()
    };
    let log = refusal(&room(50, 0), &terms).log().to_owned();
    assert!(log.contains("CORACLE_STAGING_CLIENT_BYTES_MAX"), "{log}");
}
