//! The settings for people and for documents.

use super::raw::{Origin, Raw};
use super::{ConfigErrors, SETTINGS, Setting, resolve};
use std::ffi::OsString;
use std::fmt::Write as _;

/// One setting as it stands.
#[derive(Debug)]
pub struct Row {
    /// The setting.
    pub setting: &'static Setting,
    /// The variable: the setting's name, or an override's.
    pub name: String,
    /// The text given, hidden for a secret; `None`: the default counts.
    pub given: Option<String>,
    /// Where it came from: `environment`, `coracle.env line 3`, `default`.
    pub origin: String,
}

/// Every setting, each followed by its overrides, and what is wrong with them.
pub fn rows(
    vars: impl IntoIterator<Item = (OsString, OsString)>,
) -> (Vec<Row>, Option<ConfigErrors>) {
    let raw = Raw::read(vars);
    let mut rows = Vec::new();
    for setting in SETTINGS {
        rows.push(row(&raw, setting, setting.name));
        let overrides = raw
            .overrides()
            .filter(|(_, of, ..)| of.name == setting.name);
        rows.extend(overrides.map(|(name, ..)| row(&raw, setting, name)));
    }
    let errors = resolve(&raw).err().map(|all| ConfigErrors {
        all,
        nothing_set: raw.is_empty(),
    });
    (rows, errors)
}

fn row(raw: &Raw, setting: &'static Setting, name: &str) -> Row {
    let hide = |text: &str| {
        if setting.secret {
            "(hidden)".to_owned()
        } else {
            text.to_owned()
        }
    };
    Row {
        setting,
        name: name.to_owned(),
        given: raw.text(name).map(hide),
        origin: match raw.origin(name) {
            Some(Origin::Environment) => "environment".to_owned(),
            Some(Origin::File(line)) => format!("coracle.env line {line}"),
            None => "default".to_owned(),
        },
    }
}

/// What stands in for a value that is not given.
pub fn default_text(setting: &Setting) -> &'static str {
    match setting.default {
        Some(text) => text,
        None if setting.required => "(required)",
        None => "",
    }
}

/// The README's table.
pub fn markdown() -> String {
    let mut text = String::from("| Variable | Default | Unit | Meaning |\n|---|---|---|---|\n");
    for setting in SETTINGS {
        let default = match setting.default {
            Some(default) => format!("`{default}`"),
            None => default_text(setting).to_owned(),
        };
        let marks = match (setting.per_miner(), setting.secret) {
            (true, _) => " ¹",
            (_, true) => " ²",
            _ => "",
        };
        let cells = (
            setting.name,
            setting.unit,
            setting.about.replace('|', "\\|"),
        );
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| `{}`{marks} | {default} | {} | {} |",
            cells.0, cells.1, cells.2
        );
    }
    text.push_str(
        "\n¹ may differ from miner to miner: `CORACLE_X_F01234` overrides `CORACLE_X` for f01234.\n\
         ² a secret: the name with `_FILE` at its end names a file that has it, readable by its owner only.\n",
    );
    text
}
