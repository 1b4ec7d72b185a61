//! `coracle settings`: every setting with what it is set to; and the reading of them for `run`.

use super::terminal::{self, Table};
use super::{Failure, args};
use crate::config::{Config, ConfigErrors, report};
use std::ffi::OsString;

/// What an operator needs who has set nothing yet.
const INTRODUCTION: &str = "\
nothing is set: a provider needs CORACLE_MINERS, FULLNODE_API_INFO and MINER_API_INFO (`coracle settings` lists all)
To see a whole deal without any of them: `coracle demo`
To have a chain node and a miner to point them at: `coracle devnet`";

/// Reads the settings of this process for a command that needs all of them.
pub fn load() -> Result<Config, Failure> {
    Config::from_env(std::env::vars_os()).map_err(|errors| explain(&errors))
}

fn explain(errors: &ConfigErrors) -> Failure {
    if errors.nothing_set {
        return Failure::Usage(INTRODUCTION.to_owned());
    }
    Failure::Usage(format!("the settings are wrong:\n{errors}"))
}

/// Runs `coracle settings`.
pub fn run(mut arguments: pico_args::Arguments) -> Result<(), Failure> {
    let markdown = arguments.contains("--markdown");
    let json = arguments.contains("--json");
    args::finish(arguments)?;
    if markdown && json {
        return Err(Failure::Usage("--markdown or --json, not both".to_owned()));
    }
    if markdown {
        terminal::print(&report::markdown());
        return Ok(());
    }
    show(std::env::vars_os(), json)
}

/// Prints the settings, then fails if one that was given is wrong.
fn show(vars: impl IntoIterator<Item = (OsString, OsString)>, json: bool) -> Result<(), Failure> {
    let (rows, errors) = report::rows(vars);
    if json {
        let rows: Vec<serde_json::Value> = rows.iter().map(row_json).collect();
        let errors = errors.iter().flat_map(|errors| &errors.all);
        let errors: Vec<serde_json::Value> = errors
            .map(|error| serde_json::json!({ "name": error.name, "reason": error.reason }))
            .collect();
        terminal::json(&serde_json::json!({ "settings": rows, "errors": errors }));
    } else {
        let mut table = Table::new(&["variable", "value", "from", "unit", "meaning"]);
        for row in &rows {
            let value = row.given.clone();
            let value = value.unwrap_or_else(|| report::default_text(row.setting).to_owned());
            let (unit, about) = (row.setting.unit.to_owned(), row.setting.about.to_owned());
            table.row([row.name.clone(), value, row.origin.clone(), unit, about]);
        }
        table.print();
    }
    match errors {
        Some(errors) if !errors.nothing_set => Err(explain(&errors)),
        _ => Ok(()),
    }
}

fn row_json(row: &report::Row) -> serde_json::Value {
    serde_json::json!({
        "name": row.name,
        "value": row.given.as_deref().or(row.setting.default),
        "from": row.origin,
        "default": row.setting.default,
        "unit": row.setting.unit,
        "about": row.setting.about,
        "required": row.setting.required,
        "secret": row.setting.secret,
        "per_miner": row.setting.per_miner(),
    })
}
