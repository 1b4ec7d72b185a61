//! Inputs from outside, inside the run loop.

use super::Market;
use crate::deal::step::{Event, Verb};
use crate::market::inputs::Input;
use futures::channel::oneshot;
use uuid::Uuid;

impl Market {
    pub(super) fn input(&mut self, input: Input) {
        match input {
            Input::Accept(candidate) => self.admit(*candidate),
            Input::UpdateRetry(uuid, verb, told) => self.wish(uuid, verb, told),
            Input::Import(imports, told) => self.import(imports, told),
            Input::PublishNow(only, told) => {
                let _ = told.send(self.publisher.hurry(only.as_ref()));
                self.publish_due();
            }
            Input::Publishing(told) => {
                let _ = told.send(self.publishing());
            }
            Input::ShowRefusals(told) => self.show_refusals(told),
            Input::Holdings(miner, told) => {
                let _ = told.send(self.holdings(&miner));
            }
            Input::Look(uuid, told) => self.show(uuid, told),
            Input::Funds(wish, told) => self.order_funds(&wish, told),
            Input::ShowOrder(id, told) => self.show_order(id, told),
            Input::ShowFunds(told) => self.show_funds(told),
            Input::Ledgers(told) => {
                let _ = told.send(self.ledgers());
            }
            // For the turn that follows, and taken by the loop itself.
            Input::Refused | Input::Stop(_) => {}
        }
    }

    fn wish(&mut self, uuid: Uuid, verb: Verb, told: oneshot::Sender<Result<(), String>>) {
        if self.live.get(&uuid).is_some() {
            return self.apply(uuid, Event::Operator(verb), Some(told));
        }
        let _ = told.send(Err(format!("no live deal with UUID {uuid}")));
    }
}
