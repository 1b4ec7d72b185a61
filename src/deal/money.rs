//! What of a miner's money is free, and when money is short. Pure.

use super::{Ledger, Terms};
use crate::filecoin::TokenAmount;

/// Publish messages that the wallet should be able to pay for beyond those of live deals: some hours of a busy provider.
const MESSAGES_AHEAD: i64 = 3;

/// A miner's money as orders and warnings look at it, attoFIL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Money {
    /// Escrow that the chain has not locked.
    pub available: TokenAmount,
    /// What live deals hold of it.
    pub reserved: TokenAmount,
    /// What orders that are under way take of it.
    pub leaving: TokenAmount,
    /// Balance of the publish wallet, less what orders under way take of it.
    pub wallet: TokenAmount,
    /// What publish messages of live deals may cost, those of other miners with the same wallet included.
    pub fees_reserved: TokenAmount,
}

impl Money {
    /// A miner's money without orders and without other miners.
    pub fn of(available: TokenAmount, wallet: TokenAmount, ledger: &Ledger, terms: &Terms) -> Self {
        Self {
            available,
            reserved: ledger.collateral.clone(),
            leaving: TokenAmount::zero(),
            wallet,
            fees_reserved: ledger.publish_reserve(0, terms),
        }
    }

    /// Escrow that nobody has a claim to; negative if more was promised than is there.
    #[allow(clippy::arithmetic_side_effects)] // big integers
    pub fn free(&self) -> TokenAmount {
        &(&self.available - &self.reserved) - &self.leaving
    }

    /// Whether this much may be withdrawn.
    ///
    /// # Errors
    /// Why not, with the amounts.
    pub fn may_withdraw(&self, amount: &TokenAmount) -> Result<(), String> {
        let free = self.free();
        if *amount <= free {
            return Ok(());
        }
        Err(format!(
            "{} cannot be withdrawn: of {} that the chain has not locked, live deals hold {} and withdrawals under way \
             take {}, so {} are free; withdraw less, or cancel deals that are not published",
            amount.to_fil_text(),
            self.available.to_fil_text(),
            self.reserved.to_fil_text(),
            self.leaving.to_fil_text(),
            free.max(TokenAmount::zero()).to_fil_text()
        ))
    }

    /// Whether the publish wallet can put this much into escrow, pay for that message, and still for those of live deals.
    ///
    /// # Errors
    /// Why not, with the amounts.
    #[allow(clippy::arithmetic_side_effects)] // big integers
    pub fn may_add(&self, amount: &TokenAmount, fee_max: &TokenAmount) -> Result<(), String> {
        if &(amount + fee_max) + &self.fees_reserved <= self.wallet {
            return Ok(());
        }
        Err(format!(
            "{} cannot be added from the publish wallet: it has {}, the message may cost {}, and {} are kept for publish \
             messages of live deals; send money to the wallet, add less, or name another wallet with --from",
            amount.to_fil_text(),
            self.wallet.to_fil_text(),
            fee_max.to_fil_text(),
            self.fees_reserved.to_fil_text()
        ))
    }

    /// What is short of it: free escrow below the miner's threshold, a wallet that cannot pay for a few messages beyond those
    /// of live deals.
    #[allow(clippy::arithmetic_side_effects)] // big integers
    pub fn short(&self, terms: &Terms) -> Vec<Short> {
        let mut short = Vec::new();
        let free = self.free();
        if free < terms.escrow_low {
            short.push(Short::Escrow(free));
        }
        let ahead = &self.fees_reserved + &terms.publish_fee_max.times(MESSAGES_AHEAD);
        if self.wallet < ahead {
            short.push(Short::Wallet(self.wallet.clone(), ahead));
        }
        short
    }
}

/// Money that is short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Short {
    /// So much of the escrow is free.
    Escrow(TokenAmount),
    /// The publish wallet has the first and should have the second.
    Wallet(TokenAmount, TokenAmount),
}
