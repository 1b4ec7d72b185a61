//! `coracle deal list --refused`: proposals that were not taken, and why.

use super::super::Failure;
use super::super::admin_client::Admin;
use super::super::terminal::{self, Bytes, Table};
use super::{array, number, text, time};
use serde_json::Value;

/// Shows the newest refusals.
pub fn list(limit: u32, json: bool) -> Result<(), Failure> {
    let answer = Admin::connect()?.get(&format!("/v1/refusals?limit={limit}"))?;
    if json {
        terminal::json(&answer);
        return Ok(());
    }
    let mut table = Table::new(&["refused", "uuid", "miner", "client", "piece", "why"]);
    for refused in array(&answer, "refusals") {
        table.row(row(refused));
    }
    table.print();
    Ok(())
}

fn row(refused: &Value) -> [String; 6] {
    let why = text(refused, "log");
    [
        time(refused, "time"),
        text(refused, "uuid"),
        text(refused, "miner"),
        text(refused, "client"),
        number(refused, "piece_size").map_or_else(String::new, |size| Bytes(size).to_string()),
        match number(refused, "left_out") {
            None | Some(0) => why,
            Some(more) => format!("{why} (and {more} more refusals that were not kept)"),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_says_why_and_how_many_are_missing() {
        let mut refused = json!({
            "time": "2026-01-02T03:04:05.123Z", "uuid": "3f0b", "miner": "f01000", "client": "f1x",
            "piece_size": 2048, "told": "no", "log": "no;\u{1b}[31m raise it", "left_out": 0,
        });
        let shown = row(&refused);
        assert_eq!(
            shown[..5],
            ["2026-01-02T03:04:05.123Z", "3f0b", "f01000", "f1x", "2 KiB"]
        );
        assert_eq!(shown[5], "no; [31m raise it");
        refused["left_out"] = json!(7);
        assert!(row(&refused)[5].ends_with(" (and 7 more refusals that were not kept)"));
    }
}
