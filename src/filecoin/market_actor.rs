//! The storage market actor f05: numbers of its methods, their parameters and returns, and its
//! limits (spec chain-sealer-rpc D.1 to D.5).

use super::{Address, ClientDealProposal, TokenAmount, bitfield, cbor, cbor::CborError};
use std::ops::Range;

/// Method number: put money into an account's escrow.
pub const ADD_BALANCE: u64 = 2;
/// Method number: take free money out of escrow.
pub const WITHDRAW_BALANCE: u64 = 3;
/// Method number: put deals on the chain.
pub const PUBLISH_STORAGE_DEALS: u64 = 4;
/// Method number (FRC-0042) of an account, not of f05: check a signature.
pub const AUTHENTICATE_MESSAGE: u64 = 2_643_134_072;
/// The shortest deal in epochs: 180 days.
pub const MIN_DURATION: i64 = 518_400;
/// The longest deal in epochs: 1278 days.
pub const MAX_DURATION: i64 = 3_680_640;
/// The smallest padded piece of a verified deal: the least allocation of the registry of DataCap.
pub const MIN_VERIFIED_PIECE: u64 = 1 << 20;
/// An allocation of DataCap that no sector has claimed expires so many epochs after publication: 60 days.
pub const ALLOCATION_EPOCHS: i64 = 172_800;
/// The longest label of a deal in bytes.
pub const MAX_LABEL_BYTES: usize = 256;
/// The largest price per epoch and the largest client collateral, in FIL: all there will ever be.
pub const MAX_FIL: u64 = 2_000_000_000;

/// Ranges of published positions that are read: every range has a deal, and there are at most
/// [`cbor::MAX_ENTRIES`] deals.
const MAX_VALID_RANGES: usize = 8192;

/// Parameters of `PublishStorageDeals`: array(1) of the array of deals.
pub fn encode_publish(deals: &[ClientDealProposal]) -> Vec<u8> {
    cbor::encoded(|out| {
        cbor::put_array(out, 1);
        cbor::put_array(out, deals.len() as u64);
        for deal in deals {
            deal.encode_into(out);
        }
    })
}

/// Reads parameters of `PublishStorageDeals`, at most 8192 deals.
pub fn decode_publish(params: &[u8]) -> Result<Vec<ClientDealProposal>, CborError> {
    cbor::decode_all(params, |d| {
        cbor::expect_array(d, 1)?;
        let count = cbor::get_array(d)?;
        (0..count)
            .map(|_| ClientDealProposal::decode_from(d))
            .collect()
    })
}

/// What `PublishStorageDeals` returns: IDs of the deals that were published, and which they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishReturn {
    /// The IDs, in the order of the parameters, without gaps for dropped deals.
    pub ids: Vec<u64>,
    /// Positions in the parameters that were published, as ascending ranges.
    pub valid: Vec<Range<u64>>,
}

impl PublishReturn {
    /// The CBOR: array(2) of the array of IDs and an RLE+ byte string.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encoded(|out| {
            cbor::put_array(out, 2);
            cbor::put_array(out, self.ids.len() as u64);
            for &id in &self.ids {
                cbor::put_u64(out, id);
            }
            cbor::put_bytes(out, &bitfield::encode_ranges(&self.valid));
        })
    }

    /// Reads a return. Whether the number of IDs and of positions fit is seen in [`Self::deal_id`].
    pub fn decode(b: &[u8]) -> Result<Self, CborError> {
        cbor::decode_all(b, |d| {
            cbor::expect_array(d, 2)?;
            let count = cbor::get_array(d)?;
            let ids = (0..count)
                .map(|_| cbor::get_u64(d))
                .collect::<Result<_, _>>()?;
            let bits = cbor::get_bytes(d, bitfield::MAX_BYTES)?;
            let valid = bitfield::decode(&bits, MAX_VALID_RANGES)
                .map_err(|error| CborError::Malformed(error.0))?;
            Ok(Self { ids, valid })
        })
    }

    /// The ID of the deal at this position of the parameters; `None` if it was dropped, or if the
    /// return is one ID short.
    pub fn deal_id(&self, position: u64) -> Option<u64> {
        let (published, before) = bitfield::rank(&self.valid, position);
        if !published {
            return None;
        }
        self.ids.get(usize::try_from(before).ok()?).copied()
    }
}

/// Parameters of `AddBalance`: whose escrow is filled. For a provider that is the miner actor.
pub fn encode_add_balance(a: &Address) -> Vec<u8> {
    cbor::encoded(|out| cbor::put_address(out, a))
}

/// Reads parameters of `AddBalance`.
pub fn decode_add_balance(b: &[u8]) -> Result<Address, CborError> {
    cbor::decode_all(b, cbor::get_address)
}

/// Parameters of `WithdrawBalance`: whose escrow, and at most how much.
pub fn encode_withdraw(a: &Address, n: &TokenAmount) -> Vec<u8> {
    cbor::encoded(|out| {
        cbor::put_array(out, 2);
        cbor::put_address(out, a);
        cbor::put_amount(out, n);
    })
}

/// Reads parameters of `WithdrawBalance`.
pub fn decode_withdraw(b: &[u8]) -> Result<(Address, TokenAmount), CborError> {
    cbor::decode_all(b, |d| {
        cbor::expect_array(d, 2)?;
        Ok((cbor::get_address(d)?, cbor::get_amount(d)?))
    })
}

/// The return of `WithdrawBalance`: what was paid out, which may be less than was asked for.
pub fn encode_withdraw_return(paid: &TokenAmount) -> Vec<u8> {
    cbor::encoded(|out| cbor::put_amount(out, paid))
}

/// Reads the return of `WithdrawBalance`.
pub fn decode_withdraw_return(b: &[u8]) -> Result<TokenAmount, CborError> {
    cbor::decode_all(b, cbor::get_amount)
}

/// Parameters of `AuthenticateMessage`: array(2) of the signature's data without its type byte,
/// and the message.
pub fn encode_authenticate(signature: &[u8], message: &[u8]) -> Vec<u8> {
    cbor::encoded(|out| {
        cbor::put_array(out, 2);
        cbor::put_bytes(out, signature);
        cbor::put_bytes(out, message);
    })
}

/// Reads parameters of `AuthenticateMessage`.
pub fn decode_authenticate(b: &[u8]) -> Result<(Vec<u8>, Vec<u8>), CborError> {
    cbor::decode_all(b, |d| {
        cbor::expect_array(d, 2)?;
        Ok((
            cbor::get_bytes(d, cbor::MAX_BYTES)?,
            cbor::get_bytes(d, cbor::MAX_BYTES)?,
        ))
    })
}
