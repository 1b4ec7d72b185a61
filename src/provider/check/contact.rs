//! How clients find us: the peer ID and the multiaddrs on chain against our own.

use super::Running;
use super::finding::Finding;
use crate::chain::MinerInfo;
use crate::config::Config;
use crate::filecoin::Address;
use crate::provider::identity;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use std::net::IpAddr;

/// Networks on which an address must be reachable from everywhere; on others nobody is far away.
const PUBLIC_NETWORKS: [&str; 2] = ["mainnet", "calibrationnet"];

/// Addresses that are shown or proposed at most.
const SHOWN_MAX: usize = 8;

/// What we are and where.
#[derive(Debug, Clone)]
pub(super) struct Ours {
    /// Our peer ID; none as long as there is no key.
    pub peer: Option<PeerId>,
    /// Where we can be reached, as far as this box knows, without `/p2p/…`.
    pub addresses: Vec<Multiaddr>,
    /// Whether the operator has named these addresses; otherwise a router may stand before them.
    pub named: bool,
}

/// From the settings, and from the running provider if there is one.
pub(super) fn ours(config: &Config, running: Option<&Running>) -> Ours {
    let key = identity::known_libp2p_key(&config.libp2p_key_file).ok();
    let own = key.map(|key| key.public().to_peer_id());
    let peer = running.map(|running| running.peer).or(own);
    let named = !config.announce.is_empty();
    let addresses = if named {
        config.announce.clone()
    } else if let Some(running) = running {
        running.addresses.clone()
    } else {
        config.listen.iter().flat_map(concrete).collect()
    };
    Ours {
        peer,
        addresses: addresses.iter().map(bare).collect(),
        named,
    }
}

/// An address without the peer ID at its end.
fn bare(address: &Multiaddr) -> Multiaddr {
    address
        .iter()
        .filter(|part| !matches!(part, Protocol::P2p(_)))
        .collect()
}

/// The addresses of this box for one that it listens on; none for a port that the system chooses.
fn concrete(listen: &Multiaddr) -> Vec<Multiaddr> {
    if port(listen) == Some(0) {
        return Vec::new();
    }
    let any = match listen.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_unspecified(),
        Some(Protocol::Ip6(ip)) => ip.is_unspecified(),
        _ => false,
    };
    if !any {
        return vec![listen.clone()];
    }
    let is_v4 = matches!(listen.iter().next(), Some(Protocol::Ip4(_)));
    let found = if_addrs::get_if_addrs().unwrap_or_default();
    let ips = found
        .into_iter()
        .map(|interface| interface.ip())
        .filter(|ip| ip.is_ipv4() == is_v4 && !ip.is_loopback());
    ips.take(SHOWN_MAX)
        .map(|ip| {
            let first = match ip {
                IpAddr::V4(ip) => Protocol::Ip4(ip),
                IpAddr::V6(ip) => Protocol::Ip6(ip),
            };
            std::iter::once(first)
                .chain(listen.iter().skip(1))
                .collect()
        })
        .collect()
}

fn port(address: &Multiaddr) -> Option<u16> {
    address.iter().find_map(|part| match part {
        Protocol::Tcp(port) => Some(port),
        _ => None,
    })
}

/// Whether the whole world could reach it, judged by the address alone. A name may lead anywhere.
pub(super) fn is_public(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => {
            let [first, second, ..] = ip.octets();
            let shared = first == 100 && (64..128).contains(&second);
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || shared)
        }
        Some(Protocol::Ip6(ip)) => {
            let first = ip.segments().first().copied().unwrap_or(0);
            !(ip.is_loopback()
                || ip.is_unspecified()
                || first & 0xfe00 == 0xfc00
                || first & 0xffc0 == 0xfe80)
        }
        Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_)) => true,
        _ => false,
    }
}

/// The lines about a miner's contact.
pub(super) fn judge(
    miner: &Address,
    info: &MinerInfo,
    ours: &Ours,
    network: Option<&str>,
) -> Vec<Finding> {
    let must_be_public = network.is_some_and(|name| PUBLIC_NETWORKS.contains(&name));
    vec![
        peer_id(miner, info, ours.peer),
        multiaddrs(miner, info, ours, must_be_public),
    ]
}

fn peer_id(miner: &Address, info: &MinerInfo, ours: Option<PeerId>) -> Finding {
    let subject = format!("{miner} peer ID");
    let chain = match &info.peer_id {
        Some(id) => format!("on chain is {id}"),
        None => "on chain is none".to_owned(),
    };
    let Some(ours) = ours else {
        return Finding::bad(
            &subject,
            format!("{chain}, and this box has no libp2p key yet: clients cannot find it"),
            "name the file of that peer's key in CORACLE_LIBP2P_KEY_FILE, or start `coracle run` once: \
             it makes a key, and this check then says what to run on the miner",
        );
    };
    if info.peer_id.as_deref() == Some(ours.to_string().as_str()) {
        return Finding::ok(&subject, format!("{ours}, as on chain"));
    }
    Finding::bad(
        &subject,
        format!("{chain}, ours is {ours}: clients cannot find this provider"),
        "run this on the miner, or bring the key of the peer on chain (CORACLE_LIBP2P_KEY_FILE):",
    )
    .run(format!("lotus-miner actor set-peer-id {ours}"))
}

fn multiaddrs(miner: &Address, info: &MinerInfo, ours: &Ours, must_be_public: bool) -> Finding {
    let subject = format!("{miner} multiaddrs");
    let chain: Vec<Multiaddr> = info
        .multiaddrs
        .iter()
        .filter_map(|bytes| Multiaddr::try_from(bytes.clone()).ok())
        .map(|address| bare(&address))
        .collect();
    let command = set_addrs(ours, must_be_public);
    if chain.is_empty() {
        return Finding::bad(
            &subject,
            "on chain is none: clients cannot find this provider",
            advice(&command),
        )
        .run(command);
    }
    let shown = text(&chain);
    if !chain.iter().any(|address| ours.addresses.contains(address)) {
        let (bad, known) = if ours.named {
            (true, "CORACLE_ANNOUNCE names")
        } else if ours.addresses.is_empty() {
            (
                false,
                "this box knows no own one, as its port is chosen at each start: it has",
            )
        } else {
            // A router may forward another address and port to this box.
            (false, "this box knows of")
        };
        return Finding::wrong(
            bad,
            &subject,
            format!("on chain is {shown}, but {known} {}", text(&ours.addresses)),
            format!(
                "if a router forwards what is on chain to this box, name it in CORACLE_ANNOUNCE; if not: {}",
                advice(&command)
            ),
        )
        .run(command);
    }
    if must_be_public && !chain.iter().any(is_public) {
        return Finding::warn(
            &subject,
            format!("{shown}, as on chain, but only this network's neighbours reach it"),
            advice(&command),
        )
        .run(command);
    }
    Finding::ok(&subject, format!("{shown}, as on chain"))
}

fn advice(command: &str) -> &'static str {
    if command.contains(PLACEHOLDER) {
        "forward a port of the router's public address to CORACLE_LISTEN, name it in CORACLE_ANNOUNCE, then run this on the miner:"
    } else {
        "run this on the miner:"
    }
}

/// Stands for what this box does not know.
const PLACEHOLDER: &str = "PUBLIC.IP.ADDRESS";

/// The port of the default `CORACLE_LISTEN`, where none is known.
const PORT: u16 = 24_001;

/// The line to run on the miner: what was named, else what is public, else, where nobody is far away, all there is.
fn set_addrs(ours: &Ours, must_be_public: bool) -> String {
    let good: Vec<&Multiaddr> = ours
        .addresses
        .iter()
        .filter(|address| ours.named || !must_be_public || is_public(address))
        .take(SHOWN_MAX)
        .collect();
    let list = if good.is_empty() {
        let port = ours.addresses.iter().find_map(port).unwrap_or(PORT);
        format!("/ip4/{PLACEHOLDER}/tcp/{port}")
    } else {
        let texts: Vec<String> = good.iter().map(ToString::to_string).collect();
        texts.join(" ")
    };
    format!("lotus-miner actor set-addrs {list}")
}

fn text(addresses: &[Multiaddr]) -> String {
    if addresses.is_empty() {
        return "none".to_owned();
    }
    let texts: Vec<String> = addresses
        .iter()
        .take(SHOWN_MAX)
        .map(ToString::to_string)
        .collect();
    texts.join(", ")
}
