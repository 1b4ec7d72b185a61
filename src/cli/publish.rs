//! `coracle publish`: what waits to be published, and publishing it now.

use super::admin_client::Admin;
use super::terminal::{self, Table};
use super::{Failure, args};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Runs `coracle publish`.
pub fn run(mut arguments: pico_args::Arguments) -> Result<(), Failure> {
    let json = arguments.contains("--json");
    let now = arguments.contains("--now");
    let mut uuids = Vec::new();
    while now && let Some(text) = arguments.opt_free_from_str::<String>()? {
        let uuid = Uuid::parse_str(&text);
        uuids.push(uuid.map_err(|_| Failure::Usage(format!("{text:?} is no UUID")))?);
    }
    args::finish(arguments)?;
    if now {
        publish(&uuids, json)
    } else {
        show(json)
    }
}

fn publish(uuids: &[Uuid], json: bool) -> Result<(), Failure> {
    let named: Vec<String> = uuids.iter().map(Uuid::to_string).collect();
    let body = if named.is_empty() {
        json!({})
    } else {
        json!({ "uuids": named })
    };
    let answer = Admin::connect()?.post("/v1/publish", &body)?;
    if json {
        terminal::json(&answer);
    } else {
        match answer.get("deals").and_then(Value::as_u64).unwrap_or(0) {
            0 if named.is_empty() => terminal::line("no deal waits to be published"),
            0 => {}
            1 => terminal::line("publishing 1 deal"),
            deals => terminal::line(format_args!("publishing {deals} deals")),
        }
    }
    let meant: BTreeSet<&str> = list(&answer, "uuids").filter_map(Value::as_str).collect();
    let others: Vec<&str> = named
        .iter()
        .map(String::as_str)
        .filter(|uuid| !meant.contains(uuid))
        .collect();
    if others.is_empty() {
        return Ok(());
    }
    Err(Failure::Failed(format!(
        "not waiting to be published: {}",
        others.join(", ")
    )))
}

fn show(json: bool) -> Result<(), Failure> {
    let answer = Admin::connect()?.get("/v1/publish")?;
    if json {
        terminal::json(&answer);
        return Ok(());
    }
    let mut table = Table::new(&["miner", "deal", "waiting since", "published"]);
    let mut waits = 0_u64;
    for queue in list(&answer, "waiting") {
        let due = match text(queue, "due") {
            "" => "by `coracle publish --now`".to_owned(),
            due => format!("at {due}, or earlier with others"),
        };
        for deal in list(queue, "deals").filter_map(Value::as_str) {
            waits = waits.saturating_add(1);
            table.row([
                text(queue, "miner").to_owned(),
                deal.to_owned(),
                text(queue, "since").to_owned(),
                due.clone(),
            ]);
        }
    }
    if waits == 0 {
        terminal::line("no deal waits to be published");
    } else {
        table.print();
    }
    for message in list(&answer, "messages") {
        let deals: Vec<&str> = list(message, "deals").filter_map(Value::as_str).collect();
        let cid = match text(message, "publish_cid") {
            "" => "that is not sent yet",
            cid => cid,
        };
        terminal::line(format_args!("message {cid} with {}", deals.join(", ")));
        match text(message, "note") {
            "" => {}
            note => terminal::line(format_args!("  {note}")),
        }
    }
    Ok(())
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value
        .get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
