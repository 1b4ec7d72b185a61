//! Where a provider is: told by the user, or by the chain.

use crate::chain::ProviderContact;
use crate::filecoin::Address;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use std::fmt;

/// Addresses taken from the chain at most; providers have two or three.
const ADDRESSES_MAX: usize = 16;

/// A provider's libp2p node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// Its name.
    pub peer: PeerId,
    /// Where it can be reached, without `/p2p/…`.
    pub addresses: Vec<Multiaddr>,
}

/// Why a provider cannot be talked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderError {
    /// The text is no multiaddr.
    NotAnAddress,
    /// The multiaddr does not end with `/p2p/` and a peer ID, or holds nothing else.
    NoPeerId,
    /// The provider has no peer ID on chain.
    NoPeerIdOnChain(Address),
    /// The provider has no usable multiaddr on chain.
    NoAddressOnChain(Address),
    /// The peer ID or a multiaddr on chain cannot be read.
    MalformedOnChain(Address),
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnAddress => f.write_str("is no multiaddr"),
            Self::NoPeerId => f.write_str("does not end with /p2p/ and a peer ID"),
            // The reference client's words (spec boost-mk12 9.2).
            Self::NoPeerIdOnChain(miner) => {
                write!(f, "storage provider {miner} has no peer ID set on-chain")
            }
            Self::NoAddressOnChain(miner) => {
                write!(f, "storage provider {miner} has no multiaddrs set on-chain")
            }
            Self::MalformedOnChain(miner) => {
                write!(
                    f,
                    "storage provider {miner} has a malformed contact on-chain"
                )
            }
        }
    }
}

impl std::error::Error for ProviderError {}

impl Provider {
    /// Reads `MULTIADDR/p2p/ID`.
    ///
    /// # Errors
    /// [`ProviderError::NotAnAddress`] or [`ProviderError::NoPeerId`].
    pub fn parse(text: &str) -> Result<Self, ProviderError> {
        let mut address: Multiaddr = text.parse().map_err(|_| ProviderError::NotAnAddress)?;
        match address.pop() {
            Some(Protocol::P2p(peer)) if !address.is_empty() => Ok(Self {
                peer,
                addresses: vec![address],
            }),
            _ => Err(ProviderError::NoPeerId),
        }
    }

    /// The contact that the provider put on chain. Addresses that cannot be read are passed over while others can.
    ///
    /// # Errors
    /// There is no peer ID, or no address that can be read.
    pub fn from_contact(miner: &Address, contact: &ProviderContact) -> Result<Self, ProviderError> {
        let Some(peer) = &contact.peer_id else {
            return Err(ProviderError::NoPeerIdOnChain(miner.clone()));
        };
        let peer: PeerId = peer
            .parse()
            .map_err(|_| ProviderError::MalformedOnChain(miner.clone()))?;
        if contact.multiaddrs.is_empty() {
            return Err(ProviderError::NoAddressOnChain(miner.clone()));
        }
        let addresses: Vec<Multiaddr> = contact
            .multiaddrs
            .iter()
            .take(ADDRESSES_MAX)
            .filter_map(|bytes| Multiaddr::try_from(bytes.clone()).ok())
            .map(|address| without_peer(address, peer))
            .filter(|address| !address.is_empty())
            .collect();
        if addresses.is_empty() {
            return Err(ProviderError::MalformedOnChain(miner.clone()));
        }
        Ok(Self { peer, addresses })
    }
}

/// An address without the `/p2p/…` of the very peer at its end.
fn without_peer(mut address: Multiaddr, peer: PeerId) -> Multiaddr {
    if address.iter().last() == Some(Protocol::P2p(peer)) {
        address.pop();
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf";

    fn contact(peer: Option<&str>, addresses: &[&str]) -> ProviderContact {
        ProviderContact {
            peer_id: peer.map(str::to_owned),
            multiaddrs: addresses
                .iter()
                .map(|a| a.parse::<Multiaddr>().unwrap().to_vec())
                .collect(),
        }
    }

    #[test]
    fn an_address_with_its_peer_is_taken_apart() {
        let provider = Provider::parse(&format!("/dns4/sp.example/tcp/24001/p2p/{PEER}")).unwrap();
        assert_eq!(provider.peer.to_string(), PEER);
        assert_eq!(
            provider.addresses[0].to_string(),
            "/dns4/sp.example/tcp/24001"
        );
        for (text, expected) in [
            ("sp.example:24001", ProviderError::NotAnAddress),
            ("/ip4/1.2.3.4/tcp/24001", ProviderError::NoPeerId),
            (
                "/ip4/1.2.3.4/tcp/24001/p2p/xyz",
                ProviderError::NotAnAddress,
            ),
        ] {
            assert_eq!(Provider::parse(text), Err(expected), "{text}");
        }
        assert_eq!(
            Provider::parse(&format!("/p2p/{PEER}")),
            Err(ProviderError::NoPeerId)
        );
    }

    #[test]
    fn the_chain_names_peer_and_addresses() {
        let miner = Address::id(1234);
        let with_peer = format!("/ip4/1.2.3.4/tcp/5/p2p/{PEER}");
        let found = Provider::from_contact(
            &miner,
            &contact(Some(PEER), &["/ip4/1.2.3.4/tcp/5", &with_peer]),
        )
        .unwrap();
        assert_eq!(found.peer.to_string(), PEER);
        let texts: Vec<String> = found.addresses.iter().map(Multiaddr::to_string).collect();
        assert_eq!(texts, ["/ip4/1.2.3.4/tcp/5", "/ip4/1.2.3.4/tcp/5"]);
    }

    #[test]
    fn what_is_missing_on_chain_is_said_in_the_reference_s_words() {
        let miner = Address::id(1234);
        let error = |contact: &ProviderContact| {
            Provider::from_contact(&miner, contact)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            error(&contact(None, &["/ip4/1.2.3.4/tcp/5"])),
            "storage provider f01234 has no peer ID set on-chain"
        );
        assert_eq!(
            error(&contact(Some(PEER), &[])),
            "storage provider f01234 has no multiaddrs set on-chain"
        );
        assert!(error(&contact(Some("x"), &["/ip4/1.2.3.4/tcp/5"])).contains("malformed"));
        let mut broken = contact(Some(PEER), &["/ip4/1.2.3.4/tcp/5"]);
        broken.multiaddrs.insert(0, vec![0xff; 3]);
        assert_eq!(
            Provider::from_contact(&miner, &broken)
                .unwrap()
                .addresses
                .len(),
            1
        );
        broken.multiaddrs.pop();
        assert!(error(&broken).contains("malformed"));
    }
}
