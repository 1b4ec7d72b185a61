//! Inputs from outside, inside the run loop.

use super::Market;
use crate::deal::step::Event;
use crate::market::inputs::{Input, Wish};
use crate::market::passes;
use futures::channel::oneshot;
use uuid::Uuid;

impl Market {
    pub(super) fn input(&mut self, input: Input) {
        match input {
            Input::Admit(candidate) => self.admit(*candidate),
            Input::Wish(uuid, wish, told) => self.wish(uuid, wish, told),
            Input::PublishNow(told) => {
                let _ = told.send(self.publish_due(true));
            }
            Input::Look(uuid, told) => self.show(uuid, told),
            // Taken by the loop itself.
            Input::Stop(_) => {}
        }
    }

    fn wish(&mut self, uuid: Uuid, wish: Wish, told: oneshot::Sender<Result<(), String>>) {
        let Some(live) = self.live.get(&uuid) else {
            let text = match wish {
                Wish::Import(_) => {
                    format!("no pre-existing deal proposal for offline deal {uuid}")
                }
                Wish::Verb(_) => format!("no live deal with UUID {uuid}"),
            };
            let _ = told.send(Err(text));
            return;
        };
        match wish {
            Wish::Verb(verb) => self.apply(uuid, Event::Operator(verb), Some(told)),
            Wish::Import(import) => {
                let deal = &live.deal;
                let size = self.parts.disk.size(import.path.as_ref());
                let refusal = match size {
                    Err(error) => Some(format!("{}: {error}", import.path)),
                    Ok(bytes) if deal.request.offline && !passes::fits(deal, bytes) => {
                        Some(format!(
                            "{} has {bytes} bytes, the piece of {} holds fewer",
                            import.path,
                            deal.proposal().piece_size
                        ))
                    }
                    // Only what would be imported needs funds; the machine says why the rest is refused.
                    Ok(_)
                        if deal.request.offline
                            && deal.checkpoint == crate::deal::Checkpoint::Accepted =>
                    {
                        self.import_funds(deal).err()
                    }
                    Ok(_) => None,
                };
                match refusal {
                    Some(text) => {
                        let _ = told.send(Err(text));
                    }
                    None => self.apply(uuid, Event::Imported(import), Some(told)),
                }
            }
        }
    }
}
