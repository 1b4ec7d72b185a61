//! Why a proposal is refused, in two texts: one for the client, one for whoever runs the provider.

use crate::wire::{MAX_TEXT_BYTES, cut_text};

/// Bytes of the log's text; a line of a log that is longer is not read.
pub const LOG_BYTES_MAX: usize = 2_048;

/// Why a proposal is refused.
///
/// The client's text fits a message whatever it was made of, and the log's text is one line: both are seen to where a
/// refusal is made, so that nobody after that has to think of it (spec boost-mk12 1.2, 11.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    client: String,
    log: String,
}

impl Refusal {
    /// A refusal with these texts for the client and the log.
    ///
    /// The client's text never holds raw transfer parameters or what a server of ours said; the log's text has the
    /// numbers, the inner error and what to do.
    pub fn new(client: impl Into<String>, log: impl AsRef<str>) -> Self {
        let mut client = client.into();
        client.truncate(cut_text(&client, MAX_TEXT_BYTES).len());
        let mut log = log.as_ref().replace(char::is_control, " ");
        log.truncate(cut_text(&log, LOG_BYTES_MAX).len());
        Self { client, log }
    }

    /// The log repeats what the client is told, and goes on with what the operator can do.
    pub fn advised(text: impl Into<String>, advice: &str) -> Self {
        let client = text.into();
        let log = format!("{client}; {advice}");
        Self::new(client, log)
    }

    /// The client is at fault: the provider has nothing to change.
    pub fn at_fault(text: impl Into<String>) -> Self {
        Self::advised(text, "only the client can mend its proposal")
    }

    /// A failure of ours whose reason is not the client's business. `text` is what it is told.
    pub fn server_error(text: &str, why: &str) -> Self {
        Self::new(
            format!("server error: {text}"),
            format!("server error: {text}: {why}"),
        )
    }

    /// Puts a prefix before both texts.
    #[must_use]
    pub fn prefixed(self, prefix: &str) -> Self {
        Self::new(
            format!("{prefix}{}", self.client),
            format!("{prefix}{}", self.log),
        )
    }

    /// What the client is told, at most 8192 bytes.
    pub fn client(&self) -> &str {
        &self.client
    }

    /// One line for the log, at most 2,048 bytes.
    pub fn log(&self) -> &str {
        &self.log
    }
}
