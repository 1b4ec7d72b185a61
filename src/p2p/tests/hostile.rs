//! Peers that are silent, slow or talk nonsense before a stream is even there.

use super::{client, config, params, provider, soon};
use crate::p2p::{Node, OpenError, P2pError};
use libp2p::core::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

fn socket(address: &Multiaddr) -> SocketAddr {
    let mut parts = address.iter();
    match (parts.next(), parts.next()) {
        (Some(Protocol::Ip4(ip)), Some(Protocol::Tcp(port))) => {
            SocketAddr::new(IpAddr::V4(ip), port)
        }
        _ => panic!("{address}"),
    }
}

#[test]
fn nonsense_on_a_socket_is_dropped_and_others_are_served() {
    let (provider, addresses) = provider();
    for nonsense in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0; 4096],
        &[0xff; 64],
        b"\x13/multistream/1.0.0\n\x03na\n",
    ] {
        let mut peer = TcpStream::connect(socket(&addresses[0])).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        // It may be ended before all of it is written.
        let _ = peer.write_all(nonsense);
        let _ = peer.shutdown(std::net::Shutdown::Write);
        let mut rest = Vec::new();
        // An end or a reset: either way not a time-out.
        match peer.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }
    let answer = soon(
        20,
        client().propose(provider.peer_id(), &addresses, &params(true)),
    );
    assert!(answer.unwrap().accepted);
}

#[test]
fn silent_strangers_take_only_some_of_the_places() {
    let (provider, addresses) = provider();
    let strangers: Vec<TcpStream> = (0..40)
        .map(|_| TcpStream::connect(socket(&addresses[0])).unwrap())
        .collect();
    // Those beyond the limit of their address are ended at once.
    let ended = || {
        let over = |mut peer: &TcpStream| {
            peer.set_nonblocking(true).unwrap();
            let mut rest = [0; 64];
            loop {
                match peer.read(&mut rest) {
                    Ok(0) => return true,
                    Ok(_) => {}
                    Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
                }
            }
        };
        strangers.iter().filter(|peer| over(peer)).count()
    };
    let begun = Instant::now();
    while ended() < 24 && begun.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(ended(), 24);
    drop(strangers);
    let mut answer = soon(
        20,
        client().propose(provider.peer_id(), &addresses, &params(true)),
    );
    let begun = Instant::now();
    while answer.is_err() && begun.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(50));
        answer = soon(
            20,
            client().propose(provider.peer_id(), &addresses, &params(true)),
        );
    }
    assert!(answer.unwrap().accepted);
}

#[test]
fn a_silent_provider_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let address: Multiaddr = format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap();
    let held = std::thread::spawn(move || listener.accept().unwrap());
    let begun = Instant::now();
    let outcome = soon(40, client().transports(PeerId::random(), &[address]));
    assert!(matches!(
        outcome,
        Err(P2pError::Open(OpenError::Unreachable))
    ));
    assert!(begun.elapsed() < Duration::from_secs(30));
    drop(held.join());
}

#[test]
fn a_node_that_nobody_drives_can_still_be_dropped() {
    let (node, driver, inbound) = Node::new(config(true)).unwrap();
    drop(driver);
    assert!(soon(20, node.listen_addrs()).is_empty());
    soon(20, node.close());
    assert!(inbound.recv_blocking().is_err());
}
