//! `coracle client ask`.

use super::options::{self, Options};
use crate::cli::terminal::Bytes;
use crate::cli::{Failure, terminal};
use crate::client::talk::talk;
use crate::filecoin::{ChainEpoch, TokenAmount, piece_size};
use crate::wire::StorageAsk;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// What a deal of a size and duration would cost.
struct Cost {
    size: u64,
    duration: Option<ChainEpoch>,
}

/// Asks a provider for its terms.
pub fn run(mut options: Options) -> Result<(), Failure> {
    let size: Option<u64> = options.value("--size")?;
    let duration: Option<ChainEpoch> = options.value("--duration")?;
    let peer = options.peer()?;
    let miner = options.provider()?;
    let json = options.json;
    options.finish()?;
    let cost = size.map(|bytes| cost(bytes, duration)).transpose()?;
    let provider = options::locate(&miner, peer)?;
    let (asked, addresses) = (miner.clone(), provider.addresses);
    let response = talk(|node| async move { node.ask(provider.peer, &addresses, asked).await })
        .and_then(|answered| answered)
        .map_err(|error| Failure::Failed(format!("asking for the terms: {error}")))?;
    let ask = response
        .ask
        .and_then(|signed| signed.ask)
        .ok_or_else(|| Failure::Refused(format!("{miner} has no ask")))?;
    if json {
        terminal::json(&facts(&ask, cost.as_ref()));
    } else {
        terminal::print(&text(&ask, cost.as_ref()));
    }
    Ok(())
}

/// The size of data becomes that of the piece which holds it.
fn cost(bytes: u64, duration: Option<ChainEpoch>) -> Result<Cost, Failure> {
    let size = if piece_size::check_padded(bytes).is_ok() {
        bytes
    } else {
        piece_size::padded_for_payload(bytes)
            .ok_or_else(|| Failure::Usage(format!("--size {bytes}: no piece is that large")))?
    };
    Ok(Cost { size, duration })
}

impl Cost {
    fn per_epoch(&self, price: &TokenAmount) -> TokenAmount {
        price.price_for(self.size)
    }

    fn total(&self, price: &TokenAmount) -> Option<TokenAmount> {
        self.duration
            .map(|duration| self.per_epoch(price).times(duration))
    }
}

fn facts(ask: &StorageAsk, cost: Option<&Cost>) -> Value {
    let mut facts = json!({
        "provider": ask.miner.to_string(),
        "price": ask.price.to_string(),
        "verifiedPrice": ask.verified_price.to_string(),
        "minPieceSize": ask.min_piece_size,
        "maxPieceSize": ask.max_piece_size,
        "seqNo": ask.seq_no,
        "timestamp": ask.timestamp,
        "expiry": ask.expiry,
    });
    if let (Some(cost), Some(object)) = (cost, facts.as_object_mut()) {
        let kinds = [
            ("pricePerEpoch", "totalPrice", &ask.price),
            (
                "verifiedPricePerEpoch",
                "verifiedTotalPrice",
                &ask.verified_price,
            ),
        ];
        for (per_epoch, total, price) in kinds {
            let epoch_price = cost.per_epoch(price).to_string();
            object.insert(per_epoch.to_owned(), json!(epoch_price));
            if let Some(sum) = cost.total(price) {
                object.insert(total.to_owned(), json!(sum.to_string()));
            }
        }
    }
    facts
}

fn text(ask: &StorageAsk, cost: Option<&Cost>) -> String {
    let mut text = format!("Ask of {}\n", ask.miner);
    let mut line = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name}: {value}");
    };
    line("price per GiB and epoch", &ask.price.to_fil_text());
    line(
        "verified price per GiB and epoch",
        &ask.verified_price.to_fil_text(),
    );
    line("smallest piece", &Bytes(ask.min_piece_size).to_string());
    line("largest piece", &Bytes(ask.max_piece_size).to_string());
    if let Some(cost) = cost {
        line("piece", &Bytes(cost.size).to_string());
        for (kind, price) in [("", &ask.price), ("verified ", &ask.verified_price)] {
            let name = format!("{kind}price per epoch");
            line(&name, &cost.per_epoch(price).to_fil_text());
            if let Some(total) = cost.total(price) {
                line(&format!("{kind}total price"), &total.to_fil_text());
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filecoin::Address;

    fn ask() -> StorageAsk {
        StorageAsk {
            miner: Address::id(1000),
            price: TokenAmount::from_atto(50_000_000),
            seq_no: 3,
            expiry: 9,
            timestamp: 8,
            max_piece_size: 32 << 30,
            min_piece_size: 256,
            verified_price: TokenAmount::from_atto(5_000_000),
        }
    }

    #[test]
    fn the_terms_alone() {
        let facts = facts(&ask(), None);
        assert_eq!(facts["price"], "50000000");
        assert_eq!(facts["verifiedPrice"], "5000000");
        assert!(facts.get("pricePerEpoch").is_none());
        let text = text(&ask(), None);
        assert!(
            text.contains("largest piece: 32 GiB") && text.contains("smallest piece: 256 B"),
            "{text}"
        );
        assert!(!text.contains("total"), "{text}");
    }

    #[test]
    fn a_size_and_a_duration_have_a_cost_by_both_prices() {
        // 1,000,000 bytes need a piece of 1 MiB.
        let cost = cost(1_000_000, Some(10)).unwrap();
        assert_eq!(cost.size, 1 << 20);
        let facts = facts(&ask(), Some(&cost));
        assert_eq!(facts["pricePerEpoch"], "48828");
        assert_eq!(facts["totalPrice"], "488280");
        assert_eq!(facts["verifiedPricePerEpoch"], "4882");
        assert_eq!(facts["verifiedTotalPrice"], "48820");
        let text = text(&ask(), Some(&cost));
        assert!(
            text.contains("piece: 1 MiB") && text.contains("verified total price"),
            "{text}"
        );
    }

    #[test]
    fn a_padded_size_is_taken_as_it_is() {
        assert_eq!(cost(2048, None).unwrap().size, 2048);
        assert_eq!(cost(2033, None).unwrap().size, 4096);
        assert_eq!(cost(1, None).unwrap().size, 128);
        assert!(cost(u64::MAX, None).is_err());
    }
}
