//! `coracle funds`: a miner's money, and moving it in and out of its market escrow.

use super::Failure;
use super::admin_client::{Admin, array, only_miner};
use super::args::{self, miner_address};
use super::terminal;
use crate::filecoin::{Address, TokenAmount};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Between two looks at an order: an epoch lasts 30 of them.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The longest that a command follows an order, which goes on without it: a busy chain takes some epochs, confidence ten.
const FOLLOW_MAX: Duration = Duration::from_secs(3_600);

/// Orders in a listing for people; `--json` has all that are kept.
const LISTED_MAX: usize = 5;

/// Runs `coracle funds`.
pub fn run(mut arguments: pico_args::Arguments) -> Result<(), Failure> {
    match arguments.subcommand()?.as_deref() {
        Some(kind @ ("add" | "withdraw")) => order(arguments, kind),
        Some("show") => show(arguments),
        Some(miner) => list(arguments, Some(&miner_address(miner)?)),
        None => list(arguments, None),
    }
}

fn list(mut arguments: pico_args::Arguments, miner: Option<&Address>) -> Result<(), Failure> {
    let json = arguments.contains("--json");
    let named: Option<String> = arguments.opt_value_from_str("--miner")?;
    let named = named.map(|text| miner_address(&text)).transpose()?;
    args::finish(arguments)?;
    let mut all = Admin::connect()?.get("/v1/funds")?;
    if let Some(miner) = miner.or(named.as_ref()) {
        let own = array(&all, "miners").iter();
        let mut own = own.filter(|shown| string(shown, "miner") == miner.to_string());
        let Some(shown) = own.next().cloned() else {
            return Err(Failure::Refused(format!(
                "{miner} is not a miner of this provider"
            )));
        };
        all = json!({ "miners": [shown] });
    }
    if json {
        terminal::json(&all);
    } else {
        for miner in array(&all, "miners") {
            terminal::print(&text(miner));
        }
    }
    Ok(())
}

fn show(mut arguments: pico_args::Arguments) -> Result<(), Failure> {
    let json = arguments.contains("--json");
    let id = args::required(&mut arguments, "UUID of an order")?;
    args::finish(arguments)?;
    let id = uuid(&id)?;
    let order = Admin::connect()?.get(&format!("/v1/funds/orders/{id}"))?;
    print(&order, json);
    Ok(())
}

fn order(mut arguments: pico_args::Arguments, kind: &str) -> Result<(), Failure> {
    let json = arguments.contains("--json");
    let no_wait = arguments.contains("--no-wait");
    let id: Option<String> = arguments.opt_value_from_str("--id")?;
    let id = id.map_or_else(|| Ok(Uuid::new_v4()), |text| uuid(&text))?;
    let (body, miner) = wish(&mut arguments, kind)?;
    args::finish(arguments)?;
    let admin = Admin::connect()?;
    let miner = match miner {
        Some(miner) => miner.to_string(),
        None => only_miner(&admin.get("/v1/asks")?, "name one with --miner")?,
    };
    let mut body = body;
    body.insert("miner".to_owned(), json!(miner));
    if !json {
        // Before anything is asked for: whoever hears no answer asks again with it.
        terminal::error_line(&format!("order {id}"));
    }
    let path = format!("/v1/funds/orders/{id}");
    let answer = admin.post(&path, &Value::Object(body));
    let answer = answer.map_err(|failure| match failure {
        Failure::Failed(text) => Failure::Failed(format!(
            "{text}; whether the order was taken is not known: the same command with --id {id} tells, and orders it only \
             if it was not"
        )),
        other => other,
    })?;
    let mut order = answer.get("order").cloned().unwrap_or_default();
    if !no_wait {
        order = follow(&admin, &path, order, json)?;
    }
    print(&order, json);
    let failed = string(&order, "state") == "failed"
        || order.get("exit_code").and_then(Value::as_i64).unwrap_or(0) != 0;
    if failed {
        let reason = string(&order, "reason");
        return Err(Failure::Failed(format!("order {id}: {reason}")));
    }
    Ok(())
}

/// Looks at an order until it is over.
fn follow(admin: &Admin, path: &str, mut order: Value, json: bool) -> Result<Value, Failure> {
    let begun = Instant::now();
    let mut said = String::new();
    while order.get("over").and_then(Value::as_bool) == Some(false) {
        let id = string(&order, "id");
        let goes_on = format!("order {id} goes on; `coracle funds show {id}` shows it");
        if begun.elapsed() > FOLLOW_MAX {
            return Err(Failure::Failed(format!(
                "not executed within an hour; {goes_on}"
            )));
        }
        let now = progress(&order);
        if !json && now != said {
            terminal::error_line(&now);
            said = now;
        }
        std::thread::sleep(LOOK_EVERY);
        order = admin
            .get(path)
            .map_err(|failure| Failure::Failed(format!("{failure}; {goes_on}")))?;
    }
    Ok(order)
}

/// Where an order is, in one line.
fn progress(order: &Value) -> String {
    let message = string(order, "message");
    let number = |name: &str| order.get(name).and_then(Value::as_i64);
    let state = match (string(order, "state"), number("depth")) {
        ("sent", Some(depth)) => format!(
            "{message} is executed, {depth} of {} epochs deep",
            number("confidence").unwrap_or_default()
        ),
        ("sent", None) => format!("sent as {message}, not executed yet"),
        ("ordered", _) if message.is_empty() => "its message is being made".to_owned(),
        ("ordered", _) => format!("{message} is being sent"),
        (state, _) => state.to_owned(),
    };
    match string(order, "reason") {
        "" => state,
        reason => format!("{state}: {reason}"),
    }
}

/// The order as the provider's interface takes it, without its miner.
fn wish(
    arguments: &mut pico_args::Arguments,
    kind: &str,
) -> Result<(Map<String, Value>, Option<Address>), Failure> {
    let mut body = Map::new();
    body.insert("kind".to_owned(), json!(kind));
    let from: Option<String> = arguments.opt_value_from_str("--from")?;
    if let Some(from) = from {
        let from: Result<Address, _> = from.parse();
        let from = from.map_err(|error| Failure::Usage(format!("--from: {error}")))?;
        body.insert("from".to_owned(), json!(from.to_string()));
    }
    let miner: Option<String> = arguments.opt_value_from_str("--miner")?;
    let miner = miner.map(|text| miner_address(&text)).transpose()?;
    if kind == "withdraw" && arguments.contains("--all") {
        body.insert("all".to_owned(), json!(true));
        return Ok((body, miner));
    }
    let text = args::required(arguments, "AMOUNT")?;
    let amount = TokenAmount::parse_fil(&text).filter(|amount| !amount.is_zero());
    let amount = amount.ok_or_else(|| {
        Failure::Usage(format!(
            "{text:?} is no amount to {kind}: write FIL, 0.5, or with a unit, 0.5FIL or 500attoFIL"
        ))
    })?;
    body.insert("amount".to_owned(), json!(amount.to_string()));
    Ok((body, miner))
}

fn uuid(text: &str) -> Result<Uuid, Failure> {
    Uuid::try_parse(text).map_err(|_| Failure::Usage(format!("{text:?} is no order's UUID")))
}

fn print(order: &Value, json: bool) {
    if json {
        terminal::json(order);
    } else {
        terminal::print(&order_text(order));
    }
}

/// An amount in FIL; `not known` if there is none.
fn fil(value: &Value, name: &str) -> String {
    let amount = TokenAmount::parse_atto(string(value, name));
    amount.map_or_else(|| "not known".to_owned(), |amount| amount.to_fil_text())
}

/// A miner's money for people.
fn text(miner: &Value) -> String {
    let mut text = format!("Funds of {}\n", string(miner, "miner"));
    let mut line = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name:<26} {value}");
    };
    if let Some(error) = miner.get("error").and_then(Value::as_str) {
        line("NOT KNOWN AT PRESENT", error);
    }
    line("market escrow", &fil(miner, "escrow"));
    line("  locked by the chain", &fil(miner, "locked"));
    line("  reserved by live deals", &fil(miner, "reserved"));
    line("  being withdrawn", &fil(miner, "leaving"));
    let low = if miner.get("low").and_then(Value::as_bool) == Some(true) {
        "  LOW: below CORACLE_ESCROW_LOW"
    } else {
        ""
    };
    line("  free", &format!("{}{low}", fil(miner, "free")));
    let wallet = |name: &str| string(miner, name);
    line("publish wallet", wallet("publish_wallet"));
    line("  balance", &fil(miner, "publish_balance"));
    line("  kept for live deals", &fil(miner, "publish_reserved"));
    line("worker", wallet("worker"));
    line("  balance", &fil(miner, "worker_balance"));
    line("owner", wallet("owner"));
    let fees = miner.get("fees").cloned().unwrap_or_default();
    let count = |name: &str| fees.get(name).and_then(Value::as_u64).unwrap_or_default();
    line("fees of publish messages", &fil(&fees, "publish"));
    line("fees of moving money", &fil(&fees, "funds"));
    let untold = match count("untold") {
        0 => String::new(),
        untold => format!("; the node did not tell the fees of {untold} more"),
    };
    line("  messages", &format!("{}{untold}", count("messages")));
    for order in array(miner, "orders").iter().take(LISTED_MAX) {
        let shown = format!(
            "{} {} {}, {}",
            string(order, "created"),
            string(order, "kind"),
            fil(order, "amount"),
            outcome(order)
        );
        line(&format!("order {}", string(order, "id")), &shown);
    }
    text
}

/// How an order stands, in a few words.
fn outcome(order: &Value) -> String {
    match order.get("exit_code").and_then(Value::as_i64) {
        Some(0) => "executed".to_owned(),
        Some(code) => format!("executed, exit code {code}"),
        None => string(order, "state").to_owned(),
    }
}

/// An order for people.
fn order_text(order: &Value) -> String {
    let mut text = format!(
        "{} {} for {}: {}\n",
        string(order, "kind"),
        fil(order, "amount"),
        string(order, "miner"),
        outcome(order)
    );
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "  {name:<10} {value}");
        }
    };
    line("order", string(order, "id"));
    line("ordered", string(order, "created"));
    line("from", string(order, "from"));
    line("message", string(order, "message"));
    let code = order.get("exit_code").and_then(Value::as_i64);
    line(
        "exit code",
        &code.map(|code| code.to_string()).unwrap_or_default(),
    );
    if order.get("paid").is_some_and(Value::is_string) {
        let paid = format!("{} to the miner's owner", fil(order, "paid"));
        line("paid out", &paid);
        if string(order, "paid") != string(order, "amount") {
            line(
                "",
                "less than was asked for: the market actor pays what is free",
            );
        }
    } else if string(order, "kind") == "withdraw" {
        line("goes to", "the miner's owner, whoever sends the message");
    }
    if order.get("fee").is_some_and(Value::is_string) {
        line("fee", &fil(order, "fee"));
    }
    line("reason", string(order, "reason"));
    text
}

fn string<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn read(kind: &str, flags: &[&str]) -> Result<(Value, Option<Address>), Failure> {
        let words = flags.iter().map(OsString::from).collect();
        let mut arguments = pico_args::Arguments::from_vec(words);
        let (body, miner) = wish(&mut arguments, kind)?;
        args::finish(arguments)?;
        Ok((Value::Object(body), miner))
    }

    #[test]
    fn an_amount_is_fil_to_the_last_place_unless_it_has_a_unit() {
        for (amount, atto) in [
            ("1", "1000000000000000000"),
            ("0.000000000000000001", "1"),
            ("0.5FIL", "500000000000000000"),
            ("12 fil", "12000000000000000000"),
            ("7 attoFIL", "7"),
            (
                "123456789.123456789012345678",
                "123456789123456789012345678",
            ),
        ] {
            let (body, _) = read("add", &[amount]).unwrap();
            assert_eq!(body, json!({ "kind": "add", "amount": atto }), "{amount}");
        }
        for amount in [
            "",
            "0",
            "0.0 FIL",
            "1e3",
            "1,5",
            "+1",
            "0.0000000000000000001",
            "1 USD",
            "1.5aFIL",
        ] {
            let error = read("withdraw", &[amount]).unwrap_err();
            assert!(
                matches!(&error, Failure::Usage(text) if text.contains("0.5FIL")),
                "{error}"
            );
        }
    }

    #[test]
    fn flags_become_what_the_provider_takes() {
        let (body, miner) = read("withdraw", &["--all", "--miner", "f01000"]).unwrap();
        assert_eq!(body, json!({ "kind": "withdraw", "all": true }));
        assert_eq!(miner, Some(Address::id(1_000)));
        let (body, miner) = read("add", &["2", "--from", "f0101"]).unwrap();
        let expected = json!({ "kind": "add", "amount": "2000000000000000000", "from": "f0101" });
        assert_eq!((body, miner), (expected, None));
        for (kind, flags) in [
            ("add", &["--all"][..]),
            ("add", &[]),
            ("withdraw", &["--all", "1"]),
            ("add", &["1", "--from", "me"]),
            ("add", &["1", "--miner", "me"]),
            ("add", &["1", "2"]),
        ] {
            assert!(
                matches!(read(kind, flags), Err(Failure::Usage(_))),
                "{flags:?}"
            );
        }
    }

    #[test]
    fn an_order_says_where_it_is_and_where_the_money_goes() {
        let mut order = json!({
            "id": "u", "created": "t", "miner": "f01000", "kind": "withdraw", "amount": "5",
            "state": "ordered", "over": false, "message": null, "exit_code": null, "paid": null,
            "fee": null, "reason": "", "depth": null, "confidence": 10,
        });
        assert_eq!(progress(&order), "its message is being made");
        assert!(order_text(&order).contains("the miner's owner"));
        order["message"] = json!("bafy");
        order["reason"] = json!("it is away");
        assert_eq!(progress(&order), "bafy is being sent: it is away");
        order["state"] = json!("sent");
        order["reason"] = json!("");
        assert_eq!(progress(&order), "sent as bafy, not executed yet");
        order["depth"] = json!(3);
        assert_eq!(progress(&order), "bafy is executed, 3 of 10 epochs deep");
        order["state"] = json!("executed");
        order["exit_code"] = json!(0);
        order["paid"] = json!("3");
        let text = order_text(&order);
        assert!(
            text.contains("0.000000000000000003 FIL to the miner's owner"),
            "{text}"
        );
        assert!(text.contains("less than was asked for"), "{text}");
        order["exit_code"] = json!(18);
        assert!(order_text(&order).contains("exit code 18"));
    }
}
