use super::*;
use crate::filecoin::Signature;
use crate::filecoin::SignatureKind;

#[test]
fn the_head_is_its_height_and_time() {
    let server = node(|_, _| Reply::Result(head(6_120_455)));
    assert_eq!(
        lotus(&server).head(),
        Ok(Head {
            epoch: 6_120_455,
            timestamp: 1_781_920_050
        })
    );
    for broken in [
        json!(null),
        json!({"Cids": null, "Blocks": [], "Height": 1}),
        json!({"Cids": [{"/": "bafy2bzacecnamqgqmifpluoeldx7zzglxcljo6oja4vrmtj7432rphldpdmm2"}], "Blocks": null, "Height": 1}),
        json!({"Cids": [{"/": "bafy2bzacecnamqgqmifpluoeldx7zzglxcljo6oja4vrmtj7432rphldpdmm2"}], "Blocks": [{"Timestamp": 5}], "Height": 1.5}),
    ] {
        let shown = broken.to_string();
        let server = node(move |_, _| Reply::Result(broken.clone()));
        let result = lotus(&server).head();
        assert!(
            matches!(&result, Err(ChainError::Malformed(text)) if text.contains("ChainHead")),
            "{shown}: {result:?}"
        );
    }
}

/// A miner f01234 with worker f01001, owner f01000 and one control address.
fn miner_info(extra: &Value) -> Value {
    let mut info = json!({
        "Owner": "f01000", "Worker": "f01001", "NewWorker": "<empty>", "ControlAddresses": ["f01002"],
        "WorkerChangeEpoch": -1, "PeerId": "12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf",
        "Multiaddrs": ["BAoAAAUGC7g="], "SectorSize": 34_359_738_368_u64, "PendingOwnerAddress": null,
    });
    for (name, value) in extra.as_object().unwrap() {
        info[name] = value.clone();
    }
    info
}

#[test]
fn a_provider_is_found_by_what_it_put_on_chain() {
    let table = [
        (
            json!({}),
            Some("12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf"),
            1,
        ),
        (json!({"PeerId": null, "Multiaddrs": null}), None, 0),
        (json!({"PeerId": "", "Multiaddrs": []}), None, 0),
        (
            json!({"ControlAddresses": null}),
            Some("12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf"),
            1,
        ),
    ];
    for (extra, peer, addresses) in table {
        let server = node(move |method, params| {
            assert_eq!(
                (method, params),
                ("StateMinerInfo", &json!(["f01234", null]))
            );
            Reply::Result(miner_info(&extra))
        });
        let contact = lotus(&server).provider_contact(&id(1234)).unwrap();
        assert_eq!(contact.peer_id.as_deref(), peer);
        assert_eq!(contact.multiaddrs.len(), addresses);
    }
    let server = node(|_, _| {
        Reply::Error(
            200,
            1,
            "failed to load miner actor: resolution lookup failed: actor not found",
        )
    });
    let error = lotus(&server).provider_contact(&id(1234)).unwrap_err();
    assert!(error.is_actor_not_found(), "{error}");
    assert!(error.to_string().contains("StateMinerInfo"), "{error}");
}

#[test]
fn parameters_have_the_v1_arity_and_answers_their_documented_forms() {
    let server = node(
        |method, params| match (method, params.to_string().as_str()) {
            ("StateNetworkVersion", "[null]") => Reply::Result(json!(28)),
            ("StateNetworkName", "[]") => Reply::Result(json!("calibrationnet")),
            ("StateDealProviderCollateralBounds", "[2048,true,null]") => Reply::Result(
                json!({"Min": "8500000000000000", "Max": "2000000000000000000000000000"}),
            ),
            ("StateVerifiedClientStatus", r#"["f05678",null]"#) => {
                Reply::Result(json!("1099511627776"))
            }
            ("StateVerifiedClientStatus", r#"["f05679",null]"#) => Reply::Result(Value::Null),
            ("StateMarketBalance", r#"["f05678",null]"#) => {
                Reply::Result(json!({"Escrow": "1000", "Locked": "400"}))
            }
            ("StateLookupID", _) => Reply::Result(json!("f05678")),
            (method, params) => panic!("{method} {params}"),
        },
    );
    let chain = lotus(&server);
    assert_eq!(chain.network_version(), Ok(28));
    assert_eq!(chain.node().network_name().as_deref(), Ok("calibrationnet"));
    let bounds = chain.collateral_bounds(2048, true).unwrap();
    assert_eq!(bounds.min, atto(8_500_000_000_000_000));
    assert!(bounds.max > atto(u64::MAX));
    assert_eq!(chain.datacap(&id(5678)), Ok(Some(atto(1 << 40))));
    assert_eq!(chain.datacap(&id(5679)), Ok(None));
    assert_eq!(chain.client_available(&id(5678)), Ok(atto(600)));
    assert_eq!(chain.id_address(&key(1).address()), Ok(id(5678)));
    let before = server.seen().len();
    assert_eq!(chain.id_address(&id(99)), Ok(id(99)));
    assert_eq!(
        server.seen().len(),
        before,
        "an ID address needs no look-up"
    );
}

#[test]
fn a_number_where_a_text_belongs_is_malformed() {
    let server = node(|_, _| Reply::Result(json!({"Escrow": 1000, "Locked": "0"})));
    let result = lotus(&server).client_available(&id(1));
    assert!(
        matches!(&result, Err(ChainError::Malformed(text)) if text.contains("Escrow")),
        "{result:?}"
    );
}

#[test]
fn key_addresses_answer_for_themselves() {
    let expected = key(1).address();
    let text = expected.to_string();
    let server = node(move |method, params| {
        assert_eq!(
            (method, params),
            ("StateAccountKey", &json!(["f05678", null]))
        );
        Reply::Result(json!(text))
    });
    let chain = lotus(&server);
    let bls = SecretKey::bls(&[5; 32]).unwrap().address();
    for own in [&expected, &bls] {
        assert_eq!(chain.key_address(own), Ok(Some(own.clone())));
    }
    assert!(server.seen().is_empty());
    assert_eq!(chain.key_address(&id(5678)), Ok(Some(expected)));
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn no_key_is_an_answer_and_no_answer_is_none() {
    let told = |status: u16, code: i64, text: &'static str| {
        let server = node(move |_, _| Reply::Error(status, code, text));
        lotus(&server).key_address(&id(5678))
    };
    // Lotus, Forest, Venus: an actor without a key, and no such actor.
    for (code, text) in [
        (
            1,
            "failed to get account actor state for f05678: unknown actor code",
        ),
        (1, "failed to find actor: actor not found"),
        (11, "actor not found"),
        (-32603, "internal"),
    ] {
        assert_eq!(told(200, code, text), Ok(None), "{code}");
    }
    // The question was not understood, or the node has come to harm over it.
    for (status, code) in [
        (500, 0),
        (500, -32700),
        (400, -32600),
        (500, -32601),
        (500, -32602),
        (200, -32001),
    ] {
        let answer = told(status, code, "no");
        assert!(
            matches!(answer, Err(ChainError::Refused { .. })),
            "{code}: {answer:?}"
        );
    }
    let stale = node(|_, _| Reply::text(401, ""));
    assert_eq!(
        lotus(&stale).key_address(&id(5678)),
        Err(ChainError::Unauthorized)
    );
    let broken = node(|_, _| Reply::text(502, "<html>"));
    let answer = lotus(&broken).key_address(&id(5678));
    assert!(
        matches!(answer, Err(ChainError::Unreachable(_))),
        "{answer:?}"
    );
    let garbled = node(|_, _| Reply::Result(json!(7)));
    let answer = lotus(&garbled).key_address(&id(5678));
    assert!(
        matches!(answer, Err(ChainError::Malformed(_))),
        "{answer:?}"
    );
}

#[test]
fn a_deal_is_there_or_it_is_not() {
    let proposal = json!({
        "PieceCID": {"/": "baga6ea4seaqn42av3szurbbscwuu3zjssvfwbpsvbjf6y3tukvlgl2nf5rha6pa"},
        "PieceSize": 34_359_738_368_u64, "VerifiedDeal": true, "Client": "f05678", "Provider": "f01234",
        "Label": "example-label", "StartEpoch": 5_200_000, "EndEpoch": 6_718_400, "StoragePricePerEpoch": "0",
        "ProviderCollateral": "8500000000000000", "ClientCollateral": "0",
    });
    let server = node(move |method, params| {
        assert_eq!(method, "StateMarketStorageDeal");
        let state = |sector: Value, start: i64| {
            let mut state =
                json!({"SectorStartEpoch": start, "LastUpdatedEpoch": -1, "SlashEpoch": -1});
            if !sector.is_null() {
                state["SectorNumber"] = sector;
            }
            Reply::Result(json!({"Proposal": proposal, "State": state}))
        };
        match params.to_string().as_str() {
            "[70112233,null]" => state(json!(1187), 5_190_000),
            "[70112234,null]" => state(Value::Null, -1),
            "[7,null]" => Reply::Error(
                200,
                1,
                "deal 7 not found - deal may not have completed sealing before deal proposal start epoch, or deal may have been slashed",
            ),
            "[8,null]" => Reply::Error(200, 1, "deal 88 not found"),
            other => panic!("{other}"),
        }
    });
    let chain = lotus(&server);
    let active = chain.deal_state(70_112_233).unwrap().unwrap();
    assert_eq!(
        (
            active.sector_number,
            active.sector_start_epoch,
            active.slash_epoch
        ),
        (1187, 5_190_000, -1)
    );
    assert_eq!(active.proposal.client, id(5678));
    let waiting = chain.deal_state(70_112_234).unwrap().unwrap();
    assert_eq!((waiting.sector_number, waiting.sector_start_epoch), (0, -1));
    assert_eq!(chain.deal_state(7), Ok(None));
    assert!(matches!(
        chain.deal_state(8),
        Err(ChainError::Refused { code: 1, .. })
    ));
}

#[test]
fn a_contract_accepts_a_signature_only_with_exit_code_0_and_true() {
    // exit code, base64 of the return value, accepted
    let table = [
        (0, json!("9Q=="), true),
        (0, json!("9A=="), false),
        (0, Value::Null, false),
        (0, json!("9fU="), false),
        (16, json!("9Q=="), false),
        (1, Value::Null, false),
    ];
    for (exit, returned, accepted) in table {
        let answer = json!({
            "MsgCid": null, "MsgRct": {"ExitCode": exit, "Return": returned, "GasUsed": 1},
            "ExecutionTrace": {"Subcalls": null}, "Error": "", "Duration": 1,
        });
        let shown = answer.to_string();
        let server = node(move |_, _| Reply::Result(answer.clone()));
        let signature = Signature {
            kind: SignatureKind::Delegated,
            data: vec![1, 2, 3],
        };
        let result = lotus(&server).authenticate(&id(2000), &signature, b"proposal");
        assert_eq!(result, Ok(accepted), "{shown}");
        let seen = &server.seen()[0];
        assert_eq!(seen.method(), "StateCall");
        let message = &seen.params()[0];
        assert_eq!(message["From"], "f05");
        assert_eq!(message["To"], "f02000");
        assert_eq!(message["Method"], 2_643_134_072_u64);
        // array(2) of the byte strings 010203 and "proposal"
        assert_eq!(message["Params"], "gkMBAgNIcHJvcG9zYWw=");
        assert_eq!(seen.params().as_array().unwrap().len(), 2);
    }
}

/// A miner's facts, where `has` says whose key the node holds and `rich` who has money.
fn facts_node(has: &'static [u8], rich: &'static [u8]) -> Server {
    let address = |n: u8| key(n).address().to_string();
    node(move |method, params| {
        let first = params[0].as_str().unwrap_or_default().to_owned();
        let number = (0..=3).find(|n| address(*n + 1) == first).map(|n| n + 1);
        match method {
            "ChainHead" => Reply::Result(head(100)),
            "StateMinerInfo" => Reply::Result(miner_info(&json!({}))),
            "StateMarketBalance" => Reply::Result(json!({"Escrow": "900", "Locked": "100"})),
            "StateAccountKey" => match first.as_str() {
                // The owner is a multisig.
                "f01000" => Reply::Error(200, 1, "failed to get account actor state for f01000"),
                "f01001" => Reply::Result(json!(address(1))),
                "f01002" => Reply::Result(json!(address(2))),
                other => panic!("{other}"),
            },
            "WalletHas" => Reply::Result(json!(has.contains(&number.unwrap()))),
            "WalletBalance" => {
                let amount = if rich.contains(&number.unwrap()) {
                    "5000"
                } else {
                    "0"
                };
                Reply::Result(json!(amount))
            }
            other => unknown(other),
        }
    })
}

/// The configured address, whose keys the node has, who has money, who pays.
type Payer<'a> = (Option<u64>, &'static [u8], &'static [u8], &'a Address);

#[test]
fn the_payer_of_publish_messages_is_the_best_of_the_miners_own() {
    let (worker, control) = (key(1).address(), key(2).address());
    let table: &[Payer<'_>] = &[
        (None, &[1], &[1], &worker),
        (Some(1002), &[1, 2], &[1, 2], &control),
        (Some(1002), &[1, 2], &[1], &worker),
        (Some(1002), &[1], &[1, 2], &worker),
        (Some(1002), &[], &[1, 2], &control),
        (Some(1002), &[2], &[], &control),
        (Some(9999), &[1, 2], &[1, 2], &worker),
        (None, &[], &[], &worker),
    ];
    for (configured, has, rich, expected) in table {
        let server = facts_node(has, rich);
        let wallets = configured.map(|n| (id(1234), id(n))).into_iter().collect();
        let facts = lotus_with(&server, None, wallets)
            .provider_facts(&id(1234))
            .unwrap();
        assert_eq!(
            &facts.publish_wallet, *expected,
            "{configured:?} {has:?} {rich:?}"
        );
    }
}

#[test]
fn facts_are_read_at_one_head() {
    let server = facts_node(&[1], &[1]);
    let facts = lotus(&server).provider_facts(&id(1234)).unwrap();
    assert_eq!(
        facts,
        ProviderFacts {
            escrow_available: atto(800),
            escrow_locked: atto(100),
            publish_wallet: key(1).address(),
            publish_balance: atto(5000),
            worker: key(1).address(),
            sector_size: 34_359_738_368,
        }
    );
    for seen in server.seen() {
        if seen.method().starts_with("State") {
            assert_eq!(seen.params()[1], head_key(), "{}", seen.method());
        }
    }
}

#[test]
fn facts_need_no_more_than_the_permission_to_read() {
    let server = node(|method, _| match method {
        "ChainHead" => Reply::Result(head(100)),
        "StateMinerInfo" => Reply::Result(miner_info(&json!({}))),
        "StateMarketBalance" => Reply::Result(json!({"Escrow": "0", "Locked": "0"})),
        "StateAccountKey" => Reply::Result(json!(key(1).address().to_string())),
        "WalletBalance" => Reply::Result(json!("1")),
        "WalletHas" => Reply::Error(
            200,
            1,
            "missing permission to invoke 'WalletHas' (need 'write')",
        ),
        other => unknown(other),
    });
    let facts = lotus(&server).provider_facts(&id(1234)).unwrap();
    assert_eq!(facts.publish_wallet, key(1).address());
}

#[test]
fn errors_keep_their_class() {
    let token = "eyJh.eyJB.c2ln";
    let server = Server::start(|_| Reply::text(401, ""));
    let chain = Lotus::new(&format!("{token}:{}", server.url()), None, BTreeMap::new()).unwrap();
    let error = chain.head().unwrap_err();
    assert_eq!(error, ChainError::Unauthorized);
    let server = Server::start(|_| Reply::text(502, "<html>"));
    let chain = Lotus::new(&format!("{token}:{}", server.url()), None, BTreeMap::new()).unwrap();
    let error = chain.head().unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, ChainError::Unreachable(_)));
    for part in ["ChainHead", &server.address.to_string(), "502"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains("eyJ"), "{text}");
    let server = node(|_, _| Reply::Error(200, 11, "actor not found"));
    let error = lotus(&server).id_address(&key(1).address()).unwrap_err();
    assert!(error.is_actor_not_found());
    let server = node(|_, _| Reply::Error(500, -32603, "internal"));
    let error = lotus(&server).id_address(&key(1).address()).unwrap_err();
    assert!(!error.is_actor_not_found());
    assert!(Lotus::new("127.0.0.1:1234", None, BTreeMap::new()).is_err());
}

#[test]
fn the_token_says_what_it_may_do() {
    let token = "eyJh.eyJB.c2ln";
    let server = node(move |method, params| {
        assert_eq!((method, params), ("AuthVerify", &json!([token])));
        Reply::Result(json!(["read", "write", "sign"]))
    });
    let node_with = Node::new(&format!("{token}:{}", server.url()), Limits::default()).unwrap();
    assert_eq!(node_with.permissions().unwrap(), ["read", "write", "sign"]);
    let bare = Node::new(&server.url(), Limits::default()).unwrap();
    assert_eq!(bare.permissions().unwrap(), ["read"]);
    assert_eq!(bare.names(), [server.address.to_string()]);
}
