//! `coracle import`: gives the data of offline deals to the running provider.

use super::admin_client::Admin;
use super::{Failure, args, deal, terminal};
use serde_json::{Value, json};
use std::io::Read;
use std::path::Path;
use uuid::Uuid;

/// Imports in one request: thousands are sent piece by piece, so that none of them is long.
const SENT_AT_ONCE_MAX: usize = 500;

/// Bytes of paths in one request; the provider's limit of a body is far above it.
const SENT_BYTES_MAX: usize = 256 * 1024;

/// Bytes of a list: a hundred thousand imports with long paths.
const LIST_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Runs `coracle import UUID FILE…` and `coracle import --list FILE`.
pub fn run(mut arguments: pico_args::Arguments) -> Result<(), Failure> {
    let json = arguments.contains("--json");
    let delete = arguments.contains("--delete-after-import");
    let list: Option<String> = arguments.opt_value_from_str("--list")?;
    let pairs = match list {
        Some(list) => {
            args::finish(arguments)?;
            parse_list(&read_list(&list)?)?
        }
        None => pairs(arguments)?,
    };
    match pairs.as_slice() {
        [] => Err(Failure::Usage("the list names no import".to_owned())),
        [(uuid, path)] => one(*uuid, path, delete, json),
        many => several(many, delete, json),
    }
}

/// `UUID FILE`, once or more often.
fn pairs(mut arguments: pico_args::Arguments) -> Result<Vec<(Uuid, String)>, Failure> {
    let mut pairs = Vec::new();
    loop {
        let uuid = deal::uuid(&mut arguments)?;
        let file = args::required(&mut arguments, "the file with the deal's data")?;
        pairs.push((uuid, absolute(&file)?));
        let rest = arguments.clone().finish();
        let more = rest
            .first()
            .is_some_and(|next| !next.to_string_lossy().starts_with('-'));
        if !more {
            args::finish(arguments)?;
            return Ok(pairs);
        }
    }
}

/// The provider has another working directory.
fn absolute(file: &str) -> Result<String, Failure> {
    let path = std::path::absolute(Path::new(file))
        .map_err(|error| Failure::Usage(format!("{file:?}: {error}")))?;
    match path.to_str() {
        Some(path) => Ok(path.to_owned()),
        None => Err(Failure::Usage(format!(
            "the path of {file:?} is no UTF-8 text"
        ))),
    }
}

fn read_list(name: &str) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::Failed(format!("{name}: {error}"));
    let mut text = String::new();
    let limit = LIST_BYTES_MAX.saturating_add(1);
    let read = if name == "-" {
        std::io::stdin().take(limit).read_to_string(&mut text)
    } else {
        let file = std::fs::File::open(name).map_err(failed)?;
        file.take(limit).read_to_string(&mut text)
    };
    let read = read.map_err(failed)?;
    if u64::try_from(read).unwrap_or(u64::MAX) > LIST_BYTES_MAX {
        return Err(Failure::Usage(format!(
            "{name}: a list has at most {LIST_BYTES_MAX} bytes"
        )));
    }
    Ok(text)
}

/// Lines `UUID PATH`; empty ones and those that begin with `#` are left out. Nothing is sent of a list with a mistake.
fn parse_list(text: &str) -> Result<Vec<(Uuid, String)>, Failure> {
    let mut pairs = Vec::new();
    for (number, line) in (1_u64..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |what: String| Failure::Usage(format!("line {number}: {what}"));
        let (uuid, path) = line
            .split_once(char::is_whitespace)
            .ok_or_else(|| wrong("it is not `UUID PATH`".to_owned()))?;
        let uuid = Uuid::parse_str(uuid).map_err(|_| wrong(format!("{uuid:?} is no deal UUID")))?;
        let path = absolute(path.trim()).map_err(|failure| wrong(failure.to_string()))?;
        pairs.push((uuid, path));
    }
    Ok(pairs)
}

fn one(uuid: Uuid, path: &str, delete: bool, json: bool) -> Result<(), Failure> {
    let body = json!({ "path": path, "delete_after_import": delete });
    let answer = Admin::connect()?.post(&format!("/v1/deals/{uuid}/import"), &body)?;
    if json {
        terminal::json(&answer);
    } else {
        terminal::line(queued(&uuid.to_string(), path, &answer));
    }
    Ok(())
}

fn queued(uuid: &str, path: &str, answer: &Value) -> String {
    match answer.get("place").and_then(Value::as_u64) {
        Some(place) => format!("deal {uuid}: import of {path} queued, place {place}"),
        None => format!("deal {uuid}: import of {path} queued"),
    }
}

/// Sends them in pieces; a refusal of one does not stop the others.
fn several(pairs: &[(Uuid, String)], delete: bool, json: bool) -> Result<(), Failure> {
    let admin = Admin::connect()?;
    let (mut sent, mut refused) = (0_usize, 0_usize);
    let mut answers = Vec::new();
    for piece in pieces(pairs) {
        let imports: Vec<Value> = piece
            .iter()
            .map(|(uuid, path)| json!({ "uuid": uuid.to_string(), "path": path }))
            .collect();
        let body = json!({ "imports": imports, "delete_after_import": delete });
        let answer = admin.post("/v1/imports", &body).map_err(|failure| {
            // Asking again for what is queued already is refused and does no harm.
            let text = format!("after {sent} of {} imports: {failure}", pairs.len());
            match failure {
                Failure::Refused(_) => Failure::Refused(text),
                _ => Failure::Failed(text),
            }
        })?;
        sent = sent.saturating_add(piece.len());
        let told = answer.get("imports").and_then(Value::as_array);
        for ((uuid, path), told) in piece.iter().zip(told.into_iter().flatten()) {
            let accepted = told.get("accepted").and_then(Value::as_bool) == Some(true);
            if !accepted {
                refused = refused.saturating_add(1);
            }
            if json {
                answers.push(told.clone());
            } else if accepted {
                terminal::line(queued(&uuid.to_string(), path, told));
            } else {
                let reason = told.get("reason").and_then(Value::as_str);
                terminal::error_line(&format!("deal {uuid}: {}", reason.unwrap_or("refused")));
            }
        }
    }
    if json {
        terminal::json(&json!({ "imports": answers }));
    }
    if refused > 0 {
        return Err(Failure::Refused(format!(
            "{refused} of {} imports were refused",
            pairs.len()
        )));
    }
    Ok(())
}

/// Cuts a list into requests.
fn pieces(pairs: &[(Uuid, String)]) -> Vec<&[(Uuid, String)]> {
    let mut pieces = Vec::new();
    let mut rest = pairs;
    while !rest.is_empty() {
        let mut bytes = 0_usize;
        let fitting = rest.iter().take(SENT_AT_ONCE_MAX).take_while(|(_, path)| {
            bytes = bytes.saturating_add(path.len());
            bytes <= SENT_BYTES_MAX
        });
        // A path beyond the limit goes alone: the provider says what is wrong with it.
        let count = fitting.count().max(1);
        let (piece, others) = rest.split_at(count.min(rest.len()));
        pieces.push(piece);
        rest = others;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "00000000-0000-0000-0000-000000000001";

    #[test]
    fn a_list_has_a_deal_and_a_path_in_each_line() {
        let text = format!("# pieces of May\n\n  {ONE}\t /srv/a b.car  \n{ONE} /srv/c.car\n");
        let pairs = parse_list(&text).unwrap();
        let paths: Vec<&str> = pairs.iter().map(|(_, path)| path.as_str()).collect();
        assert_eq!(paths, ["/srv/a b.car", "/srv/c.car"]);
        let relative = parse_list(&format!("{ONE} c.car")).unwrap();
        assert!(Path::new(&relative[0].1).is_absolute());
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        for (text, expected) in [
            (format!("{ONE} /a\n{ONE}"), "line 2: it is not `UUID PATH`"),
            (format!("# x\n/a {ONE}"), "line 2: \"/a\" is no deal UUID"),
        ] {
            let told = parse_list(&text);
            assert_eq!(told, Err(Failure::Usage(expected.to_owned())));
        }
        assert_eq!(parse_list("\n# nothing\n"), Ok(Vec::new()));
    }

    #[test]
    fn requests_are_bounded_and_hold_everything() {
        let pair = |bytes: usize| (Uuid::nil(), "x".repeat(bytes));
        let short = vec![pair(10); 1_201];
        let lengths: Vec<usize> = pieces(&short).iter().map(|piece| piece.len()).collect();
        assert_eq!(lengths, [500, 500, 201]);
        let long = vec![
            pair(100_000),
            pair(100_000),
            pair(100_000),
            pair(300_000),
            pair(1),
        ];
        let lengths: Vec<usize> = pieces(&long).iter().map(|piece| piece.len()).collect();
        assert_eq!(lengths, [2, 1, 1, 1]);
        assert!(pieces(&[]).is_empty());
    }
}
