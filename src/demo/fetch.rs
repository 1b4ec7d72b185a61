//! Fetches the piece back and compares it with the CAR.

use super::{DemoError, Event, failed};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

/// Requests that the piece is fetched with: several ranges, so that ranges are shown to work.
const RANGES: u64 = 4;

/// Fetches the piece in ranges and compares every byte.
pub(super) fn compare(url: &str, car: &Path) -> Result<Event, DemoError> {
    let begun = Instant::now();
    let mut file = std::fs::File::open(car).map_err(|error| failed("opening the CAR", error))?;
    let size = file
        .seek(SeekFrom::End(0))
        .map_err(|error| failed("reading the CAR", error))?;
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .proxy(None)
        .timeout_connect(Some(Duration::from_secs(5)))
        .timeout_recv_response(Some(Duration::from_secs(10)))
        .build()
        .into();
    let step = size.div_ceil(RANGES).max(1);
    let mut start = 0;
    let mut requests = 0;
    while start < size {
        let end = size.min(start + step);
        range(&agent, url, &mut file, start, end, size)
            .map_err(|error| failed(&format!("fetching bytes {start} to {end} of {url}"), error))?;
        start = end;
        requests += 1;
    }
    Ok(Event::Retrieved {
        bytes: size,
        requests,
        took: begun.elapsed(),
    })
}

fn range(
    agent: &ureq::Agent,
    url: &str,
    file: &mut std::fs::File,
    start: u64,
    end: u64,
    size: u64,
) -> Result<(), String> {
    let wanted = format!("bytes={start}-{}", end - 1);
    let response = agent
        .get(url)
        .header("Range", &wanted)
        .call()
        .map_err(|error| error.to_string())?;
    let expected = format!("bytes {start}-{}/{size}", end - 1);
    let given = response
        .headers()
        .get("Content-Range")
        .and_then(|value| value.to_str().ok());
    if response.status() != 206 || given != Some(expected.as_str()) {
        return Err(format!(
            "status {}, Content-Range {given:?}",
            response.status()
        ));
    }
    file.seek(SeekFrom::Start(start))
        .map_err(|error| error.to_string())?;
    let mut body = response
        .into_body()
        .into_with_config()
        .limit(u64::MAX)
        .reader();
    let (mut ours, mut theirs) = (vec![0; 128 * 1024], vec![0; 128 * 1024]);
    let mut at = start;
    while at < end {
        let room = usize::try_from(end - at)
            .unwrap_or(usize::MAX)
            .min(ours.len());
        let read = body
            .read(&mut theirs[..room])
            .map_err(|error| error.to_string())?;
        if read == 0 {
            return Err(format!("the body ends at byte {at}"));
        }
        file.read_exact(&mut ours[..read])
            .map_err(|error| error.to_string())?;
        if ours[..read] != theirs[..read] {
            return Err(format!("the piece differs from the CAR near byte {at}"));
        }
        at += read as u64;
    }
    if body
        .read(&mut theirs[..1])
        .map_err(|error| error.to_string())?
        != 0
    {
        return Err("more bytes than asked for".to_owned());
    }
    Ok(())
}
