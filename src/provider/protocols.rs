//! What peers ask over libp2p, answered from the market.

use crate::market::Handle;
use crate::p2p::{Inbound, Node};
use crate::serve::public::{Kept, PieceLookup};
use crate::wire::{Transport, Transports};
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use smol::channel::Receiver;
use std::sync::Arc;

/// Everything that answers peers.
#[derive(Clone)]
pub(super) struct Protocols {
    pub market: Handle,
    pub node: Node,
    pub public_url: Option<String>,
}

impl Protocols {
    /// Answers until the node ends. Each request is a task of its own; their number is bounded by the streams that the
    /// node lets in.
    pub(super) async fn serve(
        self,
        executor: Arc<smol::Executor<'static>>,
        inbound: Receiver<Inbound>,
    ) {
        while let Ok(request) = inbound.recv().await {
            let protocols = self.clone();
            executor
                .spawn(async move { protocols.answer(request).await })
                .detach();
        }
    }

    /// A client that has gone hears nothing; what it asked for is carried out all the same.
    async fn answer(&self, request: Inbound) {
        match request {
            Inbound::Proposal {
                peer,
                params,
                reply,
            } => {
                let response = self.market.propose(&peer.to_string(), *params).await;
                let _ = reply.send(response);
            }
            Inbound::Status { req, reply } => {
                let _ = reply.send(self.market.status(req).await);
            }
            Inbound::Ask { miner, reply } => {
                let _ = reply.send(self.market.ask(&miner));
            }
            Inbound::Transports { reply } => {
                let _ = reply.send(self.transports().await);
            }
        }
    }

    /// Spec boost-mk12 1.7: libp2p first, then HTTP; what there is nothing to say about is left out.
    async fn transports(&self) -> Transports {
        let peer = self.node.peer_id();
        let own: Vec<Vec<u8>> = self
            .node
            .listen_addrs()
            .await
            .into_iter()
            .map(|address| address.with(Protocol::P2p(peer)).to_vec())
            .collect();
        let mut all = Vec::new();
        if !own.is_empty() {
            all.push(Transport {
                name: "libp2p".to_owned(),
                addresses: own,
            });
        }
        if let Some(address) = self.public_url.as_deref().and_then(http_multiaddr) {
            all.push(Transport {
                name: "http".to_owned(),
                addresses: vec![address.to_vec()],
            });
        }
        Transports(all)
    }
}

/// The multiaddr of an HTTP URL without a path, as `/dns/example.net/tcp/443/https`.
pub(super) fn http_multiaddr(url: &str) -> Option<Multiaddr> {
    let (scheme, rest) = url.split_once("://")?;
    let (protocol, default_port) = match scheme {
        "http" => (Protocol::Http, 80),
        "https" => (Protocol::Https, 443),
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
        _ => (authority, default_port),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let first = match host.parse() {
        Ok(std::net::IpAddr::V4(ip)) => Protocol::Ip4(ip),
        Ok(std::net::IpAddr::V6(ip)) => Protocol::Ip6(ip),
        Err(_) => Protocol::Dns(host.into()),
    };
    Some(
        Multiaddr::empty()
            .with(first)
            .with(Protocol::Tcp(port))
            .with(protocol),
    )
}

/// The kept pieces, as the public listener looks for them.
pub(super) struct KeptPieces(pub Handle);

impl PieceLookup for KeptPieces {
    fn find(&self, commitment: &[u8; 32]) -> Option<Kept> {
        let piece = self.0.kept().find(commitment)?;
        Some(Kept {
            path: piece.path.into(),
            payload_size: piece.payload_size,
            padded_size: piece.padded_size,
            is_car: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_become_multiaddrs() {
        let cases = [
            (
                "https://sp.example.net",
                Some("/dns/sp.example.net/tcp/443/https"),
            ),
            (
                "http://203.0.113.7:8080/x",
                Some("/ip4/203.0.113.7/tcp/8080/http"),
            ),
            (
                "http://[2001:db8::1]:81",
                Some("/ip6/2001:db8::1/tcp/81/http"),
            ),
            ("http://[2001:db8::1]", Some("/ip6/2001:db8::1/tcp/80/http")),
            ("ftp://example.net", None),
            ("http://example.net:99999", None),
        ];
        for (url, expected) in cases {
            let found = http_multiaddr(url).map(|address| address.to_string());
            assert_eq!(found.as_deref(), expected, "{url}");
        }
    }
}
