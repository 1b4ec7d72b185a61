//! A piece that lies ready for a sealer that fetches it: handed over at once, in a sector whenever the sealer says so.

use super::moves::Turn;
use super::{Checkpoint, Effect};
use crate::deal::ledger::lies_ready;
use crate::deal::record::Sector;

impl Turn<'_> {
    /// The piece lies ready.
    pub(super) fn laid_out(&mut self) {
        if self.at() == Checkpoint::PublishConfirmed {
            self.log(log::Level::Info, "piece laid out for the sealer to fetch");
            self.reach(Checkpoint::AddedPiece);
        }
    }

    /// The sealer's place of the piece, told after the hand-over.
    pub(super) fn placed(&mut self, sector: Sector) {
        let deal = &self.live.deal;
        // The operator's word meets the same refusals before it comes here.
        if deal.ended() {
            return;
        }
        if let Some(known) = deal.sector {
            if known != sector {
                let text = format!(
                    "the piece is in sector {} at offset {} already",
                    known.number, known.offset
                );
                self.refuse(&text);
            }
            return;
        }
        if !lies_ready(deal) {
            return self.refuse("the piece was not handed over yet");
        }
        self.log(
            log::Level::Info,
            format!(
                "the sealer put the piece into sector {} at offset {}",
                sector.number, sector.offset
            ),
        );
        self.deal().sector = Some(sector);
        self.out.changed = true;
        // What lies ready goes once the place is stored.
        self.out.effects.push(Effect::ClearHandover);
        if self.live.busy == Some(Effect::WatchSector) {
            self.out.effects.push(Effect::WatchSector);
        }
    }
}
