use super::*;
use crate::chain::outcome::position;
use crate::filecoin::market_actor::{self, PublishReturn};
use crate::filecoin::{bitfield, json as form};
use cid::Cid;
use std::cell::RefCell;
use std::sync::{Arc, Mutex};

fn cid(n: u8) -> Cid {
    cids::chain_cid(&[n])
}

/// What the fake chain knows of one publish message.
#[derive(Clone)]
struct Published {
    executed: Cid,
    exit_code: i64,
    /// Height of the execution.
    epoch: i64,
    deals: Vec<ClientDealProposal>,
    returned: Vec<u8>,
}

/// IDs 70,000 and up for the positions in `valid`.
fn returned(valid: &[u64]) -> Vec<u8> {
    let ranges = bitfield::decode(&bitfield::encode(valid), 100).unwrap();
    let ids = (0..valid.len() as u64).map(|n| 70_000 + n).collect();
    PublishReturn { ids, valid: ranges }.encode()
}

fn search(published: Published) -> Server {
    node(move |method, params| match method {
        "ChainHead" => Reply::Result(head(1000)),
        "StateSearchMsg" => {
            assert_eq!(
                params[0],
                head_key(),
                "the search starts at the head it is measured from"
            );
            assert_eq!((&params[2], &params[3]), (&json!(-1), &json!(true)));
            assert_eq!(params.as_array().unwrap().len(), 4);
            Reply::Result(json!({
                "Message": form::from_cid(Some(&published.executed)),
                "Receipt": {"ExitCode": published.exit_code, "Return": form::from_bytes(&published.returned), "GasUsed": 1},
                "ReturnDec": null,
                "TipSet": head_key(),
                "Height": published.epoch,
            }))
        }
        "ChainGetMessage" => {
            assert_eq!(params[0], form::from_cid(Some(&published.executed)));
            let bytes = market_actor::encode_publish(&published.deals);
            Reply::Result(json!({
                "Version": 0, "To": "f05", "From": "f01001", "Nonce": 1, "Value": "0", "GasLimit": 1,
                "GasFeeCap": "1", "GasPremium": "1", "Method": 4, "Params": form::from_bytes(&bytes),
                "CID": form::from_cid(Some(&cid(77))),
            }))
        }
        "StateLookupID" => {
            // Keys 1 to 9 are the actors 5001 to 5009.
            let number = (1..=9_u8).find(|n| params[0] == key(*n).address().to_string());
            match number {
                Some(number) => Reply::Result(json!(format!("f0{}", 5000 + u64::from(number)))),
                None => Reply::Error(200, 11, "actor not found"),
            }
        }
        other => unknown(other),
    })
}

fn deals(count: u8) -> Vec<ClientDealProposal> {
    (1..=count)
        .map(|n| signed(proposal(&key(n).address(), &id(1234), n), &key(n)))
        .collect()
}

fn proposals(deals: &[ClientDealProposal]) -> Vec<DealProposal> {
    deals.iter().map(|d| d.proposal.clone()).collect()
}

#[test]
fn deal_ids_go_by_rank_among_the_valid_ones() {
    let all = deals(4);
    let published = Published {
        executed: cid(1),
        exit_code: 0,
        epoch: 990,
        deals: all.clone(),
        returned: returned(&[0, 2, 3]),
    };
    let server = search(published);
    // Asked in another order, and with one that is not in the message.
    let mut asked = proposals(&all);
    asked.reverse();
    asked.push(proposal(&key(9).address(), &id(1234), 99));
    let outcome = lotus(&server).outcome(&cid(1), &asked).unwrap();
    assert_eq!(
        outcome,
        Outcome::Executed {
            message: cid(1),
            depth: 10,
            epoch: 990,
            exit_code: 0,
            deals: vec![Some(70_002), Some(70_001), None, Some(70_000), None],
        }
    );
    assert!(
        !server.methods().contains(&"StateLookupID".to_owned()),
        "equal addresses need no look-up"
    );
}

#[test]
fn a_replaced_message_is_followed_to_the_one_that_was_executed() {
    let all = deals(1);
    let server = search(Published {
        executed: cid(2),
        exit_code: 0,
        epoch: 1000,
        deals: all.clone(),
        returned: returned(&[0]),
    });
    let outcome = lotus(&server).outcome(&cid(1), &proposals(&all)).unwrap();
    assert!(
        matches!(outcome, Outcome::Executed { message, depth: 0, deals, .. } if message == cid(2) && deals == [Some(70_000)])
    );
}

#[test]
fn addresses_are_compared_by_what_they_stand_for() {
    // The message names key 1's actor by its ID.
    let mut sent = deals(2);
    sent[0].proposal.client = id(5001);
    let server = search(Published {
        executed: cid(1),
        exit_code: 0,
        epoch: 1000,
        deals: sent,
        returned: returned(&[0, 1]),
    });
    let asked = proposals(&deals(2));
    let outcome = lotus(&server).outcome(&cid(1), &asked).unwrap();
    assert!(
        matches!(outcome, Outcome::Executed { deals, .. } if deals == [Some(70_000), Some(70_001)])
    );
    let look_ups = server
        .methods()
        .iter()
        .filter(|m| *m == "StateLookupID")
        .count();
    assert_eq!(look_ups, 1);
}

#[test]
fn every_field_counts() {
    let base = proposal(&id(5001), &id(1234), 1);
    let changes: [fn(&mut DealProposal); 11] = [
        |p| p.piece_cid = cids::piece_cid(&[9; 32]),
        |p| p.piece_size = 4096,
        |p| p.verified = true,
        |p| p.client = id(1),
        |p| p.provider = id(2),
        |p| p.label = Label::Bytes(b"label".to_vec()),
        |p| p.start_epoch += 1,
        |p| p.end_epoch += 1,
        |p| p.price_per_epoch = atto(1),
        |p| p.provider_collateral = atto(1),
        |p| p.client_collateral = atto(1),
    ];
    let mut own = |address: &Address| Ok(address.clone());
    for (number, change) in changes.iter().enumerate() {
        let mut other = base.clone();
        change(&mut other);
        assert_eq!(
            position(&[other.clone()], &base, &mut own),
            Ok(None),
            "{number}"
        );
        assert_eq!(
            position(&[other, base.clone()], &base, &mut own),
            Ok(Some(1)),
            "{number}"
        );
    }
}

#[test]
fn a_failed_message_has_no_deals_and_is_not_read_further() {
    let server = search(Published {
        executed: cid(1),
        exit_code: 16,
        epoch: 900,
        deals: Vec::new(),
        returned: Vec::new(),
    });
    let outcome = lotus(&server)
        .outcome(&cid(1), &proposals(&deals(2)))
        .unwrap();
    assert_eq!(
        outcome,
        Outcome::Executed {
            message: cid(1),
            depth: 100,
            epoch: 900,
            exit_code: 16,
            deals: vec![None, None],
        }
    );
    assert!(!server.methods().contains(&"ChainGetMessage".to_owned()));
}

#[test]
fn pending_unknown_and_failed_searches_differ() {
    type Check = fn(Result<Outcome, ChainError>) -> bool;
    let table: [(fn() -> Reply, Check); 4] = [
        (|| Reply::Result(Value::Null), |r| r == Ok(Outcome::Pending)),
        (
            || {
                Reply::Error(
                    200,
                    1,
                    "failed to load message: bafy2bza: ipld: could not find bafy2bza",
                )
            },
            |r| r == Ok(Outcome::Unknown),
        ),
        (
            || Reply::Error(200, 1, "failed to load tipset"),
            |r| matches!(r, Err(ChainError::Refused { .. })),
        ),
        (
            || Reply::Error(200, -32603, "timeout"),
            |r| matches!(r, Err(ChainError::Refused { .. })),
        ),
    ];
    for (number, (reply, check)) in table.into_iter().enumerate() {
        let server = node(move |method, _| match method {
            "ChainHead" => Reply::Result(head(1000)),
            "StateSearchMsg" => reply(),
            other => waiting(other, 7),
        });
        let result = lotus(&server).outcome(&cid(1), &proposals(&deals(1)));
        assert!(check(result.clone()), "{number}: {result:?}");
    }
}

/// A node that knows a message with nonce 7 of a sender whose next nonce on chain is this.
fn waiting(method: &str, next: u64) -> Reply {
    match method {
        "ChainGetMessage" => {
            Reply::Result(json!({"To": "f05", "From": "f01001", "Nonce": 7, "Params": "gYA="}))
        }
        "StateGetActor" => Reply::Result(json!({"Nonce": next, "Balance": "0"})),
        "ChainGetTipSetByHeight" => {
            Reply::Error(200, 1, "lookbacks of more than 24h0m0s are disallowed")
        }
        other => unknown(other),
    }
}

#[test]
fn a_message_whose_nonce_is_used_is_not_pending_for_ever() {
    let server = node(|method, _| match method {
        "ChainHead" => Reply::Result(head(100_000)),
        "StateSearchMsg" => Reply::Result(Value::Null),
        other => waiting(other, 8),
    });
    let result = lotus(&server).outcome(&cid(1), &proposals(&deals(1)));
    assert_eq!(result, Ok(Outcome::Unknown));
}

#[test]
fn a_message_of_another_kind_or_an_unreadable_result_is_malformed() {
    let all = deals(1);
    let good = Published {
        executed: cid(1),
        exit_code: 0,
        epoch: 1000,
        deals: all.clone(),
        returned: returned(&[0]),
    };
    let mut unreadable = good.clone();
    unreadable.returned = vec![0x82];
    let result = lotus(&search(unreadable)).outcome(&cid(1), &proposals(&all));
    assert!(
        matches!(result, Err(ChainError::Malformed(_))),
        "{result:?}"
    );
    for change in [
        json!({"Method": 0}),
        json!({"To": "f01"}),
        json!({"Params": "AA=="}),
    ] {
        let change = Arc::new(Mutex::new(change));
        let returned = good.returned.clone();
        let all = all.clone();
        let server = node(move |method, _| match method {
            "ChainHead" => Reply::Result(head(1000)),
            "StateSearchMsg" => Reply::Result(json!({
                "Message": form::from_cid(Some(&cid(1))), "Height": 999,
                "Receipt": {"ExitCode": 0, "Return": form::from_bytes(&returned)},
            })),
            _ => {
                let bytes = market_actor::encode_publish(&all);
                let mut message = json!({
                    "Version": 0, "To": "f05", "From": "f01001", "Nonce": 1, "Value": "0", "GasLimit": 1,
                    "GasFeeCap": "1", "GasPremium": "1", "Method": 4, "Params": form::from_bytes(&bytes),
                });
                for (name, value) in change.lock().unwrap().as_object().unwrap() {
                    message[name] = value.clone();
                }
                Reply::Result(message)
            }
        });
        let result = lotus(&server).outcome(&cid(1), &proposals(&deals(1)));
        assert!(
            matches!(result, Err(ChainError::Malformed(_))),
            "{result:?}"
        );
    }
}

#[test]
fn addresses_are_looked_up_only_when_the_terms_agree() {
    let asked = proposal(&key(1).address(), &id(1234), 1);
    let mut sent = asked.clone();
    sent.client = id(5001);
    let mut different = sent.clone();
    different.piece_size = 4096;
    let looked = RefCell::new(0);
    let mut resolve = |address: &Address| {
        *looked.borrow_mut() += 1;
        Ok(if *address == key(1).address() {
            id(5001)
        } else {
            address.clone()
        })
    };
    let found = position(&[different, sent], &asked, &mut resolve);
    assert_eq!(found, Ok(Some(1)));
    assert_eq!(looked.into_inner(), 2);
}
