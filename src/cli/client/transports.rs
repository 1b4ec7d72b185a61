//! `coracle client transports`: where a provider's pieces can be fetched.

use super::options::{self, Options};
use crate::cli::{Failure, terminal};
use crate::client::talk::talk;
use crate::wire::{Transport, Transports};
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use serde_json::{Value, json};

/// Asks a provider for its retrieval transports.
pub fn run(mut options: Options) -> Result<(), Failure> {
    let peer = options.peer()?;
    let miner = options.provider()?;
    let json = options.json;
    options.finish()?;
    let provider = options::locate(&miner, peer)?;
    let transports =
        talk(|node| async move { node.transports(provider.peer, &provider.addresses).await })
            .and_then(|answered| answered)
            .map_err(|error| Failure::Failed(format!("asking for the transports: {error}")))?;
    if json {
        terminal::json(&facts(&transports));
    } else {
        terminal::print(&text(&transports));
    }
    Ok(())
}

/// The addresses that can be read, as texts.
fn addresses(transport: &Transport) -> Vec<Multiaddr> {
    transport
        .addresses
        .iter()
        .filter_map(|bytes| Multiaddr::try_from(bytes.clone()).ok())
        .collect()
}

fn facts(transports: &Transports) -> Value {
    let protocols: Vec<Value> = transports
        .0
        .iter()
        .map(|transport| {
            let addresses = addresses(transport);
            let urls: Vec<String> = addresses.iter().filter_map(url).collect();
            json!({
                "name": transport.name,
                "addresses": addresses.iter().map(Multiaddr::to_string).collect::<Vec<_>>(),
                "urls": urls,
            })
        })
        .collect();
    json!({ "protocols": protocols })
}

fn text(transports: &Transports) -> String {
    let mut text = String::new();
    for transport in &transports.0 {
        text.extend([&printable(&transport.name), "\n"]);
        for address in addresses(transport) {
            let url = url(&address).unwrap_or_default();
            let line = format!("  {address}  {url}");
            text.extend([line.trim_end(), "\n"]);
        }
    }
    text
}

/// The provider's text without what could steer a terminal.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// The URL that an HTTP address stands for: host, TCP port, then `http`, `https` or `tls` with `http`.
fn url(address: &Multiaddr) -> Option<String> {
    let (mut host, mut port, mut scheme, mut path) = (None, None, None, String::new());
    let mut tls = false;
    for part in address {
        match part {
            Protocol::Ip4(ip) => host = Some(ip.to_string()),
            Protocol::Ip6(ip) => host = Some(format!("[{ip}]")),
            Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => {
                host = Some(name.into_owned());
            }
            Protocol::Tcp(number) => port = Some(number),
            Protocol::Tls => tls = true,
            Protocol::Http => scheme = Some(if tls { "https" } else { "http" }),
            Protocol::Https => scheme = Some("https"),
            Protocol::HttpPath(text) => path = format!("/{}", text.trim_start_matches('/')),
            _ => return None,
        }
    }
    let (host, port, scheme) = (host?, port?, scheme?);
    let usual = if scheme == "https" { 443 } else { 80 };
    let port = if port == usual {
        String::new()
    } else {
        format!(":{port}")
    };
    Some(format!("{scheme}://{host}{port}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transports() -> Transports {
        let binary = |text: &str| text.parse::<Multiaddr>().unwrap().to_vec();
        let peer = "12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf";
        Transports(vec![
            Transport {
                name: "libp2p".to_owned(),
                addresses: vec![binary(&format!("/ip4/1.2.3.4/tcp/5/p2p/{peer}"))],
            },
            Transport {
                name: "ht\u{1b}tp".to_owned(),
                addresses: vec![binary("/dns4/sp.example/tcp/443/https"), vec![0xff]],
            },
        ])
    }

    #[test]
    fn an_http_address_is_a_url() {
        for (address, expected) in [
            ("/ip4/1.2.3.4/tcp/80/http", Some("http://1.2.3.4")),
            ("/ip4/1.2.3.4/tcp/7777/http", Some("http://1.2.3.4:7777")),
            ("/dns4/sp.example/tcp/443/https", Some("https://sp.example")),
            (
                "/dns/sp.example/tcp/443/tls/http",
                Some("https://sp.example"),
            ),
            ("/ip6/::1/tcp/8080/http", Some("http://[::1]:8080")),
            (
                "/dns/sp.example/tcp/443/https/http-path/a%2Fb",
                Some("https://sp.example/a/b"),
            ),
            ("/ip4/1.2.3.4/tcp/80", None),
            ("/ip4/1.2.3.4/udp/80/quic-v1", None),
            ("/dns/sp.example/https", None),
        ] {
            let address: Multiaddr = address.parse().unwrap();
            assert_eq!(url(&address).as_deref(), expected, "{address}");
        }
    }

    #[test]
    fn transports_are_shown_with_their_urls() {
        let facts = facts(&transports());
        assert_eq!(facts["protocols"][1]["urls"], json!(["https://sp.example"]));
        assert_eq!(facts["protocols"][0]["urls"], json!([]));
        let text = text(&transports());
        assert_eq!(
            text,
            "libp2p\n  /ip4/1.2.3.4/tcp/5/p2p/12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf\nhttp\n  /dns4/sp.example/tcp/443/https  https://sp.example\n"
        );
    }
}
