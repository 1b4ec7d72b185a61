//! Money: showing it, and moving it in and out of escrow.

use super::view::rfc3339;
use super::{Admin, error, not_found};
use crate::chain::Purse;
use crate::deal::funds::{FundsOrder, Kind, Stage};
use crate::deal::money::Money;
use crate::filecoin::{Address, ChainEpoch, TokenAmount};
use crate::market::{FundsView, FundsWish};
use crate::serve::listener::{Body, json, read_body};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Map, Value, json as object};
use uuid::Uuid;

/// Bytes of an order: two addresses and an amount of at most 307 digits.
const ORDER_BYTES_MAX: u64 = 4 * 1024;

/// Fields of an order.
const KNOWN: [&str; 5] = ["miner", "kind", "from", "amount", "all"];

impl Admin {
    /// Answers a request below `/v1/funds`.
    pub(super) async fn funds(&self, rest: &[&str], request: Request<Incoming>) -> Response<Body> {
        let get = request.method() == Method::GET;
        let post = request.method() == Method::POST;
        match rest {
            [] if get => self.all_funds().await,
            ["orders", id] if get || post => match Uuid::try_parse(id) {
                Ok(id) if get => self.show_order(id).await,
                Ok(id) => self.order_funds(id, request).await,
                Err(_) => error(StatusCode::BAD_REQUEST, "that is not an order's UUID"),
            },
            _ => not_found(),
        }
    }

    async fn all_funds(&self) -> Response<Body> {
        let views = match self.market.funds().await {
            Ok(views) => views,
            Err(why) => return error(StatusCode::SERVICE_UNAVAILABLE, &why.to_string()),
        };
        let mut miners = Vec::new();
        for (miner, view) in &views {
            let purse = self.market.purse(miner.clone()).await;
            let own = self.market.settings().miners.get(miner);
            let low = own.map(|own| own.terms.escrow_low.clone());
            miners.push(miner_json(miner, view, &purse, &low.unwrap_or_default()));
        }
        json(StatusCode::OK, &object!({ "miners": miners }))
    }

    async fn show_order(&self, id: Uuid) -> Response<Body> {
        match self.market.funds_order(id).await {
            Ok(Some((order, depth))) => json(StatusCode::OK, &self.order_json(&order, depth)),
            Ok(None) => error(StatusCode::NOT_FOUND, &format!("there is no order {id}")),
            Err(why) => error(StatusCode::SERVICE_UNAVAILABLE, &why.to_string()),
        }
    }

    async fn order_funds(&self, id: Uuid, request: Request<Incoming>) -> Response<Body> {
        let body = match read_body(request, ORDER_BYTES_MAX).await {
            Ok(body) => body,
            Err(why) => return error(StatusCode::BAD_REQUEST, &why.to_string()),
        };
        let wish = match wish(id, &body) {
            Ok(wish) => wish,
            Err(why) => return error(StatusCode::BAD_REQUEST, &why),
        };
        let answer = match self.market.order_funds(wish).await {
            Ok(order) => object!({
                "accepted": true,
                "reason": "",
                "order": self.order_json(&order, None),
            }),
            Err(reason) => object!({ "accepted": false, "reason": reason }),
        };
        json(StatusCode::OK, &answer)
    }

    /// An order with what it still waits for.
    fn order_json(&self, order: &FundsOrder, depth: Option<ChainEpoch>) -> Value {
        let mut shown = order_json(order);
        let own = self.market.settings().miners.get(&order.miner);
        if let Value::Object(fields) = &mut shown {
            fields.insert("depth".to_owned(), object!(depth));
            let confidence = own.map(|own| own.terms.confidence);
            fields.insert("confidence".to_owned(), object!(confidence));
        }
        shown
    }
}

/// An order as operators see it. Amounts are attoFIL as text: they go beyond 64 bits.
fn order_json(order: &FundsOrder) -> Value {
    let amount = |amount: &Option<TokenAmount>| amount.as_ref().map(TokenAmount::to_string);
    object!({
        "id": order.id.to_string(),
        "created": rfc3339(order.created),
        "miner": order.miner.to_string(),
        "kind": order.kind.name(),
        "from": order.sender.as_ref().or(order.from.as_ref()).map(Address::to_string),
        "amount": order.amount.to_string(),
        "state": order.stage.name(),
        "over": !order.stage.is_open(),
        "message": order.message.map(|message| message.to_string()),
        "exit_code": order.exit_code,
        "paid": amount(&order.paid),
        "fee": amount(&order.fee),
        "fee_counted": order.stage == Stage::Done,
        "reason": order.reason,
    })
}

fn miner_json(
    miner: &Address,
    view: &FundsView,
    purse: &Result<Purse, String>,
    low: &TokenAmount,
) -> Value {
    // The chain's numbers are of now; what is reserved of them is the provider's own knowledge.
    let money = purse.as_ref().ok().map(|purse| now(purse, view));
    let purse_field = |read: fn(&Purse) -> String| purse.as_ref().ok().map(read);
    let money_field = |read: fn(&Money) -> TokenAmount| money.as_ref().map(|m| read(m).to_string());
    object!({
        "miner": miner.to_string(),
        "error": purse.as_ref().err(),
        "escrow": purse_field(|purse| purse.escrow.to_string()),
        "locked": purse_field(|purse| purse.locked.to_string()),
        "reserved": view.ledger.collateral.to_string(),
        "leaving": money_field(|money| money.leaving.clone()),
        "free": money_field(Money::free),
        "low": money.as_ref().map(|money| money.free() < *low),
        "publish_wallet": purse_field(|purse| purse.publish_wallet.to_string()),
        "publish_balance": purse_field(|purse| purse.publish_balance.to_string()),
        "publish_reserved": money_field(|money| money.fees_reserved.clone()),
        "worker": purse_field(|purse| purse.worker.to_string()),
        "worker_balance": purse_field(|purse| purse.worker_balance.to_string()),
        "owner": purse_field(|purse| purse.owner.to_string()),
        "fees": {
            "publish": view.fees.publish.to_string(),
            "funds": view.fees.funds.to_string(),
            "messages": view.fees.counted,
            "untold": view.fees.untold,
        },
        "orders": view
            .orders
            .iter()
            .filter(|order| order.kind != Kind::Publish)
            .map(order_json)
            .collect::<Vec<_>>(),
    })
}

/// The miner's money with the chain's numbers of now.
#[allow(clippy::arithmetic_side_effects)] // big integers
fn now(purse: &Purse, view: &FundsView) -> Money {
    let leaving = view.orders.iter().map(FundsOrder::holds_of_escrow);
    Money {
        available: &purse.escrow - &purse.locked,
        reserved: view.ledger.collateral.clone(),
        leaving: leaving.fold(TokenAmount::zero(), |sum, part| &sum + &part),
        wallet: purse.publish_balance.clone(),
        fees_reserved: view
            .money
            .as_ref()
            .map(|money| money.fees_reserved.clone())
            .unwrap_or_default(),
    }
}

/// Reads an order. A name that is not known is an error: it was meant to say something.
fn wish(id: Uuid, body: &[u8]) -> Result<FundsWish, String> {
    let body: Value =
        serde_json::from_slice(body).map_err(|_| "the body is not JSON".to_owned())?;
    let Value::Object(fields) = body else {
        return Err("the body is no JSON object".to_owned());
    };
    if let Some(name) = fields.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        return Err(format!("unknown field {name:?}"));
    }
    let kind = match fields.get("kind").and_then(Value::as_str) {
        Some("add") => Kind::Add,
        Some("withdraw") => Kind::Withdraw,
        _ => return Err("kind is not add or withdraw".to_owned()),
    };
    let miner = address(&fields, "miner")?.ok_or_else(|| "miner is missing".to_owned())?;
    let amount = match fields.get("amount") {
        None => None,
        Some(value) => {
            let amount = value.as_str().and_then(TokenAmount::parse_atto);
            let amount = amount.filter(|amount| !amount.is_negative());
            Some(amount.ok_or_else(|| "amount is not attoFIL as a text of digits".to_owned())?)
        }
    };
    match (fields.get("all"), &amount, kind) {
        (None, Some(_), _) | (Some(Value::Bool(true)), None, Kind::Withdraw) => {}
        (None, None, _) => return Err("amount is missing".to_owned()),
        _ => return Err("all is true, without an amount, to withdraw all that is free".to_owned()),
    }
    Ok(FundsWish {
        id,
        miner,
        kind,
        from: address(&fields, "from")?,
        amount,
    })
}

fn address(fields: &Map<String, Value>, name: &str) -> Result<Option<Address>, String> {
    let Some(value) = fields.get(name) else {
        return Ok(None);
    };
    let read = value.as_str().and_then(|text| text.parse().ok());
    let read = read.ok_or_else(|| format!("{name} is not an address"))?;
    Ok(Some(read))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_to_the_last_field() {
        let id = Uuid::from_u128(7);
        let full = br#"{"miner": "f01000", "kind": "add", "from": "f0101",
            "amount": "340282366920938463463374607431768211456"}"#;
        let expected = FundsWish {
            id,
            miner: Address::id(1_000),
            kind: Kind::Add,
            from: Some(Address::id(101)),
            amount: TokenAmount::parse_atto("340282366920938463463374607431768211456"),
        };
        assert_eq!(wish(id, full), Ok(expected));
        let all = wish(
            id,
            br#"{"miner": "f01000", "kind": "withdraw", "all": true}"#,
        )
        .unwrap();
        assert_eq!(
            (all.kind, all.amount, all.from),
            (Kind::Withdraw, None, None)
        );
    }

    #[test]
    fn an_order_that_cannot_be_read_says_where() {
        let cases: [(&str, &str); 12] = [
            ("", "the body is not JSON"),
            ("[]", "the body is no JSON object"),
            (r#"{"miners": "f01"}"#, "unknown field \"miners\""),
            (r#"{"kind": "publish"}"#, "kind is not add or withdraw"),
            (r#"{"kind": "add", "amount": "1"}"#, "miner is missing"),
            (
                r#"{"kind": "add", "miner": "f0"}"#,
                "miner is not an address",
            ),
            (r#"{"kind": "add", "miner": "f01"}"#, "amount is missing"),
            (
                r#"{"kind": "add", "miner": "f01", "amount": "1.5"}"#,
                "amount is not attoFIL",
            ),
            (
                r#"{"kind": "add", "miner": "f01", "amount": "-1"}"#,
                "amount is not attoFIL",
            ),
            (
                r#"{"kind": "add", "miner": "f01", "amount": 1}"#,
                "amount is not attoFIL",
            ),
            (
                r#"{"kind": "add", "miner": "f01", "all": true}"#,
                "all is true",
            ),
            (
                r#"{"kind": "withdraw", "miner": "f01", "all": true, "amount": "1"}"#,
                "all is true",
            ),
        ];
        for (body, expected) in cases {
            let error = wish(Uuid::from_u128(7), body.as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{body}: {error}");
        }
    }
}
