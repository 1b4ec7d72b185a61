//! Unguessable addresses under which a sealer fetches the pieces that it is given (spec chain-sealer-rpc E.2, `http`).

use crate::filecoin::cids;
use crate::market::lock;
use crate::sealer::Handover;
use crate::serve::public::{Kept, PieceLookup, TokenLookup};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use uuid::Uuid;

/// Tickets that are remembered. A sealer may fetch hours after it was asked and more than once, so a ticket goes only when
/// that many later ones were given out: far more than add-piece calls run at the same time.
const TICKETS_MAX: usize = 1_024;

struct Ticket {
    token: String,
    commitment: [u8; 32],
    piece: Kept,
}

/// The tickets that were given out, oldest first.
#[derive(Clone, Default)]
pub(super) struct Tickets {
    given: Arc<Mutex<VecDeque<Ticket>>>,
}

impl Tickets {
    /// A fresh ticket for a piece: its address below `base`.
    pub(super) fn issue(&self, base: &str, piece: &Handover) -> String {
        let token = Uuid::new_v4().simple().to_string();
        let kept = Kept {
            path: piece.file.clone(),
            payload_size: piece.payload_size,
            padded_size: piece.proposal.piece_size,
            is_car: true,
        };
        let mut given = lock(&self.given);
        if given.len() >= TICKETS_MAX {
            given.pop_front();
        }
        given.push_back(Ticket {
            token: token.clone(),
            commitment: cids::piece_commitment(&piece.proposal.piece_cid).unwrap_or_default(),
            piece: kept,
        });
        format!("{base}/padded/{token}")
    }
}

/// Tickets, and the kept pieces that their files may have become since.
pub(super) struct Handovers {
    pub tickets: Tickets,
    pub kept: Arc<dyn PieceLookup>,
}

impl TokenLookup for Handovers {
    fn padded(&self, token: &str) -> Option<Kept> {
        let (piece, commitment) = {
            let given = lock(&self.tickets.given);
            let ticket = given.iter().find(|ticket| ticket.token == token)?;
            (ticket.piece.clone(), ticket.commitment)
        };
        if piece.path.exists() {
            return Some(piece);
        }
        let kept = self.kept.find(&commitment)?;
        Some(Kept {
            padded_size: piece.padded_size,
            ..kept
        })
    }
}
