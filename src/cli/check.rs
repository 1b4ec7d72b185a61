//! `coracle check`: everything that a deal needs, one line each, with what to do.

use super::admin_client::Admin;
use super::{Failure, args, logger, settings, terminal};
use crate::config::{Config, Place};
use crate::filecoin::{Address, TokenAmount};
use crate::provider::check::{self, Finding, Held, Level, Running};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Runs `coracle check`.
///
/// # Errors
/// Wrong settings; and, when all is printed, that a deal could not succeed.
pub fn run(mut arguments: pico_args::Arguments) -> Result<(), Failure> {
    let json = arguments.contains("--json");
    args::finish(arguments)?;
    let config = settings::load()?;
    // What there is to say stands in the lines.
    logger::start(log::LevelFilter::Off);
    let running = running(&config);
    let findings = check::run(&config, running.as_ref());
    if json {
        terminal::json(&as_json(&findings, running.is_some()));
    } else {
        terminal::print(&text(&findings));
    }
    match count(&findings, Level::Bad) {
        0 => Ok(()),
        bad => Err(Failure::Failed(format!(
            "a deal could not succeed: {bad} of {} lines say what is wrong",
            findings.len()
        ))),
    }
}

/// The provider of this home directory; none if it does not answer.
fn running(config: &Config) -> Option<Running> {
    let place = Place {
        home: config.home.clone(),
        admin_listen: config.admin_listen,
    };
    let info = Admin::at(&place).ok()?.get("/v1/info").ok()?;
    let addresses = info.get("addresses").and_then(Value::as_array);
    let number = |name: &str| info.get(name).and_then(Value::as_u64).unwrap_or(0);
    Some(Running {
        peer: info.get("peer_id")?.as_str()?.parse().ok()?,
        addresses: addresses
            .into_iter()
            .flatten()
            .filter_map(|address| address.as_str()?.parse().ok())
            .collect(),
        staging_reserved: number("staging_reserved"),
        kept_bytes: number("kept_bytes"),
        held: held(&info),
    })
}

/// What it holds for each miner.
fn held(info: &Value) -> BTreeMap<Address, Held> {
    let miners = info.get("miners").and_then(Value::as_array);
    let miners = miners.into_iter().flatten();
    let held = miners.filter_map(|miner| {
        let amount = |name: &str| TokenAmount::parse_atto(miner.get(name)?.as_str()?);
        let held = Held {
            collateral: amount("collateral_reserved")?,
            fees: amount("publish_reserved")?,
        };
        Some((miner.get("miner")?.as_str()?.parse().ok()?, held))
    });
    held.collect()
}

fn count(findings: &[Finding], level: Level) -> usize {
    let of_level = findings.iter().filter(|finding| finding.level == level);
    of_level.count()
}

/// One line per finding, then what to do, indented; the verdict, unless it is the failure that is told at the end.
fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let mut add = |line: &str| {
            text.push_str(line);
            text.push('\n');
        };
        let level = finding.level.name();
        add(&format!(
            "{level:<4}  {}: {}",
            finding.subject, finding.what
        ));
        if !finding.advice.is_empty() {
            add(&format!("      -> {}", finding.advice));
        }
        for command in &finding.commands {
            add(&format!("         {command}"));
        }
    }
    if count(findings, Level::Bad) == 0 {
        let warn = count(findings, Level::Warn);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "a deal can succeed; warnings: {warn}");
    }
    text
}

fn as_json(findings: &[Finding], running: bool) -> Value {
    let lines: Vec<Value> = findings
        .iter()
        .map(|finding| {
            json!({
                "level": finding.level.name(),
                "subject": finding.subject,
                "what": finding.what,
                "do": finding.advice,
                "run": finding.commands,
            })
        })
        .collect();
    json!({
        "could_succeed": count(findings, Level::Bad) == 0,
        "bad": count(findings, Level::Bad),
        "warn": count(findings, Level::Warn),
        "provider_runs": running,
        "findings": lines,
    })
}
