//! Who the provider works for and with, from the settings that name them.

use super::{Config, MinerConfig, values};
use crate::rpc::{Endpoint, Version};

/// The miners, each with nothing of its own yet.
pub(super) fn miners(config: &mut Config, text: &str) -> Result<(), String> {
    let with = |address| MinerConfig {
        address,
        ..MinerConfig::blank()
    };
    config.miners = values::miners(text)?.into_iter().map(with).collect();
    Ok(())
}

/// The sealers' addresses and tokens, at least one.
pub(super) fn sealers(config: &mut Config, text: &str) -> Result<(), String> {
    let sealers = values::list(text, |item| {
        Endpoint::parse(item, Version::V0).map_err(|error| error.to_string())?;
        Ok(item.to_owned())
    })?;
    if sealers.is_empty() {
        return Err("names no sealer".to_owned());
    }
    config.miner_api_info = sealers;
    Ok(())
}
