//! Directories: whether they can be written to, how much they hold, and what lies on which file system.

use super::Running;
use super::finding::{Finding, bytes_text};
use crate::config::Config;
use crate::sealer::Directory;
use rustix::fs::Access;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Below this the database cannot grow any more: the provider stops when a commit fails.
const HOME_FREE_MIN: u64 = 16 << 20;

/// Below this somebody should make room: a hundred thousand deals with their logs.
const HOME_FREE_GOOD: u64 = 512 << 20;

/// Below this not even a small piece can be taken.
const STAGING_FREE_MIN: u64 = 1 << 20;

/// Files of a directory whose sizes are added up where no provider tells.
const FILES_MAX: usize = 100_000;

/// One directory as it was found.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The setting's name.
    pub setting: &'static str,
    /// Where it is.
    pub path: PathBuf,
    /// The file system's number; none if that could not be told.
    pub device: Option<u64>,
    /// Bytes that are free for us.
    pub free: u64,
    /// Bytes that our files take there already.
    pub used: u64,
    /// The most that they may take; 0 is no limit.
    pub limit: u64,
}

/// Looks at home, staging and pieces, and at the hand-over directories.
pub(super) fn look(config: &Config, running: Option<&Running>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut places = Vec::new();
    for (setting, path, used, limit) in [
        ("CORACLE_HOME", &config.home, Some(0), 0),
        (
            "CORACLE_STAGING",
            &config.staging,
            running.map(|running| running.staging_reserved),
            config.staging_bytes_max,
        ),
        (
            "CORACLE_PIECES",
            &config.pieces,
            running.map(|running| running.kept_bytes),
            config.keep_pieces_bytes_max,
        ),
    ] {
        match place(setting, path) {
            Ok(found) => places.push(Place {
                used: used.unwrap_or_else(|| bytes_in(path)),
                limit,
                ..found
            }),
            Err(finding) => findings.push(finding),
        }
    }
    findings.extend(room(&places));
    findings.extend(moving(&places));
    findings.extend(handovers(config));
    findings
}

/// The nearest directory that exists: what is missing is made there.
fn existing(path: &Path) -> &Path {
    path.ancestors()
        .find(|ancestor| ancestor.exists())
        .unwrap_or(path)
}

/// A directory that is there, or could be made.
fn place(setting: &'static str, path: &Path) -> Result<Place, Finding> {
    let there = existing(path);
    let bad = |what: String, advice: String| Err(Finding::bad(setting, what, advice));
    let found = match std::fs::metadata(there) {
        Ok(found) if found.is_dir() => found,
        Ok(_) => {
            return bad(
                format!("{} is no directory", there.display()),
                format!("remove the file, or give {setting} another place"),
            );
        }
        Err(error) => {
            return bad(
                format!("{}: {error}", there.display()),
                format!("mend it, or give {setting} another place"),
            );
        }
    };
    if let Err(error) = rustix::fs::access(there, Access::WRITE_OK | Access::EXEC_OK) {
        return bad(
            format!("{} cannot be written to: {error}", there.display()),
            format!(
                "let the user that runs `coracle` own it (`chown`), or give {setting} another place"
            ),
        );
    }
    let free = rustix::fs::statvfs(there)
        .map_or(u64::MAX, |all| all.f_bavail.saturating_mul(all.f_frsize));
    Ok(Place {
        setting,
        path: path.to_owned(),
        device: Some(found.dev()),
        free,
        used: 0,
        limit: 0,
    })
}

/// Bytes of the files in a directory; what cannot be read does not count.
fn bytes_in(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return 0;
    };
    entries
        .take(FILES_MAX)
        .filter_map(|entry| entry.ok()?.metadata().ok())
        .filter(std::fs::Metadata::is_file)
        .fold(0, |sum, found| sum.saturating_add(found.len()))
}

/// Free space against the limits, one line per directory, then those whose limits are above it; directories on one file
/// system share what is free.
pub(super) fn room(places: &[Place]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = places.iter().map(room_of).collect();
    let mut devices: Vec<Option<u64>> = places.iter().map(|place| place.device).collect();
    devices.sort_unstable();
    devices.dedup();
    for device in devices {
        let on_it: Vec<&Place> = places
            .iter()
            .filter(|place| place.device == device && place.limit > 0)
            .collect();
        findings.extend(overbooked(&on_it));
    }
    findings
}

fn room_of(place: &Place) -> Finding {
    let (subject, path) = (place.setting, place.path.display());
    let free = bytes_text(place.free);
    if place.setting == "CORACLE_HOME" && place.free < HOME_FREE_GOOD {
        return Finding::wrong(
            place.free < HOME_FREE_MIN,
            subject,
            format!("{path} has only {free} free for the database"),
            "make room: the provider stops when its database cannot be written to",
        );
    }
    if place.setting == "CORACLE_STAGING" && place.free < STAGING_FREE_MIN {
        return Finding::bad(
            subject,
            format!("{path} has only {free} free"),
            "make room, or give CORACLE_STAGING another disk: every download would be refused",
        );
    }
    let most = match place.limit {
        0 => String::new(),
        limit => format!(", {} of {} used", bytes_text(place.used), bytes_text(limit)),
    };
    Finding::ok(subject, format!("{path} has {free} free{most}"))
}

/// Directories of one file system that may take more than it has.
fn overbooked(places: &[&Place]) -> Option<Finding> {
    let free = places.iter().map(|place| place.free).min()?;
    let wanted = places.iter().fold(0_u64, |sum, place| {
        sum.saturating_add(place.limit.saturating_sub(place.used))
    });
    if wanted <= free {
        return None;
    }
    let names: Vec<&str> = places.iter().map(|place| place.setting).collect();
    let limits: Vec<&str> = names.iter().map(|name| limit_of(name)).collect();
    Some(Finding::warn(
        "disk space",
        format!(
            "{} may take another {} together, {} are free",
            names.join(" and "),
            bytes_text(wanted),
            bytes_text(free)
        ),
        format!(
            "make room, or lower {}: deals are refused while the disk is full",
            limits.join(" or ")
        ),
    ))
}

fn limit_of(setting: &str) -> &'static str {
    match setting {
        "CORACLE_STAGING" => "CORACLE_STAGING_BYTES_MAX",
        _ => "CORACLE_KEEP_PIECES_BYTES_MAX",
    }
}

/// A piece moves from staging to pieces by its name alone, or not at all.
pub(super) fn moving(places: &[Place]) -> Option<Finding> {
    let of = |setting: &str| places.iter().find(|place| place.setting == setting);
    let (staging, pieces) = (of("CORACLE_STAGING")?, of("CORACLE_PIECES")?);
    // Where none is kept, nothing moves.
    if pieces.limit == 0 || staging.device == pieces.device {
        return None;
    }
    Some(Finding::warn(
        "CORACLE_PIECES",
        format!(
            "{} is on another file system than {}: pieces stay in staging instead of moving",
            pieces.path.display(),
            staging.path.display()
        ),
        "put both on one file system, or set CORACLE_KEEP_PIECES_BYTES_MAX=0 to keep none",
    ))
}

/// Each hand-over directory once: pieces are linked into it.
fn handovers(config: &Config) -> Vec<Finding> {
    let mut directories: Vec<&Path> = config
        .miners
        .iter()
        .filter_map(|miner| miner.handover_dir.as_deref())
        .collect();
    directories.sort_unstable();
    directories.dedup();
    let look = |path: &Path| match linked(path, &config.staging) {
        Ok(()) => Finding::ok(
            "CORACLE_HANDOVER_DIR",
            format!("pieces can be linked into {}", path.display()),
        ),
        Err(why) => Finding::bad(
            "CORACLE_HANDOVER_DIR",
            why,
            "the provider does not start with it: give it a directory on the file system of CORACLE_STAGING",
        ),
    };
    let mut findings: Vec<Finding> = directories.iter().map(|path| look(path)).collect();
    if let Some(folder) = &config.drop_folder {
        findings.extend(
            directories
                .iter()
                .filter_map(|path| elsewhere(path, folder)),
        );
    }
    findings
}

/// Tries a link where both directories are there, else compares the file systems on which they would be made.
fn linked(path: &Path, staging: &Path) -> Result<(), String> {
    if path.is_dir() && staging.is_dir() {
        return Directory::open(path, staging).map(drop);
    }
    let found = place("CORACLE_HANDOVER_DIR", path).map_err(|finding| finding.what)?;
    if found.device == device(staging) {
        return Ok(());
    }
    Err(format!(
        "{} and {} would be on different file systems, and pieces are linked, not copied",
        path.display(),
        staging.display()
    ))
}

fn device(path: &Path) -> Option<u64> {
    std::fs::metadata(existing(path))
        .ok()
        .map(|found| found.dev())
}

/// Imported files are handed over from where they lie.
fn elsewhere(path: &Path, folder: &Path) -> Option<Finding> {
    (device(path) != device(folder)).then(|| {
        Finding::warn(
            "CORACLE_DROP_FOLDER",
            format!(
                "{} is on another file system than CORACLE_HANDOVER_DIR {}",
                folder.display(),
                path.display()
            ),
            "put both on one file system: files are linked, not copied, and imports of such ones are refused",
        )
    })
}
