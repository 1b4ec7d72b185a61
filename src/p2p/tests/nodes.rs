//! Two nodes, all protocols.

use super::{answer, client, config, params, provider, provider_of, soon, start};
use crate::filecoin::{Address, Signature, SignatureKind};
use crate::p2p::{Node, OpenError, P2pError};
use crate::wire::{DealStatusRequest, MAX_PARAMS_BYTES, WireError};
use futures::future::join_all;
use libp2p::{Multiaddr, PeerId, core::multiaddr::Protocol};
use std::time::{Duration, Instant};
use uuid::Uuid;

#[test]
fn all_protocols_are_answered() {
    let (provider, addresses) = provider();
    let client = client();
    let peer = provider.peer_id();
    soon(20, async {
        for accepted in [true, false] {
            let answer = client.propose(peer, &addresses, &params(accepted)).await;
            let answer = answer.unwrap();
            assert_eq!(answer.accepted, accepted);
            assert_eq!(answer.message, client.peer_id().to_string());
        }
        let request = DealStatusRequest {
            uuid: Uuid::from_u128(9),
            signature: Signature {
                kind: SignatureKind::Secp256k1,
                data: vec![1; 65],
            },
        };
        let status = client.status(peer, &addresses, &request).await.unwrap();
        assert_eq!(status.uuid, request.uuid);
        assert_eq!(status.error, "unknown");
        let ask = client.ask(peer, &addresses, Address::id(1000)).await;
        assert_eq!(ask.unwrap().ask, None);
        let transports = client.transports(peer, &addresses).await.unwrap();
        assert_eq!(transports.0[0].name, "libp2p");
    });
}

#[test]
fn a_provider_says_who_it_is_and_what_it_speaks() {
    let mut config = config(true);
    config.external = vec!["/dns4/box.example/tcp/4001".parse().unwrap()];
    let (provider, addresses) = provider_of(config);
    let client = client();
    soon(20, async {
        let info = client.protocols(provider.peer_id(), &addresses).await;
        let info = info.unwrap();
        assert_eq!(info.agent, "coracle/test");
        for protocol in [
            "/fil/storage/mk/1.2.1",
            "/fil/storage/mk/1.2.0",
            "/fil/storage/status/1.2.0",
            "/fil/storage/ask/1.1.0",
            "/fil/retrieval/transports/1.0.0",
        ] {
            assert!(info.speaks(protocol), "{protocol}");
        }
        assert!(!info.speaks("/fil/storage/mk/1.1.0"));
        assert!(info.addresses.contains(&addresses[0]));
        assert!(
            info.addresses
                .contains(&"/dns4/box.example/tcp/4001".parse().unwrap())
        );
        // The second time it is known already.
        let again = client.protocols(provider.peer_id(), &addresses).await;
        assert_eq!(again.unwrap(), info);
    });
}

#[test]
fn a_mere_client_speaks_none_of_it() {
    let (other, _inbound) = start(config(false));
    let client = client();
    soon(20, async {
        let addresses = other.listen_addrs().await;
        let info = client.protocols(other.peer_id(), &addresses).await.unwrap();
        assert!(
            !info
                .protocols
                .iter()
                .any(|known| known.starts_with("/fil/"))
        );
        let refused = client
            .propose(other.peer_id(), &addresses, &params(true))
            .await;
        assert!(matches!(
            refused,
            Err(P2pError::Open(OpenError::Unsupported))
        ));
    });
}

#[test]
fn many_streams_at_once_are_all_answered() {
    let (provider, addresses) = provider();
    let client = client();
    soon(30, async {
        let proposals = (0..50).map(|_| async {
            let peer = provider.peer_id();
            client.propose(peer, &addresses, &params(true)).await
        });
        for answer in join_all(proposals).await {
            assert!(answer.unwrap().accepted);
        }
    });
}

#[test]
fn names_are_resolved_and_peers_in_addresses_are_fine() {
    let (provider, addresses) = provider();
    let Some(Protocol::Tcp(port)) = addresses[0].iter().nth(1) else {
        panic!("{addresses:?}");
    };
    for host in ["/dns4/localhost", "/dns/localhost", "/ip4/127.0.0.1"] {
        let address: Multiaddr = format!("{host}/tcp/{port}").parse().unwrap();
        let address = address.with(Protocol::P2p(provider.peer_id()));
        let client = client();
        let answer = soon(
            20,
            client.propose(provider.peer_id(), &[address], &params(true)),
        );
        assert!(answer.unwrap().accepted, "{host}");
    }
}

#[test]
fn both_families_can_listen_on_one_port_and_report_concrete_addresses() {
    let (node, addresses) = provider();
    drop(node);
    let Some(Protocol::Tcp(port)) = addresses[0].iter().nth(1) else {
        panic!("{addresses:?}");
    };
    assert_ne!(port, 0);
    let mut config = config(true);
    config.listen = vec![
        "/ip4/0.0.0.0/tcp/0".parse().unwrap(),
        "/ip6/::/tcp/0".parse().unwrap(),
    ];
    let (provider, addresses) = provider_of(config);
    let loopback = |ip: Protocol<'static>| {
        let found = addresses
            .iter()
            .find(|address| address.iter().next() == Some(ip.clone()));
        found.cloned().into_iter().collect::<Vec<_>>()
    };
    let v4 = loopback(Protocol::Ip4([127, 0, 0, 1].into()));
    assert_eq!(v4.len(), 1, "{addresses:?}");
    for address in &addresses {
        let text = address.to_string();
        assert!(
            !text.contains("/0.0.0.0/") && !text.contains("/::/"),
            "{text}"
        );
        assert!(!text.ends_with("/tcp/0"), "{text}");
    }
    let answer = soon(20, client().propose(provider.peer_id(), &v4, &params(true)));
    assert!(answer.unwrap().accepted);
    let v6 = loopback(Protocol::Ip6(std::net::Ipv6Addr::LOCALHOST));
    if !v6.is_empty() {
        let answer = soon(20, client().propose(provider.peer_id(), &v6, &params(true)));
        assert!(answer.unwrap().accepted);
    }
}

#[test]
fn an_address_that_cannot_be_listened_on_is_named() {
    let (_provider, addresses) = provider();
    for address in [
        addresses[0].clone(),
        "/ip4/127.0.0.1/udp/1".parse().unwrap(),
    ] {
        let mut config = config(true);
        config.listen = vec![address.clone()];
        match Node::new(config).map(|_| ()) {
            Err(P2pError::Listen { address: named, .. }) => assert_eq!(named, address),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn wrong_peers_and_dead_addresses_are_unreachable() {
    let (provider, addresses) = provider();
    let client = client();
    let unreachable = |outcome: Result<_, P2pError>| {
        matches!(outcome, Err(P2pError::Open(OpenError::Unreachable)))
    };
    soon(20, async {
        let stranger = PeerId::random();
        assert!(unreachable(client.transports(stranger, &addresses).await));
        let dead = ["/ip4/127.0.0.1/tcp/1".parse().unwrap()];
        assert!(unreachable(
            client.transports(provider.peer_id(), &dead).await
        ));
        assert!(unreachable(
            client.transports(provider.peer_id(), &[]).await
        ));
        // A dead one among good ones does not matter.
        let both = [dead[0].clone(), addresses[0].clone()];
        let answer = client.transports(provider.peer_id(), &both).await;
        assert!(answer.is_ok(), "{answer:?}");
    });
}

#[test]
fn who_waits_behind_a_failing_dial_gets_an_own_one() {
    let (provider, addresses) = provider();
    let client = client();
    let dead = ["/ip4/127.0.0.1/tcp/1".parse().unwrap()];
    soon(20, async {
        let first = client.transports(provider.peer_id(), &dead);
        let second = client.transports(provider.peer_id(), &addresses);
        let (first, second) = futures::future::join(first, second).await;
        assert!(second.is_ok(), "{second:?}");
        // The first may profit from the second's connection.
        if let Err(error) = first {
            assert!(matches!(error, P2pError::Open(OpenError::Unreachable)));
        }
    });
}

#[test]
fn a_dropped_reply_ends_the_stream_without_an_answer() {
    let (provider, inbound) = start(config(true));
    std::thread::spawn(move || {
        while let Ok(asked) = inbound.recv_blocking() {
            drop(asked);
        }
    });
    let client = client();
    soon(20, async {
        let addresses = provider.listen_addrs().await;
        let peer = provider.peer_id();
        let answer = client.propose(peer, &addresses, &params(true)).await;
        assert!(matches!(answer, Err(P2pError::NoAnswer)), "{answer:?}");
        let answer = client.transports(peer, &addresses).await;
        assert!(matches!(answer, Err(P2pError::NoAnswer)), "{answer:?}");
        let answer = client.ask(peer, &addresses, Address::id(1)).await;
        assert!(matches!(answer, Err(P2pError::NoAnswer)), "{answer:?}");
    });
}

#[test]
fn nobody_at_the_queue_ends_the_stream_without_an_answer() {
    let (provider, inbound) = start(config(true));
    drop(inbound);
    let client = client();
    soon(20, async {
        let addresses = provider.listen_addrs().await;
        let answer = client
            .propose(provider.peer_id(), &addresses, &params(true))
            .await;
        assert!(matches!(answer, Err(P2pError::NoAnswer)), "{answer:?}");
    });
}

#[test]
fn what_is_over_a_limit_is_not_sent() {
    let mut large = params(true);
    large.transfer.params = vec![0; MAX_PARAMS_BYTES + 1];
    let refused = soon(20, client().propose(PeerId::random(), &[], &large));
    assert!(matches!(
        refused,
        Err(P2pError::Request(WireError::Field("Params")))
    ));
}

#[test]
fn the_largest_params_arrive() {
    let (provider, addresses) = provider();
    let client = client();
    let mut large = params(true);
    large.transfer.params = vec![b' '; MAX_PARAMS_BYTES];
    // More at once than may be in memory at once: the others wait their turn.
    soon(60, async {
        let peer = provider.peer_id();
        let proposals = (0..4).map(|_| client.propose(peer, &addresses, &large));
        for answer in join_all(proposals).await {
            assert!(answer.unwrap().accepted);
        }
    });
}

#[test]
fn a_restarted_provider_is_found_again() {
    let key = libp2p::identity::Keypair::generate_ed25519();
    let mut first = config(true);
    first.key = key.clone();
    let (provider, addresses) = provider_of(first);
    let client = client();
    let peer = provider.peer_id();
    let answer = soon(20, client.propose(peer, &addresses, &params(true)));
    assert!(answer.unwrap().accepted);
    soon(20, provider.close());
    let mut second = config(true);
    second.key = key;
    second.listen.clone_from(&addresses);
    let (_provider, addresses) = provider_of(second);
    let answer = soon(20, client.propose(peer, &addresses, &params(true)));
    assert!(answer.unwrap().accepted);
}

#[test]
fn closing_lets_work_finish_and_refuses_new() {
    let (provider, inbound) = start(config(true));
    let client = client();
    let addresses = smol::block_on(provider.listen_addrs());
    let peer = provider.peer_id();
    let asker = client.clone();
    let asked = {
        let addresses = addresses.clone();
        std::thread::spawn(move || {
            soon(20, async {
                asker.propose(peer, &addresses, &params(true)).await
            })
        })
    };
    let waiting = inbound.recv_blocking().unwrap();
    let closing = {
        let provider = provider.clone();
        std::thread::spawn(move || soon(20, provider.close()))
    };
    std::thread::sleep(Duration::from_millis(300));
    assert!(!closing.is_finished());
    answer(waiting);
    assert!(asked.join().unwrap().unwrap().accepted);
    closing.join().unwrap();
    let refused = soon(20, client.propose(peer, &addresses, &params(true)));
    assert!(matches!(refused, Err(P2pError::Open(_))), "{refused:?}");
    assert!(soon(20, provider.listen_addrs()).is_empty());
    let refused = soon(20, provider.transports(peer, &addresses));
    assert!(matches!(refused, Err(P2pError::Closed)), "{refused:?}");
}

#[test]
fn closing_does_not_wait_forever() {
    let (provider, inbound) = start(config(true));
    let client = client();
    let addresses = smol::block_on(provider.listen_addrs());
    let peer = provider.peer_id();
    std::thread::spawn(move || {
        smol::block_on(async { client.propose(peer, &addresses, &params(true)).await })
    });
    // Taken and never answered.
    let _waiting = inbound.recv_blocking().unwrap();
    let begun = Instant::now();
    soon(60, provider.close());
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn the_driver_ends_with_the_last_handle() {
    let (node, driver, _inbound) = Node::new(config(true)).unwrap();
    let other = node.clone();
    let driven = std::thread::spawn(move || smol::block_on(driver));
    drop(node);
    assert_eq!(soon(20, other.listen_addrs()).len(), 1);
    assert!(!driven.is_finished());
    drop(other);
    driven.join().unwrap();
}
