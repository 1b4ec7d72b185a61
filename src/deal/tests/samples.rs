//! A proposal that passes every check, a deal made of it, and the facts it is judged with.

use crate::deal::judge::{Facts, Verdict};
use crate::deal::record::{Hold, Request};
use crate::deal::step::{Effect, Event, Live, Outcome, Pass, step};
use crate::deal::{Checkpoint, Deal, Terms};
use crate::filecoin::{
    Address, ChainEpoch, ClientDealProposal, DealProposal, Label, SecretKey, TokenAmount, cids,
};
use crate::wire::{DealParams, StorageAsk, Transfer};
use uuid::Uuid;

/// Height of the head.
pub const HEAD: ChainEpoch = 100_000;

/// Where the sample deal starts: late enough for sealing, not too far ahead.
pub const START: ChainEpoch = HEAD + 5_000;

/// Padded size of the sample piece; it holds 2,032 bytes.
pub const PIECE_SIZE: u64 = 2_048;

/// Smallest collateral that the chain wants for it.
pub const COLLATERAL_MIN: i64 = 1_000;

/// The clock.
pub const NOW: u64 = 1_700_000_000_123;

/// attoFIL.
pub fn atto(amount: impl Into<num_bigint::BigInt>) -> TokenAmount {
    TokenAmount::from_atto(amount)
}

pub fn miner() -> Address {
    Address::id(1_000)
}

pub fn client_id() -> Address {
    Address::id(2_000)
}

pub fn client_key() -> SecretKey {
    SecretKey::secp256k1(&[7; 32]).expect("a valid scalar")
}

pub fn uuid(number: u8) -> Uuid {
    Uuid::from_bytes([number; 16])
}

/// Passes every check of the sample facts.
pub fn proposal() -> DealProposal {
    DealProposal {
        piece_cid: cids::piece_cid(&[9; 32]),
        piece_size: PIECE_SIZE,
        verified: false,
        client: client_key().address(),
        provider: miner(),
        label: Label::Text("a label".to_owned()),
        start_epoch: START,
        end_epoch: START + 518_400,
        price_per_epoch: atto(100),
        provider_collateral: atto(COLLATERAL_MIN),
        client_collateral: atto(11),
    }
}

pub fn sign(proposal: DealProposal) -> ClientDealProposal {
    let signature = client_key().sign(&proposal.encode());
    ClientDealProposal {
        proposal,
        signature,
    }
}

/// Transfer parameters as a client sends them, credentials included.
pub fn transfer_params(url: &str) -> Vec<u8> {
    format!(r#"{{"URL":"{url}","Headers":{{"Authorization":"Bearer hidden"}}}}"#).into_bytes()
}

pub fn params() -> DealParams {
    DealParams {
        uuid: uuid(1),
        transfer: Transfer {
            size: 2_000,
            kind: "http".to_owned(),
            params: transfer_params("http://example.com/a.car"),
            client_id: "me".to_owned(),
        },
        offline: false,
        data_root: Some(cids::sha256_cid(cids::RAW, b"root")),
        skip_announce: false,
        proposal: Some(sign(proposal())),
        remove_unsealed: false,
    }
}

/// What lets the sample proposal pass.
pub fn facts() -> Facts {
    let cost = proposal().storage_fee().atto() + 11;
    Facts {
        head: Ok(HEAD),
        signature: Verdict::Valid,
        miner: Some(miner()),
        collateral_min: Ok(atto(COLLATERAL_MIN)),
        ask: Some(ask()),
        client_available: Ok(atto(cost)),
        network_version: Ok(28),
        datacap: Ok(None),
    }
}

pub fn ask() -> StorageAsk {
    StorageAsk {
        miner: miner(),
        price: atto(50_000_000),
        seq_no: 0,
        expiry: HEAD + 1_000_000,
        timestamp: 0,
        max_piece_size: 32 << 30,
        min_piece_size: 256,
        verified_price: atto(5_000_000),
    }
}

/// An online deal that was just accepted.
pub fn online() -> Deal {
    let params = params();
    let signed = sign(proposal());
    let request = Request {
        kind: params.transfer.kind,
        params: params.transfer.params,
        size: params.transfer.size,
        client_id: params.transfer.client_id,
        host: "example.com".to_owned(),
        offline: false,
        skip_announce: false,
        remove_unsealed: false,
        data_root: params.data_root.expect("set above").to_string(),
        peer: "12D3KooWSample".to_owned(),
    };
    let key = client_key().address();
    Deal::accepted(params.uuid, NOW, signed, key, client_id(), request)
}

/// An offline deal that waits for its data.
pub fn offline() -> Deal {
    let mut deal = online();
    deal.request = Request {
        kind: String::new(),
        params: Vec::new(),
        size: 0,
        host: String::new(),
        offline: true,
        ..deal.request
    };
    deal
}

/// An online deal that has come as far as this, with what it must have got on its way.
pub fn at(checkpoint: Checkpoint) -> Deal {
    let mut deal = online();
    deal.checkpoint = checkpoint;
    if checkpoint >= Checkpoint::Transferred {
        deal.payload_size = 2_000;
    }
    if checkpoint >= Checkpoint::Published {
        deal.order = Some(uuid(200));
        deal.publish_cid = Some(message());
    }
    if checkpoint >= Checkpoint::PublishConfirmed {
        deal.chain_deal_id = Some(77);
        deal.handing_over = true;
    }
    if checkpoint >= Checkpoint::AddedPiece {
        deal.sector = Some(crate::deal::Sector {
            number: 5,
            offset: 4_096,
        });
    }
    deal
}

/// CID of the sample publish message.
pub fn message() -> cid::Cid {
    cids::chain_cid(b"publish message")
}

/// CID of the message that replaced it.
pub fn replacement() -> cid::Cid {
    cids::chain_cid(b"with a higher fee")
}

/// What is under way for a deal at this checkpoint, when nothing has gone wrong.
pub fn busy(deal: &Deal) -> Option<Effect> {
    match deal.checkpoint {
        Checkpoint::Accepted if deal.request.offline && deal.import.is_none() => None,
        Checkpoint::Accepted if deal.import.as_ref().is_some_and(|import| !import.begun) => {
            Some(Effect::QueueImport)
        }
        Checkpoint::Accepted => Some(Effect::StartPass),
        Checkpoint::Transferred => Some(Effect::Publish),
        Checkpoint::Published => Some(Effect::WatchMessage),
        Checkpoint::PublishConfirmed => Some(Effect::AddPiece { look_first: false }),
        Checkpoint::AddedPiece => Some(Effect::Index),
        Checkpoint::IndexedAndAnnounced => Some(Effect::WatchSector),
        Checkpoint::Complete => None,
    }
}

/// A deal at this checkpoint whose work is under way.
pub fn running(checkpoint: Checkpoint) -> Live {
    let deal = at(checkpoint);
    Live {
        busy: busy(&deal),
        deal,
    }
}

/// A deal that nothing is under way for, as after a start.
pub fn resting(deal: Deal) -> Live {
    Live { deal, busy: None }
}

/// Moves a deal at [`NOW`] under the default terms and shows what came of it: the checkpoint, why it stands still, what
/// is to be done. `-` is nothing at all.
pub fn play(live: &mut Live, event: Event) -> String {
    let outcome = step(live, event, NOW, &Terms::default());
    show(live, &outcome)
}

/// See [`play`].
pub fn show(live: &Live, outcome: &Outcome) -> String {
    if let Some(refused) = &outcome.refused {
        assert!(!outcome.changed && outcome.effects.is_empty());
        return format!("refused: {refused}");
    }
    if !outcome.changed && outcome.effects.is_empty() {
        return "-".to_owned();
    }
    let deal = &live.deal;
    let mut parts = vec![deal.checkpoint.to_string()];
    match deal.hold {
        Hold::None => {}
        Hold::Auto { until } => parts.push(format!(" until +{}", until - NOW)),
        Hold::Manual => parts.push(" waits".to_owned()),
        Hold::Room => parts.push(" waits for room".to_owned()),
    }
    for effect in &outcome.effects {
        parts.push(match effect {
            Effect::WakeUp(at) => format!(" → WakeUp(+{})", at - NOW),
            Effect::AddPiece { look_first: true } => " → AddPiece, looking first".to_owned(),
            Effect::AddPiece { look_first: false } => " → AddPiece".to_owned(),
            other => format!(" → {other:?}"),
        });
    }
    if !deal.error.is_empty() {
        parts.push(format!(": {}", deal.error));
    }
    parts.concat()
}

/// A pass that ended with the right commitment.
pub fn matching() -> Pass {
    Pass {
        commitment: Some([9; 32]),
        natural: [9; 32],
        bytes: 1_999,
    }
}

/// Bytes of a hexadecimal text; white space is skipped.
pub fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits
        .chunks_exact(2)
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).expect("two digits"))
        .collect()
}
