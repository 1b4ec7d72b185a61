//! The settings as texts, with where each came from.

use super::{ConfigError, env_file, nearest};
use super::{SETTINGS, Setting};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The largest settings file or secret: many times what anybody writes.
const FILE_MAX: u64 = 64 * 1024;

/// The permissions that are not the owner's.
const OTHERS: u32 = 0o077;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The environment.
    Environment,
    /// `coracle.env` in the home directory, with the line.
    File(usize),
}

/// All texts, and all that was wrong in reading them.
#[derive(Debug)]
pub struct Raw {
    pub home: Result<PathBuf, ConfigError>,
    pub errors: Vec<ConfigError>,
    texts: BTreeMap<String, (String, Origin)>,
}

/// The home directory: `CORACLE_HOME`, else `.coracle` in the user's home.
pub fn home(get: &dyn Fn(&str) -> Option<String>) -> Result<PathBuf, ConfigError> {
    let given = get("CORACLE_HOME").filter(|text| !text.is_empty());
    let fallback = || {
        let user = get("HOME").filter(|text| !text.is_empty())?;
        Some(PathBuf::from(user).join(".coracle"))
    };
    given.map(PathBuf::from).or_else(fallback).ok_or_else(|| {
        ConfigError::new(
            "CORACLE_HOME",
            "is not set, and there is no HOME to put a directory in",
        )
    })
}

/// Is it ours, whether known or not?
fn is_ours(name: &str) -> bool {
    name.starts_with("CORACLE_")
        || ["FULLNODE_API_INFO", "MINER_API_INFO"].iter().any(|known| {
            name.strip_prefix(known)
                .is_some_and(|rest| matches!(rest, "" | "_FILE"))
        })
}

impl Raw {
    /// Reads the environment, then `coracle.env`, then the files of secrets.
    pub fn read(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut texts = BTreeMap::new();
        let mut errors = Vec::new();
        let mut user_home = None;
        for (name, value) in vars {
            let Some(name) = name.to_str() else { continue };
            match value.into_string() {
                Ok(value) if name == "HOME" => user_home = Some(value),
                Ok(value) if is_ours(name) => {
                    texts.insert(name.to_owned(), (value, Origin::Environment));
                }
                Err(_) if is_ours(name) => errors.push(ConfigError::new(name, "is no UTF-8 text")),
                _ => {}
            }
        }
        let home = home(&|name| match name {
            "HOME" => user_home.clone(),
            name => texts.get(name).map(|(text, _)| text.clone()),
        });
        let mut raw = Self {
            home,
            errors,
            texts,
        };
        raw.read_env_file();
        raw.read_secret_files();
        // An empty value is how an environment takes a setting back.
        raw.texts.retain(|_, (text, _)| !text.trim().is_empty());
        raw.find_unknown();
        raw
    }

    /// Was nothing of ours set anywhere?
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty() && self.texts.keys().all(|name| name == "CORACLE_HOME")
    }

    /// A setting's text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(|(text, _)| text.as_str())
    }

    /// Where it came from.
    pub fn origin(&self, name: &str) -> Option<&Origin> {
        self.texts.get(name).map(|(_, origin)| origin)
    }

    /// Name, setting, actor number and text of every `CORACLE_X_F01234`.
    pub fn overrides(&self) -> impl Iterator<Item = (&str, &'static Setting, u64, &str)> {
        self.texts.iter().filter_map(|(name, (text, _))| {
            let (setting, actor) = split_override(name)?;
            Some((name.as_str(), setting, actor, text.as_str()))
        })
    }

    fn read_env_file(&mut self) {
        let Ok(home) = &self.home else { return };
        let path = home.join("coracle.env");
        let place = |line: usize| format!("{} line {line}", path.display());
        let (text, private) = match read_bounded(&path) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            Err(error) => {
                let name = path.display().to_string();
                return self.errors.push(ConfigError::new(name, error.to_string()));
            }
        };
        for (line, result) in env_file::parse(&text) {
            match result {
                Err(reason) => self.errors.push(ConfigError::new(place(line), reason)),
                Ok((name, _)) if name == "CORACLE_HOME" => self.errors.push(ConfigError::new(
                    place(line),
                    "CORACLE_HOME is what this file is found by: set it in the environment",
                )),
                Ok((name, value)) if is_ours(&name) => {
                    let secret = setting(&name).is_some_and(|setting| setting.secret);
                    if secret && !private && !value.is_empty() {
                        let reason =
                            format!("{name} is a secret, and others can read this file: chmod 600");
                        self.errors.push(ConfigError::new(place(line), reason));
                    }
                    self.insert_from_file(name, value, line);
                }
                Ok(_) => {}
            }
        }
    }

    /// The environment wins, also over the other form of the same secret; in the file the last line wins.
    fn insert_from_file(&mut self, name: String, value: String, line: usize) {
        let other = match name.strip_suffix("_FILE") {
            Some(plain) => plain.to_owned(),
            None => format!("{name}_FILE"),
        };
        let from_environment = |name: &str| self.origin(name) == Some(&Origin::Environment);
        if !from_environment(&name) && !from_environment(&other) {
            self.texts.insert(name, (value, Origin::File(line)));
        }
    }

    /// `X_FILE` → `X` for every secret.
    fn read_secret_files(&mut self) {
        for setting in SETTINGS.iter().filter(|setting| setting.secret) {
            let name = format!("{}_FILE", setting.name);
            let Some((path, origin)) = self.texts.remove(&name) else {
                continue;
            };
            if path.trim().is_empty() {
                continue;
            }
            if self.text(setting.name).is_some_and(|text| !text.is_empty()) {
                let reason = format!("is set beside {}: keep one of them", setting.name);
                self.errors.push(ConfigError::new(name, reason));
                continue;
            }
            match read_secret(Path::new(path.trim())) {
                Ok(secret) => {
                    self.texts.insert(setting.name.to_owned(), (secret, origin));
                }
                Err(reason) => self.errors.push(ConfigError::new(name, reason)),
            }
        }
    }

    fn find_unknown(&mut self) {
        for name in self.texts.keys() {
            if setting(name).is_some() || split_override(name).is_some() {
                continue;
            }
            let known = SETTINGS.iter().map(|setting| setting.name);
            let reason = match nearest(name, known) {
                Some(near) => format!("is no setting; did you mean {near}?"),
                None => "is no setting; `coracle settings` lists them".to_owned(),
            };
            self.errors.push(ConfigError::new(name, reason));
        }
    }
}

fn setting(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// `CORACLE_X_F01234` or, on a test network, `CORACLE_X_T01234`.
fn split_override(name: &str) -> Option<(&'static Setting, u64)> {
    let (base, miner) = name.rsplit_once('_')?;
    let digits = miner
        .strip_prefix("F0")
        .or_else(|| miner.strip_prefix("T0"))?;
    Some((setting(base)?, digits.parse().ok()?))
}

/// The text of a file, and whether only its owner can read it.
fn read_bounded(path: &Path) -> std::io::Result<(String, bool)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(std::io::Error::other("is no file"));
    }
    let mut text = String::new();
    file.take(FILE_MAX.saturating_add(1))
        .read_to_string(&mut text)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > FILE_MAX {
        return Err(std::io::Error::other(format!(
            "is larger than {FILE_MAX} bytes"
        )));
    }
    Ok((text, metadata.mode() & OTHERS == 0))
}

fn read_secret(path: &Path) -> Result<String, String> {
    let (text, private) =
        read_bounded(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    if !private {
        return Err(format!("others can read {}: chmod 600", path.display()));
    }
    let text = text.trim();
    if text.is_empty() {
        Err(format!("{} is empty", path.display()))
    } else {
        Ok(text.to_owned())
    }
}
