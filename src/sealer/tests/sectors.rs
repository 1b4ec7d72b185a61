use super::*;

#[test]
fn a_miner_names_its_actor() {
    let server = Server::start(|seen| {
        assert_eq!(
            (seen.path.as_str(), seen.method().as_str()),
            ("/rpc/v0", "ActorAddress")
        );
        Reply::Result(json!("f01234"))
    });
    assert_eq!(miner(&server).actor_address(), Ok(Address::id(1234)));
    for wrong in [json!(null), json!("<empty>"), json!("x"), json!(7)] {
        let server = Server::start(move |_| Reply::Result(wrong.clone()));
        assert!(matches!(
            miner(&server).actor_address(),
            Err(SealerError::Malformed(_))
        ));
    }
}

#[test]
fn a_sector_is_its_state_and_its_deals() {
    let server = Server::start(|seen| match seen.params().to_string().as_str() {
        "[1187,false]" => {
            Reply::Result(json!({"SectorID": 1187, "State": "WaitSeed", "Deals": [70_112_233, 0]}))
        }
        "[1188,false]" => Reply::Result(json!({"State": "", "Deals": null})),
        "[1189,false]" => Reply::Result(json!({"Deals": []})),
        _ => Reply::Error(200, 1, "sector not found"),
    });
    let miner = miner(&server);
    assert_eq!(
        miner.sector(1187),
        Ok(SectorStatus {
            state: "WaitSeed".to_owned(),
            deals: vec![70_112_233, 0]
        })
    );
    assert_eq!(miner.sector(1188).unwrap().deals, Vec::<u64>::new());
    assert!(matches!(miner.sector(1189), Err(SealerError::Malformed(_))));
    assert!(matches!(
        miner.sector(1190),
        Err(SealerError::Refused { code: 1, .. })
    ));
}

#[test]
fn the_summary_counts_sectors_by_state() {
    let table = [
        (json!({"Proving": 120, "WaitDeals": 1}), Some(2)),
        (json!({}), Some(0)),
        (Value::Null, Some(0)),
        (json!({"Proving": "x"}), None),
    ];
    for (answer, expected) in table {
        let server = Server::start(move |_| Reply::Result(answer.clone()));
        assert_eq!(miner(&server).summary().ok().map(|s| s.len()), expected);
    }
}

/// A sector with these (deal, piece number, padded size).
fn sector(pieces: &[(u64, u8, u64)]) -> Value {
    let deals: Vec<u64> = pieces.iter().map(|p| p.0).collect();
    let pieces: Vec<Value> = pieces
        .iter()
        .map(|(deal, piece, size)| {
            let cid = cids::piece_cid(&[*piece; 32]).to_string();
            let info = match deal {
                0 => Value::Null,
                id => json!({"DealID": id}),
            };
            json!({"Piece": {"Size": size, "PieceCID": {"/": cid}}, "DealInfo": info})
        })
        .collect();
    json!({"State": "WaitDeals", "Deals": deals, "Pieces": pieces})
}

/// A miner with these sectors.
fn sectors(list: Vec<(u64, Value)>) -> Server {
    Server::start(move |seen| match seen.method().as_str() {
        "SectorsListInStates" => {
            let states = seen.params()[0].as_array().unwrap().clone();
            let first = states.contains(&json!("WaitDeals"));
            for (state, wanted) in [
                ("SnapDealsAddPiece", first),
                ("UpdateReplica", first),
                ("UpdateActivating", first),
                ("PreCommit1", !first),
                ("PackingFailed", !first),
                ("Proving", false),
                ("Removed", false),
                ("FailedUnrecoverable", false),
            ] {
                assert_eq!(states.contains(&json!(state)), wanted, "{state}");
            }
            let shown = |status: &Value| match &status["State"] {
                // One that is gone when it is looked at.
                Value::Null => first,
                state => states.contains(state),
            };
            let found = list.iter().filter(|(_, status)| shown(status));
            let found: Vec<Value> = found.map(|(number, _)| json!(number)).collect();
            Reply::Result(if found.is_empty() {
                Value::Null
            } else {
                Value::Array(found)
            })
        }
        _ => {
            let number = seen.params()[0].as_u64().unwrap();
            match list.iter().find(|(n, _)| *n == number) {
                Some((_, Value::Null)) | None => Reply::Error(200, 1, "not found"),
                Some((_, status)) => Reply::Result(status.clone()),
            }
        }
    })
}

#[test]
fn a_deal_is_found_with_its_place_newest_sector_first() {
    let piece = cids::piece_cid(&[3; 32]);
    let server = sectors(vec![
        (5, sector(&[(70, 3, 2048)])),
        (9, Value::Null),
        (7, sector(&[(60, 1, 1024), (0, 0, 1024), (70, 3, 2048)])),
        (6, json!({"State": "WaitDeals", "Deals": null})),
    ]);
    let miner = miner(&server);
    assert_eq!(
        miner.find(70, &piece),
        Ok(Some(SectorPlace {
            sector: 7,
            offset: 2048
        }))
    );
    let asked: Vec<Value> = server
        .seen()
        .iter()
        .skip(1)
        .map(|s| s.params()[0].clone())
        .collect();
    assert_eq!(asked, [json!(9), json!(7)]);
    assert_eq!(miner.find(71, &piece), Ok(None));
    let calls = server.seen().len();
    assert_eq!(miner.find(0, &piece), Ok(None), "0 is padding's");
    assert_eq!(server.seen().len(), calls);
    assert_eq!(
        super::miner(&sectors(Vec::new())).find(70, &piece),
        Ok(None)
    );
}

#[test]
fn the_same_deal_with_another_piece_is_not_taken_for_ours() {
    let server = sectors(vec![(5, sector(&[(70, 4, 2048)]))]);
    let result = miner(&server).find(70, &cids::piece_cid(&[3; 32]));
    assert!(
        matches!(result, Err(SealerError::Malformed(_))),
        "{result:?}"
    );
}

#[test]
fn a_sealer_that_lists_deals_without_pieces_is_believed() {
    let server = sectors(vec![(
        5,
        json!({"State": "PreCommit1", "Deals": [70], "Pieces": null}),
    )]);
    let found = miner(&server).find(70, &cids::piece_cid(&[3; 32]));
    assert_eq!(
        found,
        Ok(Some(SectorPlace {
            sector: 5,
            offset: 0
        }))
    );
}

#[test]
fn the_search_is_bounded() {
    let server = sectors((1..=100).map(|n| (n, sector(&[(n, 3, 2048)]))).collect());
    assert_eq!(miner(&server).find(1, &cids::piece_cid(&[3; 32])), Ok(None));
    assert_eq!(server.seen().len(), 66, "two lists and 64 sectors");
    let newest = server.seen()[1].params()[0].clone();
    assert_eq!(newest, 100);
}

#[test]
fn a_sector_with_an_old_number_that_takes_pieces_comes_before_new_ones_on_their_way() {
    let mut old = sector(&[(70, 3, 2048)]);
    old["State"] = json!("SnapDealsWaitDeals");
    let on_its_way = |number: u64| {
        let mut status = sector(&[(1_000 + number, 4, 2048)]);
        status["State"] = json!("PreCommit1");
        (number, status)
    };
    let mut list: Vec<_> = (1_000..1_200).map(on_its_way).collect();
    list.push((5, old));
    let server = sectors(list);
    let found = miner(&server).find(70, &cids::piece_cid(&[3; 32]));
    let place = SectorPlace {
        sector: 5,
        offset: 0,
    };
    assert_eq!(found, Ok(Some(place)));
    assert_eq!(server.seen().len(), 2);
    // And one on its way is still found behind them.
    let found = miner(&server).find(2_199, &cids::piece_cid(&[4; 32]));
    assert_eq!(found.unwrap().unwrap().sector, 1_199);
}

#[test]
fn a_sealer_tells_what_the_token_may_do_or_does_not() {
    let told = |answer: Reply| {
        let server = Server::start(move |seen| {
            assert_eq!(seen.method(), "AuthVerify");
            assert_eq!(seen.params(), json!(["a.b.c"]));
            answer.clone()
        });
        let entry = format!("a.b.c:{}", server.url());
        LotusMiner::new(&entry, Limits::default())
            .unwrap()
            .permissions()
    };
    let all = ["read", "admin"].map(str::to_owned).to_vec();
    assert_eq!(told(Reply::Result(json!(["read", "admin"]))), Ok(Some(all)));
    assert_eq!(told(Reply::Result(json!(null))), Ok(None));
    let missing = Reply::Error(500, -32_601, "method not found");
    assert_eq!(told(missing), Ok(None));
    assert_eq!(told(Reply::text(401, "")), Err(SealerError::Unauthorized));
    // Nobody needs to be asked.
    let bare = LotusMiner::new("http://127.0.0.1:9", Limits::default()).unwrap();
    assert_eq!(bare.permissions(), Ok(Some(vec!["read".to_owned()])));
}
