//! Asks: showing and changing them.

use super::{Admin, error, not_found};
use crate::filecoin::{Address, ChainEpoch, TokenAmount};
use crate::market::{AskChange, AskExpiry};
use crate::serve::listener::{Body, json, read_body};
use crate::store::StoredAsk;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Map, Value, json as object};

/// Bytes of a change: two prices of at most 307 digits and a few numbers.
const CHANGE_BYTES_MAX: u64 = 4 * 1024;

/// Fields of a change.
const KNOWN: [&str; 7] = [
    "price",
    "verified_price",
    "min_piece_size",
    "max_piece_size",
    "expiry",
    "valid_for",
    "no_expiry",
];

impl Admin {
    /// Answers a request below `/v1/asks`.
    pub(super) async fn asks(&self, rest: &[&str], request: Request<Incoming>) -> Response<Body> {
        let get = request.method() == Method::GET;
        let post = request.method() == Method::POST;
        match rest {
            [] if get => self.all_asks(),
            [miner] if get || post => match miner.parse::<Address>() {
                Ok(miner) if get => self.show_ask(&miner),
                Ok(miner) => self.change_ask(miner, request).await,
                Err(_) => error(StatusCode::BAD_REQUEST, "that is not a miner's address"),
            },
            _ => not_found(),
        }
    }

    fn all_asks(&self) -> Response<Body> {
        let head = self.head();
        let asks = self.market.asks();
        let miners = self.market.settings().miners.keys();
        let missing: Vec<String> = miners
            .filter(|miner| asks.iter().all(|ask| ask.terms.miner != **miner))
            .map(Address::to_string)
            .collect();
        let asks: Vec<Value> = asks.iter().map(|ask| ask_json(ask, head)).collect();
        let all = object!({ "head": head, "asks": asks, "missing": missing });
        json(StatusCode::OK, &all)
    }

    fn show_ask(&self, miner: &Address) -> Response<Body> {
        match self.market.stored_ask(miner) {
            Some(ask) => json(StatusCode::OK, &ask_json(&ask, self.head())),
            None if self.market.settings().miners.contains_key(miner) => error(
                StatusCode::NOT_FOUND,
                &format!("{miner} has no ask yet: the chain has not told about it"),
            ),
            None => error(
                StatusCode::NOT_FOUND,
                &format!("{miner} is not a miner of this provider"),
            ),
        }
    }

    async fn change_ask(&self, miner: Address, request: Request<Incoming>) -> Response<Body> {
        let body = match read_body(request, CHANGE_BYTES_MAX).await {
            Ok(body) => body,
            Err(why) => return error(StatusCode::BAD_REQUEST, &why.to_string()),
        };
        let change = match change(&body) {
            Ok(change) => change,
            Err(why) => return error(StatusCode::BAD_REQUEST, &why),
        };
        let answer = match self.market.set_ask(miner, change).await {
            Ok(ask) => object!({
                "accepted": true,
                "reason": "",
                "ask": ask_json(&ask, self.head()),
            }),
            Err(reason) => object!({ "accepted": false, "reason": reason }),
        };
        json(StatusCode::OK, &answer)
    }

    fn head(&self) -> Option<ChainEpoch> {
        self.market.snapshot().head.map(|(epoch, _)| epoch)
    }
}

/// An ask as operators see it. Prices are attoFIL per GiB and epoch, as text: they go beyond 64 bits.
fn ask_json(ask: &StoredAsk, head: Option<ChainEpoch>) -> Value {
    let terms = &ask.terms;
    object!({
        "miner": terms.miner.to_string(),
        "price": terms.price.to_string(),
        "verified_price": terms.verified_price.to_string(),
        "min_piece_size": terms.min_piece_size,
        "max_piece_size": terms.max_piece_size,
        "seq_no": terms.seq_no,
        "timestamp": terms.timestamp,
        "expiry": terms.expiry,
        "renews": !ask.expiry_given,
        "head": head,
        "expired": head.map(|head| terms.has_expired(head)),
        "signed": ask.signature.is_some(),
    })
}

/// Reads a change. A name that is not known is an error: it was meant to change something.
fn change(body: &[u8]) -> Result<AskChange, String> {
    let body: Value =
        serde_json::from_slice(body).map_err(|_| "the body is not JSON".to_owned())?;
    let Value::Object(fields) = body else {
        return Err("the body is no JSON object".to_owned());
    };
    if let Some(name) = fields.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        return Err(format!("unknown field {name:?}"));
    }
    let number = |name: &str| read(&fields, name, "a number of bytes", Value::as_u64);
    let epoch = |name: &str| read(&fields, name, "a number of epochs", Value::as_i64);
    let price = |name: &str| {
        read(&fields, name, "attoFIL as a text of digits", |value| {
            TokenAmount::parse_atto(value.as_str()?)
        })
    };
    let never = read(&fields, "no_expiry", "true", |value| {
        value.as_bool().filter(|never| *never)
    })?;
    let expiry = match (epoch("expiry")?, epoch("valid_for")?, never) {
        (None, None, None) => None,
        (Some(at), None, None) => Some(AskExpiry::At(at)),
        (None, Some(epochs), None) => Some(AskExpiry::In(epochs)),
        (None, None, Some(_)) => Some(AskExpiry::Never),
        _ => return Err("only one of expiry, valid_for and no_expiry may be given".to_owned()),
    };
    Ok(AskChange {
        price: price("price")?,
        verified_price: price("verified_price")?,
        min_piece_size: number("min_piece_size")?,
        max_piece_size: number("max_piece_size")?,
        expiry,
    })
}

/// A field that may be left out.
fn read<T>(
    fields: &Map<String, Value>,
    name: &str,
    what: &str,
    as_value: impl FnOnce(&Value) -> Option<T>,
) -> Result<Option<T>, String> {
    let Some(value) = fields.get(name) else {
        return Ok(None);
    };
    as_value(value)
        .map(Some)
        .ok_or_else(|| format!("{name} is not {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deal::tests::samples;

    #[test]
    fn a_change_is_read_to_the_last_field() {
        let full = br#"{"price": "340282366920938463463374607431768211456", "verified_price": "0",
            "min_piece_size": 128, "max_piece_size": 68719476736, "expiry": 7}"#;
        let high = TokenAmount::parse_atto("340282366920938463463374607431768211456");
        assert_eq!(
            change(full),
            Ok(AskChange {
                price: high,
                verified_price: Some(TokenAmount::zero()),
                min_piece_size: Some(128),
                max_piece_size: Some(64 << 30),
                expiry: Some(AskExpiry::At(7)),
            })
        );
        assert_eq!(change(b"{}"), Ok(AskChange::default()));
        let expiry = |text: &[u8]| change(text).unwrap().expiry;
        assert_eq!(expiry(br#"{"valid_for": 3}"#), Some(AskExpiry::In(3)));
        assert_eq!(expiry(br#"{"no_expiry": true}"#), Some(AskExpiry::Never));
    }

    #[test]
    fn a_change_that_cannot_be_read_says_where() {
        let cases: [(&[u8], &str); 10] = [
            (b"", "the body is not JSON"),
            (b"[]", "the body is no JSON object"),
            (br#"{"prise": "1"}"#, "unknown field \"prise\""),
            (br#"{"price": 1}"#, "price is not attoFIL"),
            (br#"{"price": "1 FIL"}"#, "price is not attoFIL"),
            (br#"{"verified_price": null}"#, "verified_price is not"),
            (
                br#"{"min_piece_size": -1}"#,
                "min_piece_size is not a number of bytes",
            ),
            (br#"{"max_piece_size": "32GiB"}"#, "max_piece_size is not"),
            (br#"{"no_expiry": false}"#, "no_expiry is not true"),
            (br#"{"expiry": 1, "valid_for": 2}"#, "only one of"),
        ];
        for (body, expected) in cases {
            let error = change(body).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn an_ask_is_shown_with_its_end() {
        let mut ask = StoredAsk {
            terms: samples::ask(),
            signature: None,
            expiry_given: true,
        };
        ask.terms.expiry = 10;
        let shown = ask_json(&ask, Some(10));
        assert_eq!(
            (&shown["expired"], &shown["renews"]),
            (&object!(true), &object!(false))
        );
        assert_eq!(
            (&shown["price"], &shown["signed"]),
            (&object!("50000000"), &object!(false))
        );
        assert_eq!(ask_json(&ask, Some(9))["expired"], object!(false));
        assert_eq!(ask_json(&ask, None)["expired"], Value::Null);
    }
}
