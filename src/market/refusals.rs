//! Refused proposals on their way into the store's ring.
//!
//! A refusal costs its client next to nothing, so what it costs here is bounded: a flood neither fills a small flash, nor
//! wears it out, nor keeps an acceptance waiting. Refusals wait in memory and are stored a few at a time; the rest of a
//! flood is counted only. The program's log has all of them.

use super::Handle;
use super::facts::lock;
use super::handle::ReadError;
use super::inputs::Input;
use crate::deal::{Millis, Refusal};
use crate::filecoin::{Address, DealProposal};
use crate::store::{LOG_LINE_BYTES_MAX, RefusedProposal};
use crate::wire::{DealParams, cut_text};
use futures::channel::oneshot;
use std::sync::Mutex;

/// Refusals that are stored together at most; further ones are counted. With [`STORE_EVERY`] that is one commit and at
/// most 160 KiB in ten seconds, in a flood of the longest texts, and a seventh of that in an ordinary one.
const WAITING_MAX: usize = 32;

/// Between two commits of refusals, in milliseconds. The first one after a quiet time is stored at once.
const STORE_EVERY: Millis = 10_000;

/// Refusals that are not stored yet.
#[derive(Default)]
pub(super) struct Refusals(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: Vec<RefusedProposal>,
    /// When refusals were last given to the store.
    stored: Option<Millis>,
}

impl Refusals {
    /// Takes a refusal; whether it is the first that waits.
    fn note(&self, refused: RefusedProposal) -> bool {
        let mut state = lock(&self.0);
        if state.waiting.len() >= WAITING_MAX
            && let Some(last) = state.waiting.last_mut()
        {
            last.left_out = last.left_out.saturating_add(1);
            return false;
        }
        state.waiting.push(refused);
        state.waiting.len() == 1
    }

    /// When what waits is to be stored; none if nothing waits.
    pub(super) fn due(&self, now: Millis) -> Option<Millis> {
        let state = lock(&self.0);
        if state.waiting.is_empty() {
            return None;
        }
        // A clock that was set back must not keep them for longer.
        let stored = state.stored.filter(|stored| *stored <= now);
        Some(stored.map_or(now, |stored| stored.saturating_add(STORE_EVERY)))
    }

    /// Gives what waits, to be stored now.
    pub(super) fn take(&self, now: Millis) -> Vec<RefusedProposal> {
        let mut state = lock(&self.0);
        if !state.waiting.is_empty() {
            state.stored = Some(now);
        }
        std::mem::take(&mut state.waiting)
    }
}

impl Handle {
    /// Keeps a refusal for the operator.
    pub(super) fn note_refusal(&self, peer: &str, params: &DealParams, refusal: &Refusal) {
        let proposal = params.proposal.as_ref().map(|signed| &signed.proposal);
        let text = |of: &dyn Fn(&DealProposal) -> String| proposal.map(of).unwrap_or_default();
        let address = |address: &Address| address.to_string();
        let cut = |text: &str| cut_text(text, LOG_LINE_BYTES_MAX).to_owned();
        let refused = RefusedProposal {
            time: (self.bench.parts.now)(),
            uuid: *params.uuid.as_bytes(),
            peer: cut(peer),
            client: text(&|proposal| address(&proposal.client)),
            miner: text(&|proposal| address(&proposal.provider)),
            piece_cid: text(&|proposal| proposal.piece_cid.to_string()),
            piece_size: proposal.map_or(0, |proposal| proposal.piece_size),
            offline: params.offline,
            told: cut(refusal.client()),
            log: cut(refusal.log()),
            left_out: 0,
        };
        if self.bench.refusals.note(refused) {
            // A loop whose queue is full turns anyway.
            let _ = self.inputs.try_send(Input::Refused);
        }
    }

    /// The newest refusals, newest first.
    ///
    /// # Errors
    /// The database failed or the market has stopped.
    pub async fn refused(&self, limit: usize) -> Result<Vec<RefusedProposal>, ReadError> {
        // Stored first, so that there is one place to read.
        let (told, stored) = oneshot::channel();
        let asked = Input::ShowRefusals(told);
        self.inputs
            .send(asked)
            .await
            .map_err(|_| ReadError::Stopped)?;
        if let Err(error) = stored.await.map_err(|_| ReadError::Stopped)? {
            log::error!("refused proposals are not stored: {error}");
        }
        self.read(move |store| store.refused(limit)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(number: u8) -> RefusedProposal {
        RefusedProposal {
            uuid: [number; 16],
            ..RefusedProposal::default()
        }
    }

    #[test]
    fn the_first_refusal_is_due_at_once_and_the_next_ones_together() {
        let refusals = Refusals::default();
        assert_eq!(refusals.due(5), None);
        assert!(refusals.note(refused(1)));
        assert_eq!(refusals.due(5), Some(5));
        assert_eq!(refusals.take(5), [refused(1)]);
        assert_eq!(refusals.due(6), None);
        assert!(refusals.note(refused(2)));
        assert!(!refusals.note(refused(3)));
        assert_eq!(refusals.due(6), Some(5 + STORE_EVERY));
        assert_eq!(refusals.due(20_000), Some(5 + STORE_EVERY));
        assert_eq!(refusals.due(4), Some(4), "the clock was set back");
        assert_eq!(refusals.take(20_000), [refused(2), refused(3)]);
    }

    #[test]
    fn a_flood_is_counted_and_does_not_grow() {
        let refusals = Refusals::default();
        for _ in 0..10_000 {
            refusals.note(refused(1));
        }
        let kept = refusals.take(0);
        assert_eq!(kept.len(), WAITING_MAX);
        let left_out: Vec<u64> = kept.iter().map(|refused| refused.left_out).collect();
        assert_eq!(left_out.iter().sum::<u64>(), 10_000 - 32);
        assert_eq!(left_out.last(), Some(&(10_000 - 32)));
    }
}
