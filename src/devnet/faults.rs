//! Scripted trouble: what a test wants to go wrong, and how often.
//!
//! A script is a list of [`Fault`]s (`Devnet::set_fault`): each strikes the calls of a method, after as many as are to pass, as
//! often as it is to. What happens to the whole world at once can be part of the script ([`Effect::First`]) or be brought
//! about by the test at a moment of its own. What a node or miner is like is said when the devnet starts.
//!
//! | trouble | in a script | by the test | at the start |
//! |---|---|---|---|
//! | delay, before or behind the work | [`Effect::Delay`], [`Effect::Late`] | | |
//! | lost connection, the work done or not | [`Effect::Drop`] | | |
//! | error, the work done or not | [`Effect::Error`] | | |
//! | a proxy's page, a wrong result | [`Effect::Status`], [`Effect::Answer`] | | |
//! | the miner stops reading a piece | [`Effect::CloseEarly`] | | |
//! | re-organisation | [`Event::Reorganise`] | `reorganise` | |
//! | null rounds: heights without a tipset | [`Event::Skip`] | `skip` | |
//! | the waiting messages are replaced | [`Event::ReplaceWaiting`] | `replace_message` | |
//! | somebody else takes the next nonce | | `spend_nonce` | |
//! | the node restarts and has lost its mempool | [`Event::RestartNode`] | `restart_node` | |
//! | the miner restarts and has lost its memory | [`Event::RestartMiner`] | `restart_miner` | |
//! | the actor drops deals | [`Event::Escrow`] | `set_escrow` | |
//! | a deal is terminated, slashed | | `terminate_deal`, `slash_deal` | |
//! | a sector in any state, thousands of them | | `force_sector`, `add_sectors` | |
//! | another network version, contact, balance | | `set_network_version`, `set_contact`, `set_balance` | |
//! | a worker to which pushed pieces are redirected | | | `worker_redirect` |
//! | strict Forest, Venus, gateway; several nodes | | | `kind`, `more_nodes` |
//! | permissions are enforced | | `token` | `auth` |
//! | the node forgets messages' identities | | | `message_ids` |
//! | the halves of a pushed piece miss each other | | | `pairing` |

use crate::filecoin::{Address, TokenAmount};
use std::time::Duration;

/// Trouble waiting for its calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The method without prefix (`StateSearchMsg`), or `*` for all of them.
    pub method: String,
    /// What happens.
    pub effect: Effect,
    /// Calls that pass unharmed before it begins.
    pub skip: u32,
    /// Calls that it strikes; then it is over.
    pub times: u32,
    /// Only calls of this node, counted from 0; none strikes them all, and the miners'.
    pub node: Option<usize>,
}

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// It is carried out later.
    Delay(Duration),
    /// It is carried out at once and answered later.
    Late(Duration),
    /// The connection ends without an answer.
    Drop {
        /// Whether the call is carried out before.
        done: bool,
    },
    /// An error is answered.
    Error {
        /// The JSON-RPC code.
        code: i64,
        /// Its text.
        message: String,
        /// Whether the call is carried out before.
        done: bool,
    },
    /// An HTTP status is answered, with no JSON-RPC: a proxy in between.
    Status(u16),
    /// The call is carried out and this is answered instead of its result: a broken server.
    Answer(serde_json::Value),
    /// Something happens to the whole world, then the call is carried out.
    First(Event),
    /// `SectorAddPieceToAny` stops reading after this many bytes of the piece and fails.
    CloseEarly(u64),
}

/// What happens to the whole world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The last tipsets, so many of them, are replaced by others.
    Reorganise(usize),
    /// So many heights have no tipset.
    Skip(u32),
    /// Each message that waits is replaced by the same with a higher premium.
    ReplaceWaiting,
    /// The node restarts without the messages that wait, and without the memory of messages' identities.
    RestartNode,
    /// The miner with this place restarts: open calls lose their connection, and what it knew of earlier ones is gone.
    RestartMiner(usize),
    /// Somebody's escrow becomes this much: deals that it no longer covers are dropped.
    Escrow(Address, TokenAmount),
}

impl Fault {
    /// Trouble for the next call of a method.
    pub fn once(method: &str, effect: Effect) -> Self {
        Self::times(method, 1, effect)
    }

    /// Trouble for the next calls of a method.
    pub fn times(method: &str, times: u32, effect: Effect) -> Self {
        Self {
            method: method.to_owned(),
            effect,
            skip: 0,
            times,
            node: None,
        }
    }

    /// The same for the calls of one node only.
    #[must_use]
    pub fn at(mut self, node: usize) -> Self {
        self.node = Some(node);
        self
    }

    fn fits(&self, method: &str, node: Option<usize>) -> bool {
        self.times > 0
            && (self.method == method || self.method == "*")
            && (self.node.is_none() || self.node == node)
    }
}

/// The effect that strikes this call, if any; the first fitting fault counts it. `node` is none for calls of a miner.
pub fn strike(faults: &mut Vec<Fault>, method: &str, node: Option<usize>) -> Option<Effect> {
    let fault = faults.iter_mut().find(|fault| fault.fits(method, node))?;
    if fault.skip > 0 {
        fault.skip = fault.skip.saturating_sub(1);
        return None;
    }
    fault.times = fault.times.saturating_sub(1);
    let effect = fault.effect.clone();
    faults.retain(|fault| fault.times > 0);
    Some(effect)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_skips_strikes_and_ends() {
        let mut faults = vec![Fault {
            method: "ChainHead".to_owned(),
            effect: Effect::Status(502),
            skip: 1,
            times: 2,
            node: None,
        }];
        assert_eq!(strike(&mut faults, "Version", Some(0)), None);
        assert_eq!(strike(&mut faults, "ChainHead", Some(0)), None);
        assert_eq!(
            strike(&mut faults, "ChainHead", Some(0)),
            Some(Effect::Status(502))
        );
        assert_eq!(
            strike(&mut faults, "ChainHead", Some(0)),
            Some(Effect::Status(502))
        );
        assert_eq!(strike(&mut faults, "ChainHead", Some(0)), None);
        assert!(faults.is_empty());
    }

    #[test]
    fn a_star_strikes_everything() {
        let mut faults = vec![Fault::once("*", Effect::Drop { done: true })];
        assert_eq!(
            strike(&mut faults, "Version", Some(0)),
            Some(Effect::Drop { done: true })
        );
        assert_eq!(strike(&mut faults, "Version", Some(0)), None);
    }

    #[test]
    fn one_nodes_trouble_is_not_anothers() {
        let mut faults = vec![Fault::once("*", Effect::Status(502)).at(1)];
        assert_eq!(strike(&mut faults, "Version", Some(0)), None);
        assert_eq!(strike(&mut faults, "SectorsList", None), None);
        assert_eq!(
            strike(&mut faults, "Version", Some(1)),
            Some(Effect::Status(502))
        );
    }
}
