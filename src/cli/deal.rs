//! `coracle deal …`: what the running provider has, and what it shall do.

mod log;
mod refused;

use super::admin_client::{Admin, array, query_escape};
use super::terminal::{self, Bytes, Table};
use super::{Failure, args};
use serde_json::{Value, json};
use std::fmt::Write as _;
use uuid::Uuid;

/// Deals that `list` asks for unless told otherwise: one screen.
const LIST_DEFAULT: u32 = 50;

/// Runs `coracle deal`.
pub fn run(mut arguments: pico_args::Arguments) -> Result<(), Failure> {
    let verb = arguments.subcommand()?;
    match verb.as_deref() {
        Some("list") => list(arguments),
        Some("show") => show(arguments),
        Some("log") => log::run(arguments),
        Some(verb @ ("retry" | "cancel" | "fail")) => act(verb, arguments, &json!({})),
        Some("sealed") => sealed(arguments),
        Some(other) => Err(Failure::Usage(format!(
            "unknown command deal {other:?}: list, show, log, retry, cancel, fail or sealed"
        ))),
        None => Err(Failure::Usage(
            "deal needs list, show, log, retry, cancel, fail or sealed".to_owned(),
        )),
    }
}

fn list(mut arguments: pico_args::Arguments) -> Result<(), Failure> {
    let json = arguments.contains("--json");
    let limit: Option<u32> = arguments.opt_value_from_str("--limit")?;
    let state: Option<String> = arguments.opt_value_from_str("--state")?;
    let query: Option<String> = arguments.opt_value_from_str("--query")?;
    let refused = arguments.contains("--refused");
    args::finish(arguments)?;
    if refused {
        if state.is_some() || query.is_some() {
            return Err(Failure::Usage(
                "--state and --query choose among deals, --refused lists what did not become one"
                    .to_owned(),
            ));
        }
        return refused::list(limit.unwrap_or(LIST_DEFAULT), json);
    }
    let mut path = format!("/v1/deals?limit={}", limit.unwrap_or(LIST_DEFAULT));
    for (name, value) in [("state", state), ("query", query)] {
        if let Some(value) = value {
            // Writing to a String cannot fail.
            let _ = write!(path, "&{name}={}", query_escape(&value));
        }
    }
    let answer = Admin::connect()?.get(&path)?;
    if json {
        terminal::json(&answer);
        return Ok(());
    }
    let mut table = Table::new(&[
        "uuid", "created", "state", "miner", "piece", "received", "sector", "note",
    ]);
    for deal in array(&answer, "deals") {
        table.row(list_row(deal));
    }
    table.print();
    if answer.get("more").and_then(Value::as_bool) == Some(true) {
        terminal::error_line("There are more: --limit N, --state CHECKPOINT or --query TEXT.");
    }
    Ok(())
}

fn list_row(deal: &Value) -> [String; 8] {
    [
        text(deal, "uuid"),
        time(deal, "created"),
        text(deal, "checkpoint"),
        text(deal, "miner"),
        number(deal, "piece_size").map_or_else(String::new, |size| Bytes(size).to_string()),
        received(deal),
        text(deal, "sector"),
        note(deal),
    ]
}

/// What a person looks for: the error, else what is known of the deal on chain, else what the sealer does, else what is
/// waited for.
fn note(deal: &Value) -> String {
    let waits = text(deal, "waits_for");
    let late = deal.get("late").and_then(Value::as_bool) == Some(true) && !waits.is_empty();
    let on_chain = match (text(deal, "on_chain"), number(deal, "ended_epoch")) {
        (word, Some(epoch)) if !word.is_empty() => format!("{word} at epoch {epoch}"),
        (word, _) => word,
    };
    let candidates = [
        text(deal, "error"),
        if late {
            format!("start epoch passed, waits for {waits}")
        } else {
            String::new()
        },
        on_chain,
        text(deal, "sealing"),
        if waits.is_empty() {
            String::new()
        } else {
            format!("waits for {waits}")
        },
    ];
    let said = candidates.into_iter().find(|text| !text.is_empty());
    said.unwrap_or_default()
}

/// `Offline`, or how much of the data is there.
fn received(deal: &Value) -> String {
    let bytes = number(deal, "bytes_received").unwrap_or(0);
    let size = number(deal, "transfer_size").unwrap_or(0);
    if bytes == 0 && deal.get("offline").and_then(Value::as_bool) == Some(true) {
        return "offline".to_owned();
    }
    if size == 0 {
        return Bytes(bytes).to_string();
    }
    let percent = u128::from(bytes)
        .saturating_mul(100)
        .checked_div(u128::from(size));
    format!("{} %", percent.unwrap_or(0).min(100))
}

fn show(mut arguments: pico_args::Arguments) -> Result<(), Failure> {
    let json = arguments.contains("--json");
    let uuid = uuid(&mut arguments)?;
    args::finish(arguments)?;
    let deal = Admin::connect()?.get(&format!("/v1/deals/{uuid}"))?;
    if json {
        terminal::json(&deal);
    } else {
        terminal::print(&fields(&deal));
    }
    Ok(())
}

/// One `name value` line per field that has a value, whatever fields the provider knows.
fn fields(deal: &Value) -> String {
    // The ones that a person asks for first come first; the others follow as they are.
    const FIRST: [&str; 9] = [
        "uuid",
        "checkpoint",
        "error",
        "miner",
        "client",
        "piece_cid",
        "piece_size",
        "bytes_received",
        "transfer_size",
    ];
    let Some(fields) = deal.as_object() else {
        return String::new();
    };
    let first = FIRST
        .iter()
        .copied()
        .filter(|name| fields.contains_key(*name));
    let others = fields
        .keys()
        .map(String::as_str)
        .filter(|name| !FIRST.contains(name));
    let mut shown = String::new();
    for name in first.chain(others) {
        let value = match name {
            "created" | "updated" => time(deal, name),
            "piece_size" | "bytes_received" | "transfer_size" => {
                let size = number(deal, name);
                size.map_or_else(String::new, |size| format!("{size} ({})", Bytes(size)))
            }
            name => text(deal, name),
        };
        if !value.is_empty() {
            let _ = writeln!(shown, "{:<20} {value}", name.replace('_', " "));
        }
    }
    shown
}

/// What a sealer did with a piece that lay ready for it, in the operator's words.
fn sealed(mut arguments: pico_args::Arguments) -> Result<(), Failure> {
    let sector: u64 = arguments.value_from_str("--sector")?;
    let offset: Option<u64> = arguments.opt_value_from_str("--offset")?;
    let place = json!({ "sector": sector, "offset": offset.unwrap_or(0) });
    act("sealed", arguments, &place)
}

fn act(verb: &str, mut arguments: pico_args::Arguments, body: &Value) -> Result<(), Failure> {
    let json = arguments.contains("--json");
    let uuid = uuid(&mut arguments)?;
    args::finish(arguments)?;
    let answer = Admin::connect()?.post(&format!("/v1/deals/{uuid}/{verb}"), body)?;
    if json {
        terminal::json(&answer);
    } else {
        terminal::line(format_args!("deal {uuid}: {verb} accepted"));
    }
    Ok(())
}

/// The next argument as a deal's UUID.
pub(super) fn uuid(arguments: &mut pico_args::Arguments) -> Result<Uuid, Failure> {
    let given = args::required(arguments, "the deal's UUID")?;
    Uuid::parse_str(&given).map_err(|_| Failure::Usage(format!("{given:?} is no UUID")))
}

fn number(value: &Value, name: &str) -> Option<u64> {
    value.get(name).and_then(Value::as_u64)
}

/// A field as text without control characters: peers wrote some of it.
fn text(value: &Value, name: &str) -> String {
    let text = match value.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(true)) => "yes".to_owned(),
        Some(Value::Bool(false)) => "no".to_owned(),
        Some(other) => other.to_string(),
    };
    text.replace(char::is_control, " ")
}

/// A time given in milliseconds since 1970.
fn time(value: &Value, name: &str) -> String {
    number(value, name).map_or_else(|| text(value, name), terminal::time_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Value {
        json!({
            "uuid": "3f0b", "checkpoint": "Accepted", "miner": "f01000", "client": "f1x",
            "piece_cid": "baga", "piece_size": 34_359_738_368_u64, "offline": false, "error": "",
            "bytes_received": 500, "transfer_size": 1000, "sector": null, "sealing": "Packing",
            "created": 1000, "updated": 2000
        })
    }

    #[test]
    fn a_row_shows_size_share_and_state() {
        assert_eq!(
            list_row(&sample()),
            [
                "3f0b",
                "1970-01-01T00:00:01.000Z",
                "Accepted",
                "f01000",
                "32 GiB",
                "50 %",
                "",
                "Packing"
            ]
            .map(str::to_owned)
        );
    }

    #[test]
    fn an_error_is_shown_before_the_sealing_state() {
        let mut deal = sample();
        deal["error"] = json!("no space\n\u{1b}[31m");
        assert_eq!(list_row(&deal)[7], "no space  [31m");
    }

    #[test]
    fn the_note_says_what_is_known_best() {
        let of = |value: Value| note(&value);
        assert_eq!(of(json!({"waits_for": "import"})), "waits for import");
        let mut deal = json!({"waits_for": "sealing", "sealing": "PreCommit1"});
        assert_eq!(note(&deal), "PreCommit1");
        deal["late"] = json!(true);
        assert_eq!(note(&deal), "start epoch passed, waits for sealing");
        let mut sealed =
            json!({"waits_for": "", "sealing": "Proving", "late": true, "on_chain": ""});
        assert_eq!(note(&sealed), "Proving");
        sealed["on_chain"] = json!("active");
        assert_eq!(note(&sealed), "active");
        sealed["on_chain"] = json!("terminated");
        sealed["ended_epoch"] = json!(77);
        assert_eq!(note(&sealed), "terminated at epoch 77");
        sealed["error"] = json!("an error");
        assert_eq!(note(&sealed), "an error");
        assert_eq!(of(json!({})), "");
    }

    #[test]
    fn received_never_divides_by_zero_or_passes_a_hundred() {
        let of = |value: Value| received(&value);
        assert_eq!(of(json!({"bytes_received": 7, "transfer_size": 0})), "7 B");
        assert_eq!(
            of(json!({"bytes_received": u64::MAX, "transfer_size": 1})),
            "100 %"
        );
        assert_eq!(
            of(json!({"bytes_received": 0, "offline": true, "transfer_size": 9})),
            "offline"
        );
        assert_eq!(
            of(json!({"bytes_received": 9, "offline": true, "transfer_size": 9})),
            "100 %"
        );
        assert_eq!(of(json!({})), "0 B");
    }

    #[test]
    fn show_leaves_out_what_is_not_known_and_keeps_what_is_new() {
        let mut deal = sample();
        deal["some_new_field"] = json!(3);
        let shown = fields(&deal);
        assert!(
            shown.starts_with("uuid                 3f0b\ncheckpoint           Accepted\n"),
            "{shown}"
        );
        assert!(shown.contains("piece size           34359738368 (32 GiB)\n"));
        assert!(shown.contains("some new field       3\n"));
        assert!(shown.contains("created              1970-01-01T00:00:01.000Z\n"));
        assert!(!shown.contains("sector") && !shown.contains("error"));
    }
}
