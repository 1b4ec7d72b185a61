//! `coracle deal log`: a deal's log as it is, or as it grows.

use super::{array, number, text, time, uuid};
use crate::cli::admin_client::Admin;
use crate::cli::{Failure, args, terminal};
use serde_json::Value;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Seconds that the provider may take to answer with the next line: below the client's time-out.
const WAIT: u64 = 20;

/// Between two questions that are answered at once without a line: the provider has too many followers.
const PAUSE: Duration = Duration::from_secs(2);

/// Runs `coracle deal log`.
pub(super) fn run(mut arguments: pico_args::Arguments) -> Result<(), Failure> {
    let json = arguments.contains("--json");
    let follows = arguments.contains(["-f", "--follow"]);
    let uuid = uuid(&mut arguments)?;
    args::finish(arguments)?;
    let admin = Admin::connect()?;
    if follows {
        return follow(&admin, uuid, json);
    }
    let answer = admin.get(&format!("/v1/deals/{uuid}/log"))?;
    if json {
        terminal::json(&answer);
        return Ok(());
    }
    for entry in array(&answer, "lines") {
        terminal::line(line(entry));
    }
    Ok(())
}

/// Prints the log and what is added to it until the deal has ended.
fn follow(admin: &Admin, uuid: Uuid, json: bool) -> Result<(), Failure> {
    let mut from = 0;
    let mut begun = false;
    loop {
        let asked = Instant::now();
        let path = format!("/v1/deals/{uuid}/log?from={from}&wait={WAIT}");
        let answer = match admin.get(&path) {
            Ok(answer) => answer,
            Err(failure) if begun => return Err(gone(uuid, &failure)),
            Err(failure) => return Err(failure),
        };
        begun = true;
        let lines = array(&answer, "lines");
        if let Some(lost) = lost(from, lines) {
            terminal::error_line(&lost);
        }
        for entry in lines {
            if json {
                terminal::json(entry);
            } else {
                terminal::line(line(entry));
            }
        }
        from = number(&answer, "next").unwrap_or(from);
        if answer.get("ended").and_then(Value::as_bool) == Some(true) {
            terminal::error_line(&ended(uuid, &answer));
            return Ok(());
        }
        if lines.is_empty() && asked.elapsed() < PAUSE {
            std::thread::sleep(PAUSE);
        }
    }
}

fn line(entry: &Value) -> String {
    let level = text(entry, "level").to_uppercase();
    format!("{} {level:<5} {}", time(entry, "time"), text(entry, "text"))
}

/// What is said where lines have gone before they were asked for: the log keeps the newest ones.
fn lost(from: u64, lines: &[Value]) -> Option<String> {
    let first = lines.first().and_then(|line| number(line, "number"))?;
    match first.checked_sub(from) {
        None | Some(0) => None,
        Some(1) => Some("(1 older line has gone)".to_owned()),
        Some(lost) => Some(format!("({lost} older lines have gone)")),
    }
}

fn ended(uuid: Uuid, answer: &Value) -> String {
    let error = text(answer, "error");
    let error = if error.is_empty() {
        String::new()
    } else {
        format!(": {error}")
    };
    format!(
        "Deal {uuid} has ended, {}{error}.",
        text(answer, "checkpoint")
    )
}

/// The provider went away in between.
fn gone(uuid: Uuid, failure: &Failure) -> Failure {
    match failure {
        Failure::Failed(why) => Failure::Failed(format!(
            "the provider has stopped or cannot be reached: {why}\n\
             The deal goes on when it runs again: `coracle deal log -f {uuid}`."
        )),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_has_no_control_characters() {
        let entry = json!({"time": "t", "level": "WARN", "text": "a\nb\u{1b}[31m"});
        assert_eq!(line(&entry), "t WARN  a b [31m");
    }

    #[test]
    fn lines_that_have_gone_are_counted() {
        let lines = |first: u64| [json!({ "number": first }), json!({ "number": first + 1 })];
        assert_eq!(lost(0, &lines(0)), None);
        assert_eq!(lost(7, &lines(7)), None);
        assert_eq!(lost(7, &[]), None);
        assert_eq!(
            lost(0, &lines(1)).as_deref(),
            Some("(1 older line has gone)")
        );
        let many = lost(7, &lines(107));
        assert_eq!(many.as_deref(), Some("(100 older lines have gone)"));
    }

    #[test]
    fn the_end_is_said_with_its_reason() {
        let uuid = Uuid::nil();
        let answer = |error: &str| json!({"checkpoint": "Complete", "error": error});
        assert_eq!(
            ended(uuid, &answer("Cancelled")),
            "Deal 00000000-0000-0000-0000-000000000000 has ended, Complete: Cancelled."
        );
        assert!(ended(uuid, &answer("")).ends_with("has ended, Complete."));
    }
}
