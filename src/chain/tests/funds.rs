use super::writes::{asked, publisher};
use super::*;
use crate::filecoin::json as form;
use uuid::Uuid;

fn order(call: Call) -> Order {
    Order {
        id: Uuid::from_u128(7),
        miner: id(1234),
        fee_max: atto(50_000),
        call,
    }
}

fn add(from: Option<Address>, amount: u64) -> Order {
    let amount = atto(amount);
    order(Call::AddBalance { from, amount })
}

fn withdraw(from: Option<Address>, amount: TokenAmount) -> Order {
    order(Call::Withdraw { from, amount })
}

/// A Lotus node whose wallet could send by itself, and is not let.
fn lotus_node() -> Server {
    publisher("1.36.2", "lotus", |method, params| match method {
        "MpoolPush" => {
            let signed = form::to_signed_message(&params[0]).unwrap();
            Reply::Result(form::from_cid(Some(&signed.cid())))
        }
        other => unknown(other),
    })
}

#[test]
fn money_is_bound_to_a_nonce_even_where_a_node_remembers_identities() {
    let two_and_a_half = TokenAmount::parse_fil("2.5").unwrap();
    // The parameters are the examples of chain-sealer-rpc D.1.
    for (order, method, value, params) in [
        (add(None, 4_000_000), 2, "4000000", "QwDSCQ=="),
        (
            withdraw(None, two_and_a_half),
            3,
            "0",
            "gkMA0glJACKxyMEiegAA",
        ),
    ] {
        let server = lotus_node();
        let chain = lotus(&server);
        let prepared = chain.prepare(&order).unwrap();
        let cid = prepared.cid().expect("it is signed");
        assert!(asked(&server, "MpoolPush").is_empty());
        let again = Prepared::decode(&prepared.encode()).unwrap();
        for prepared in [prepared, again] {
            assert_eq!(chain.send(&prepared), Ok(cid));
        }
        let pushes = asked(&server, "MpoolPush");
        assert_eq!((pushes.len(), &pushes[0]), (2, &pushes[1]));
        let message = &pushes[0][0]["Message"];
        assert_eq!(
            (&message["To"], &message["Method"]),
            (&json!("f05"), &json!(method))
        );
        assert_eq!(
            (&message["Value"], &message["Params"]),
            (&json!(value), &json!(params))
        );
        assert_eq!(message["Nonce"], 119);
        // 50,000 attoFIL for 1,000 units of gas.
        assert_eq!(message["GasFeeCap"], "50");
        assert!(asked(&server, "MpoolPushMessage").is_empty());
    }
}

#[test]
fn only_owner_and_worker_withdraw_and_whoever_is_named_pays() {
    let server = lotus_node();
    let chain = lotus(&server);
    for from in [1_000, 1_001] {
        chain.prepare(&withdraw(Some(id(from)), atto(1))).unwrap();
        chain
            .send(&chain.prepare(&withdraw(Some(id(from)), atto(1))).unwrap())
            .unwrap();
    }
    let error = chain
        .prepare(&withdraw(Some(id(777)), atto(1)))
        .unwrap_err();
    assert!(
        matches!(&error, ChainError::NoSender(text) if text.contains("neither owner nor worker")),
        "{error:?}"
    );
    // Anybody may pay into escrow.
    chain.prepare(&add(Some(id(777)), 1)).unwrap();
    let keys = asked(&server, "StateAccountKey");
    assert!(keys.iter().any(|params| params[0] == "f0777"));
}

#[test]
fn more_than_a_wallet_has_is_not_even_estimated() {
    let server = lotus_node();
    let chain = lotus(&server);
    // It has 5,000,000.
    let error = chain.prepare(&add(None, 5_000_001)).unwrap_err();
    assert!(matches!(&error, ChainError::NoSender(_)), "{error:?}");
    assert!(asked(&server, "GasEstimateMessageGas").is_empty());
    // The fee has to fit beside it.
    let error = chain.prepare(&add(None, 4_999_999)).unwrap_err();
    assert!(matches!(&error, ChainError::NoSender(_)), "{error:?}");
    chain.prepare(&add(None, 4_950_000)).unwrap();
}

#[test]
fn a_wallet_is_busy_with_one_order_whatever_it_does() {
    let server = lotus_node();
    let chain = lotus(&server);
    let first = chain.prepare(&add(None, 1)).unwrap();
    let mut second = withdraw(None, atto(1));
    second.id = Uuid::from_u128(8);
    let busy = chain.prepare(&second).unwrap_err();
    assert!(matches!(&busy, ChainError::Later(_)), "{busy:?}");
    // A node that numbers messages itself would give the same nonce again.
    let publish = Prepared::by_wallet(Uuid::from_u128(9), "node:1", first.message().clone());
    assert!(matches!(chain.send(&publish), Err(ChainError::Later(_))));
    chain.send(&first).unwrap();
    chain.prepare(&second).unwrap();
}

/// A node that has executed a message at this height, and the base fee of the tipset before it.
fn executed(exit_code: i64, base_fee: Option<&'static str>) -> Server {
    let cid = cids::chain_cid(b"a message");
    node(move |method, params| match method {
        "ChainHead" => Reply::Result(head(5_000_020)),
        "StateSearchMsg" => Reply::Result(json!({
            "Message": form::from_cid(Some(&cid)),
            "Receipt": {"ExitCode": exit_code, "Return": "SQAiscjBInoAAA==", "GasUsed": 1_000},
            "TipSet": head_key(), "Height": 5_000_010,
        })),
        "ChainGetMessage" => Reply::Result(json!({
            "Version": 0, "To": "f05", "From": "f01001", "Nonce": 1, "Value": "0", "GasLimit": 1_500,
            "GasFeeCap": "30", "GasPremium": "4", "Method": 3, "Params": null,
            "CID": form::from_cid(Some(&cid)),
        })),
        "ChainGetTipSetByHeight" => {
            assert_eq!(params, &json!([5_000_009, null]));
            // The height before has no blocks: its tipset is an earlier one.
            let mut tipset = head(5_000_008);
            tipset["Blocks"][0]["ParentBaseFee"] = json!(base_fee);
            Reply::Result(tipset)
        }
        other => unknown(other),
    })
}

#[test]
fn a_fee_follows_from_receipt_message_and_base_fee() {
    let cid = cids::chain_cid(b"a message");
    for exit_code in [0, 18] {
        let server = executed(exit_code, Some("20"));
        let chain = lotus(&server);
        // 1,000 units used and 200 of the 500 beyond them burned at 20, 1,500 at the premium of 4.
        assert_eq!(chain.fee(&cid), Ok(Some(atto(1_200 * 20 + 1_500 * 4))));
        let Ok(Fate::Executed(receipt)) = chain.fate(&cid) else {
            panic!("it was executed");
        };
        assert_eq!((receipt.depth, receipt.exit_code), (10, exit_code));
        let paid = crate::filecoin::market_actor::decode_withdraw_return(&receipt.returned);
        assert_eq!(paid.ok(), TokenAmount::parse_fil("2.5"));
    }
    // A node that does not tell the base fee cannot tell the fee.
    let server = executed(0, None);
    assert_eq!(lotus(&server).fee(&cid), Ok(None));
}
