//! Where we listen, and whether the URLs that we tell others lead here.

use super::finding::Finding;
use super::url::{self, Expected, Fetched};
use crate::config::Config;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use std::net::{IpAddr, SocketAddr, TcpListener};

/// Binds what `coracle run` would bind, unless it runs, and fetches the URLs back.
pub(super) fn look(config: &Config, runs: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut own = None;
    if !runs {
        for address in config.listen.iter().filter_map(socket) {
            findings.extend(free("CORACLE_LISTEN", address).err());
        }
        findings.extend(free("CORACLE_ADMIN_LISTEN", config.admin_listen).err());
        match free("CORACLE_HTTP_LISTEN", config.http_listen) {
            Ok(listener) => own = url::Answering::start(listener),
            Err(finding) => findings.push(finding),
        }
        if findings.is_empty() {
            findings.push(Finding::ok("ports", "all addresses to listen on are free"));
        }
    }
    let expected = match (&own, runs) {
        (Some(answering), _) => Expected::Text(answering.text()),
        (None, true) => Expected::Provider,
        // Nobody of ours listens: what answers is somebody else.
        (None, false) => return findings,
    };
    findings.push(match &config.public_url {
        None => Finding::ok(
            "public URL",
            "CORACLE_PUBLIC_URL is not set: no HTTP retrieval is offered",
        ),
        Some(url) => judge_public(url, config.http_listen, &url::fetch(url, &expected)),
    });
    if let Some(url) = &config.sealer_url {
        findings.push(judge_sealer(url, &url::fetch(url, &expected)));
    }
    findings
}

/// The TCP socket of a multiaddr.
fn socket(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

fn free(setting: &str, address: SocketAddr) -> Result<TcpListener, Finding> {
    TcpListener::bind(address).map_err(|error| {
        Finding::bad(
            setting,
            format!("cannot listen on {address}: {error}"),
            format!(
                "end what listens there (`ss -ltnp`), or give {setting} another address: the provider does not start"
            ),
        )
    })
}

/// HTTP retrieval is not needed for a deal to succeed.
pub(super) fn judge_public(url: &str, listen: SocketAddr, fetched: &Fetched) -> Finding {
    const SUBJECT: &str = "public URL";
    match fetched {
        Fetched::Ours => Finding::ok(SUBJECT, format!("{url} leads here")),
        Fetched::Other(what) => Finding::warn(
            SUBJECT,
            format!("{url} leads to something else: {what}"),
            format!(
                "let it, or the proxy that answers there, lead to {listen} (CORACLE_HTTP_LISTEN)"
            ),
        ),
        Fetched::Nothing(why) => Finding::warn(
            SUBJECT,
            format!("{url} cannot be fetched from here: {why}"),
            format!(
                "forward its port to {listen} (CORACLE_HTTP_LISTEN) and open it in the firewall; \
                 some routers do not lead back inside: then try `curl {url}/` from elsewhere while the provider runs"
            ),
        ),
    }
}

/// This box may not reach an address that the sealer reaches.
pub(super) fn judge_sealer(url: &str, fetched: &Fetched) -> Finding {
    const SUBJECT: &str = "sealer URL";
    match fetched {
        Fetched::Ours => Finding::ok(SUBJECT, format!("{url} leads here")),
        Fetched::Other(what) => Finding::bad(
            SUBJECT,
            format!("{url} leads to something else: {what}"),
            "correct CORACLE_SEALER_URL, or leave it out: pieces are then pushed to the sealer",
        ),
        Fetched::Nothing(why) => Finding::warn(
            SUBJECT,
            format!("{url} cannot be fetched from here: {why}"),
            format!(
                "try `curl {url}/` on the sealer's machine while the provider runs; \
                 without CORACLE_SEALER_URL pieces are pushed to the sealer"
            ),
        ),
    }
}
