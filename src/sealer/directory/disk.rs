//! Files of a hand-over directory: linked, written and removed so that a crash leaves nothing half.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// The owner's permission bits of everything that is laid out.
const OWNER: u32 = 0o600;

/// Read permission of group and others.
const READERS: u32 = 0o044;

/// Tries to link a file of one directory into the other; leaves nothing behind.
///
/// Numbers of devices alone do not say it: quotas, subvolumes and overlays refuse links within one device.
///
/// # Errors
/// In words for the operator.
pub(super) fn try_link(staging: &Path, directory: &Path) -> Result<(), String> {
    let name = format!(".coracle-link-{}", uuid::Uuid::new_v4().simple());
    let (from, to) = (staging.join(&name), directory.join(&name));
    let said = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
    std::fs::create_dir_all(staging).map_err(|error| said(staging, error))?;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(OWNER)
        .open(&from)
        .map_err(|error| said(staging, error))?;
    let linked = std::fs::hard_link(&from, &to);
    // Nothing else can be done if these fail; the next start makes another name.
    let _ = std::fs::remove_file(&from);
    let _ = std::fs::remove_file(&to);
    linked.map_err(|error| not_linked(staging, directory, &error))
}

fn not_linked(from: &Path, to: &Path, error: &io::Error) -> String {
    let why = match error.kind() {
        ErrorKind::CrossesDevices => {
            "they are on different file systems, and pieces are linked, not copied: put both on one"
                .to_owned()
        }
        _ => error.to_string(),
    };
    format!(
        "{} cannot be linked into {}: {why}",
        from.display(),
        to.display()
    )
}

/// Whether a file could be linked into a directory.
///
/// # Errors
/// In words for the operator.
pub(super) fn same_file_system(file: &Path, directory: &Path) -> Result<(), String> {
    let device = |path: &Path| {
        std::fs::metadata(path)
            .map(|found| found.dev())
            .map_err(|error| format!("{}: {error}", path.display()))
    };
    if device(file)? == device(directory)? {
        return Ok(());
    }
    Err(not_linked(
        file,
        directory,
        &io::Error::from(ErrorKind::CrossesDevices),
    ))
}

/// Links `from` to `to`; the bytes that then lie there. What lies there is kept, unless it may be replaced.
///
/// # Errors
/// In words for the operator.
pub(super) fn link(from: &Path, to: &Path, replace: bool) -> Result<u64, String> {
    let said = |error: io::Error| not_linked(from, to, &error);
    let source = std::fs::metadata(from).map_err(said)?;
    match std::fs::symlink_metadata(to) {
        Ok(there) if same(&source, &there) || (there.is_file() && !replace) => Ok(there.len()),
        Ok(_) => {
            // Left by a deal that is gone: another file may have been meant.
            std::fs::remove_file(to).map_err(said)?;
            make(from, to, &source)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => make(from, to, &source),
        Err(error) => Err(said(error)),
    }
}

fn same(one: &Metadata, other: &Metadata) -> bool {
    one.dev() == other.dev() && one.ino() == other.ino()
}

fn make(from: &Path, to: &Path, source: &Metadata) -> Result<u64, String> {
    std::fs::hard_link(from, to).map_err(|error| not_linked(from, to, &error))?;
    // A sealer of another user reads it if the directory lets that user read.
    if let Some(mode) = to.parent().and_then(readers)
        && source.permissions().mode() & mode != mode
        && let Err(error) = std::fs::set_permissions(
            to,
            Permissions::from_mode(source.permissions().mode() & 0o777 | mode),
        )
    {
        log::warn!(
            "{}: others may not be able to read it: {error}",
            to.display()
        );
    }
    Ok(source.len())
}

/// Read permissions that the directory gives to group and others: its files get the same.
fn readers(directory: &Path) -> Option<u32> {
    let found = std::fs::metadata(directory).ok()?;
    Some(found.permissions().mode() & READERS)
}

/// Writes a file under an unfinished name, syncs it and the directory, and renames it.
pub(super) fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let (Some(directory), Some(name)) = (file.parent(), file.file_name()) else {
        return Err(ErrorKind::InvalidInput.into());
    };
    let unfinished = directory.join(format!(".{}.tmp", name.to_string_lossy()));
    // Left by a crash, possibly with other permissions.
    remove(&unfinished)?;
    let mut open = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(OWNER)
        .open(&unfinished)?;
    open.write_all(bytes)?;
    open.set_permissions(Permissions::from_mode(
        OWNER | readers(directory).unwrap_or(0),
    ))?;
    open.sync_all()?;
    // The data's name first: a document without its data must not survive.
    sync(directory)?;
    std::fs::rename(&unfinished, file)
}

/// Syncs a file or a directory.
pub(super) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Removes a file; that it is not there is no error.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The content of a file; none if it is not there.
pub(super) fn read(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    match std::fs::metadata(path) {
        // Opening a pipe or device would wait.
        Ok(found) if !found.is_file() => return Err(io::Error::other("it is no file")),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(most.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most {
        return Err(io::Error::other("it is too large"));
    }
    Ok(Some(bytes))
}

/// The names in a directory that are wanted.
pub(super) fn names(directory: &Path, wanted: impl Fn(&str) -> bool) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        if let Ok(name) = entry?.file_name().into_string()
            && wanted(&name)
        {
            found.push(name);
        }
    }
    Ok(found)
}
