//! What an external filter is told about a proposal: the reference's JSON document, format 2.2.0, key for key (spec
//! boost-mk12 3.4). The deal's parameters stand at the top level, beside the provider's state.

use super::{Ledger, Terms};
use crate::filecoin::{Address, ClientDealProposal, DealProposal, Label, TokenAmount};
use crate::wire::DealParams;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

/// The provider's own state, as filters judge by it.
#[derive(Debug, Clone)]
pub struct State {
    /// Number of sectors in each state.
    pub sectors: BTreeMap<String, u64>,
    /// What live deals hold, as the miner sees it.
    pub ledger: Ledger,
    /// The miner's market escrow less what is locked, attoFIL.
    pub escrow_available: TokenAmount,
    /// What is locked of it, attoFIL.
    pub escrow_locked: TokenAmount,
    /// Pays for publish messages, and is where escrow is filled up from.
    pub wallet: Address,
    /// What it has, attoFIL.
    pub wallet_balance: TokenAmount,
    /// Bytes that lie in the staging area.
    pub staged: u64,
}

/// The document, indented by two spaces, without a line break at its end. Transfer parameters are left blank: they may
/// hold credentials.
pub fn document(
    params: &DealParams,
    signed: &ClientDealProposal,
    state: &State,
    terms: &Terms,
) -> String {
    let mut out = Writer::default();
    out.open(None, '{');
    out.text("DealUUID", &params.uuid.to_string());
    out.plain("IsOffline", params.offline);
    out.open(Some("ClientDealProposal"), '{');
    proposal(&mut out, &signed.proposal);
    out.open(Some("ClientSignature"), '{');
    out.plain("Type", signed.signature.kind.number());
    out.text("Data", &STANDARD.encode(&signed.signature.data));
    out.close('}');
    out.close('}');
    match &params.data_root {
        Some(root) => out.link("DealDataRoot", root),
        None => out.plain("DealDataRoot", "null"),
    }
    out.open(Some("Transfer"), '{');
    out.text("Type", &params.transfer.kind);
    out.text("ClientID", &params.transfer.client_id);
    out.text("Params", "");
    out.plain("Size", params.transfer.size);
    out.close('}');
    out.plain("RemoveUnsealedCopy", params.remove_unsealed);
    out.plain("SkipIPNIAnnounce", params.skip_announce);
    provider(&mut out, state, terms);
    out.text("DealType", "storage");
    out.text("FormatVersion", "2.2.0");
    // Filters tell the document's form by it, so it names whose form that is.
    out.text("Agent", "boost");
    out.close('}');
    out.text
}

fn proposal(out: &mut Writer, proposal: &DealProposal) {
    out.open(Some("Proposal"), '{');
    out.link("PieceCID", &proposal.piece_cid);
    out.plain("PieceSize", proposal.piece_size);
    out.plain("VerifiedDeal", proposal.verified);
    out.text("Client", &proposal.client.to_string());
    out.text("Provider", &proposal.provider.to_string());
    let label = match &proposal.label {
        Label::Text(text) => text.as_str(),
        Label::Bytes(_) => "",
    };
    out.text("Label", label);
    out.plain("StartEpoch", proposal.start_epoch);
    out.plain("EndEpoch", proposal.end_epoch);
    out.amount("StoragePricePerEpoch", &proposal.price_per_epoch);
    out.amount("ProviderCollateral", &proposal.provider_collateral);
    out.amount("ClientCollateral", &proposal.client_collateral);
    out.close('}');
}

fn provider(out: &mut Writer, state: &State, terms: &Terms) {
    out.open(Some("SealingPipelineState"), '{');
    out.open(Some("SectorStates"), '{');
    for (name, count) in &state.sectors {
        out.plain(name, count);
    }
    out.close('}');
    // The sealer's workers are not asked for.
    out.open(Some("Workers"), '[');
    out.close(']');
    out.close('}');

    out.open(Some("FundsState"), '{');
    out.open(Some("Escrow"), '{');
    out.amount("Tagged", &state.ledger.collateral);
    out.amount("Available", &state.escrow_available);
    out.amount("Locked", &state.escrow_locked);
    out.close('}');
    out.open(Some("Collateral"), '{');
    out.text("Address", &state.wallet.to_string());
    out.amount("Balance", &state.wallet_balance);
    out.close('}');
    out.open(Some("PubMsg"), '{');
    out.text("Address", &state.wallet.to_string());
    out.amount("Balance", &state.wallet_balance);
    let reserve = state.ledger.publish_reserve(0, terms);
    out.amount("Tagged", &reserve);
    out.close('}');
    out.close('}');

    let max = terms.staging_bytes_max;
    out.open(Some("StorageState"), '{');
    out.plain("TotalAvailable", max);
    out.plain("Tagged", state.ledger.staging);
    out.plain("Staged", state.staged);
    // 0 without a limit too, as in the reference (4.7).
    out.plain("Free", max.saturating_sub(state.ledger.staging));
    out.close('}');
}

/// JSON in the order in which it is written, as Go's encoder indents it.
#[derive(Default)]
struct Writer {
    text: String,
    depth: usize,
    /// Something stands in the innermost object or array.
    filled: bool,
}

impl Writer {
    fn open(&mut self, key: Option<&str>, bracket: char) {
        if let Some(key) = key {
            self.key(key);
        }
        self.text.push(bracket);
        self.depth = self.depth.saturating_add(1);
        self.filled = false;
    }

    fn close(&mut self, bracket: char) {
        self.depth = self.depth.saturating_sub(1);
        if self.filled {
            self.line();
        }
        self.text.push(bracket);
        self.filled = true;
    }

    fn line(&mut self) {
        self.text.push('\n');
        for _ in 0..self.depth {
            self.text.push_str("  ");
        }
    }

    fn key(&mut self, key: &str) {
        if self.filled {
            self.text.push(',');
        }
        self.line();
        self.quoted(key);
        self.text.push_str(": ");
        self.filled = true;
    }

    /// A number, a boolean or null.
    fn plain(&mut self, key: &str, value: impl Display) {
        self.key(key);
        // Writing to a String cannot fail.
        let _ = write!(self.text, "{value}");
    }

    fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        self.quoted(value);
    }

    fn amount(&mut self, key: &str, value: &TokenAmount) {
        self.text(key, &value.to_string());
    }

    fn link(&mut self, key: &str, cid: &cid::Cid) {
        self.open(Some(key), '{');
        self.text("/", &cid.to_string());
        self.close('}');
    }

    /// A string with the escapes of Go's encoder, which also keeps a browser from taking it for markup.
    fn quoted(&mut self, value: &str) {
        self.text.push('"');
        for c in value.chars() {
            match c {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                '\t' => self.text.push_str("\\t"),
                '\u{8}' => self.text.push_str("\\b"),
                '\u{c}' => self.text.push_str("\\f"),
                '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    let _ = write!(self.text, "\\u{:04x}", u32::from(c));
                }
                c => self.text.push(c),
            }
        }
        self.text.push('"');
    }
}
