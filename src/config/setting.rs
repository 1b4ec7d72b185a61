//! What a setting is: its name, default, unit, meaning and parser.

use super::{Config, MinerConfig};

/// Puts a text into its typed place.
#[derive(Debug, Clone, Copy)]
pub enum Apply {
    /// One value for the whole provider.
    Provider(fn(&mut Config, &str) -> Result<(), String>),
    /// One value per miner: `CORACLE_X_F01234` overrides `CORACLE_X`.
    Miner(fn(&mut MinerConfig, &str) -> Result<(), String>),
}

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// The variable.
    pub name: &'static str,
    /// The text that stands in for a value; `None`: there is none.
    pub default: Option<&'static str>,
    /// What kind of text it is.
    pub unit: &'static str,
    /// What it decides, and why the default is what it is. One line.
    pub about: &'static str,
    /// Must it be set?
    pub required: bool,
    /// Is its value never shown, and may `<name>_FILE` give its file?
    pub secret: bool,
    /// The parser.
    pub(super) apply: Apply,
}

impl Setting {
    /// May it be overridden for one miner?
    pub fn per_miner(&self) -> bool {
        matches!(self.apply, Apply::Miner(_))
    }

    pub(super) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(super) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}

/// A setting of the whole provider. An empty default means none.
pub(super) const fn provider(
    name: &'static str,
    default: &'static str,
    unit: &'static str,
    about: &'static str,
    apply: fn(&mut Config, &str) -> Result<(), String>,
) -> Setting {
    setting(name, default, unit, about, Apply::Provider(apply))
}

/// A setting that may differ from miner to miner.
pub(super) const fn miner(
    name: &'static str,
    default: &'static str,
    unit: &'static str,
    about: &'static str,
    apply: fn(&mut MinerConfig, &str) -> Result<(), String>,
) -> Setting {
    setting(name, default, unit, about, Apply::Miner(apply))
}

const fn setting(
    name: &'static str,
    default: &'static str,
    unit: &'static str,
    about: &'static str,
    apply: Apply,
) -> Setting {
    let default = if default.is_empty() {
        None
    } else {
        Some(default)
    };
    Setting {
        name,
        default,
        unit,
        about,
        required: false,
        secret: false,
        apply,
    }
}
