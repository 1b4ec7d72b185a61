//! A deal's log, all at once or as it grows.
//!
//! Following is a row of questions that wait for an answer: `GET /v1/deals/{uuid}/log?from=N&wait=SECONDS` is answered as
//! soon as there is a line of number N or later, the deal has ended, or the time is over. So each is bounded, nothing is
//! lost between two of them, and either side may go away at any time.

use super::query::percent_decoded;
use super::view::rfc3339;
use super::{Admin, error};
use crate::market::{Events, ReadError};
use crate::serve::listener::{Body, json};
use crate::store::LogLine;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Value, json as object};
use std::time::Duration;
use uuid::Uuid;

/// Longest wait for a line, in seconds: below the half minute after which clients and proxies give up.
const WAIT_MAX: u64 = 25;

/// Questions that wait at the same time: half of the interface's connections, so that an operator still gets through.
pub(super) const WAITING_MAX: usize = 8;

/// A question about a log.
#[derive(Debug, Default, PartialEq, Eq)]
struct Question {
    /// Number of the first line that is wanted.
    from: u64,
    /// Seconds to wait for one; 0 answers at once.
    wait: u64,
}

impl Admin {
    pub(super) async fn log(&self, uuid: Uuid, query: &str) -> Response<Body> {
        let question = match question(query) {
            Ok(question) => question,
            Err(why) => return error(StatusCode::BAD_REQUEST, &why),
        };
        if question.wait == 0 {
            return self.log_now(uuid, question.from).await.0;
        }
        let Some(_place) = self.following.try_acquire() else {
            // Without a place it is answered at once and comes again; until then its connection is for others.
            let mut answer = self.log_now(uuid, question.from).await.0;
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(CONNECTION, close);
            return answer;
        };
        // Subscribed first: a line that comes after the reading is told.
        let mut events = match self.market.events_of(uuid) {
            Ok(events) => events,
            Err(why) => return unavailable(&why),
        };
        let mut over = async_io::Timer::after(Duration::from_secs(question.wait));
        loop {
            let (answer, nothing_new) = self.log_now(uuid, question.from).await;
            if !nothing_new || !news(&mut events, &mut over).await {
                return answer;
            }
        }
    }

    /// The log as it is, and whether it is worth waiting for more.
    async fn log_now(&self, uuid: Uuid, from: u64) -> (Response<Body>, bool) {
        // The deal first: what is read of an ended deal's log afterwards is all of it.
        let deal = match self.market.deal(uuid).await {
            Ok(Some((deal, _))) => deal,
            Ok(None) => {
                let text = format!("no deal has the UUID {uuid}");
                return (error(StatusCode::NOT_FOUND, &text), false);
            }
            Err(why) => return (unavailable(&why), false),
        };
        let lines = match self.market.log_from(uuid, from).await {
            Ok(lines) => lines,
            Err(why) => return (unavailable(&why), false),
        };
        let next = lines
            .last()
            .map_or(from, |(number, _)| number.saturating_add(1));
        let body = object!({
            "lines": lines.iter().map(line_json).collect::<Vec<_>>(),
            "next": next,
            "ended": deal.ended(),
            "checkpoint": deal.checkpoint.name(),
            "error": deal.error,
        });
        let nothing_new = lines.is_empty() && !deal.ended();
        (json(StatusCode::OK, &body), nothing_new)
    }
}

/// Waits for a reason to read again; false if there is none: the time is over, or the market has stopped. Every event is
/// one: a change may have been the deal's end, and what was missed may have been a line.
async fn news(events: &mut Events, over: &mut async_io::Timer) -> bool {
    let event = async { events.next().await.is_some() };
    let late = async {
        over.await;
        false
    };
    smol::future::or(event, late).await
}

fn unavailable(why: &ReadError) -> Response<Body> {
    let status = match why {
        ReadError::Stopped | ReadError::Busy => StatusCode::SERVICE_UNAVAILABLE,
        ReadError::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    error(status, &why.to_string())
}

fn line_json((number, line): &(u64, LogLine)) -> Value {
    object!({
        "number": number,
        "time": rfc3339(line.time),
        "level": line.level_name(),
        "text": line.text,
    })
}

fn question(query: &str) -> Result<Question, String> {
    let mut question = Question::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let number = percent_decoded(value).and_then(|value| value.parse::<u64>().ok());
        let number = number.ok_or_else(|| format!("{name} is not a number"));
        match name {
            "from" => question.from = number?,
            "wait" => question.wait = number?.min(WAIT_MAX),
            _ => return Err("unknown query parameter".to_owned()),
        }
    }
    Ok(question)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_and_its_wait_bounded() {
        let read = |from, wait| Ok(Question { from, wait });
        assert_eq!(question(""), read(0, 0));
        assert_eq!(question("from=7"), read(7, 0));
        assert_eq!(question("wait=20&from=%37"), read(7, 20));
        assert_eq!(question("wait=86400"), read(0, WAIT_MAX));
        for wrong in ["from=-1", "wait=", "from=x", "follow=1", "from=%zz"] {
            assert!(question(wrong).is_err(), "{wrong}");
        }
    }
}
