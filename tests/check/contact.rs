//! How the world finds us: peer ID, multiaddrs, ports, URLs.

use crate::world::{ADDRESS, World};
use libp2p::PeerId;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

#[test]
fn another_peer_on_chain_gets_the_line_to_run() {
    let world = World::new();
    let command = format!("lotus-miner actor set-peer-id {}", world.peer);
    for other in [Some(PeerId::random()), None] {
        world.contact(0, other, &[ADDRESS]);
        let answer = world.check();
        answer.expect_only(
            "bad",
            "f01000 peer ID",
            &format!("ours is {}", world.peer),
            &command,
        );
        let line = answer.line("bad", "f01000 peer ID", "");
        assert_eq!(line["run"], serde_json::json!([command]));
    }
}

#[test]
fn without_a_key_the_peer_cannot_be_ours() {
    let world = World::new();
    std::fs::remove_file(world.home().join("libp2p.key")).unwrap();
    let answer = world.check();
    answer.expect(
        "bad",
        "f01000 peer ID",
        "has no libp2p key yet",
        "CORACLE_LIBP2P_KEY_FILE",
    );
    answer.line("warn", "libp2p key", "there is none yet");
    assert!(
        !world.home().join("libp2p.key").exists(),
        "a check makes no key"
    );
}

#[test]
fn multiaddrs_on_chain_are_held_against_ours() {
    let mut world = World::new();
    let command = format!("lotus-miner actor set-addrs {ADDRESS}");
    world.contact(0, Some(world.peer), &[]);
    world
        .check()
        .expect_only("bad", "f01000 multiaddrs", "on chain is none", &command);
    let other = "/ip4/203.0.113.9/tcp/24001";
    world.contact(0, Some(world.peer), &[other]);
    let answer = world.check();
    answer.expect_only(
        "bad",
        "f01000 multiaddrs",
        &format!("on chain is {other}, but CORACLE_ANNOUNCE names {ADDRESS}"),
        &command,
    );
    // One of several is enough, with and without the peer.
    let with_peer = format!("{ADDRESS}/p2p/{}", world.peer);
    world.contact(0, Some(world.peer), &[other, &with_peer]);
    world.check().expect_fine();
    // What a router forwards, this box cannot know.
    world.vars.remove("CORACLE_ANNOUNCE");
    world.contact(0, Some(world.peer), &[other]);
    let port = free_port();
    world.set(
        "CORACLE_LISTEN",
        format!("/ip4/127.0.0.1/tcp/{}", port.port()),
    );
    let command = format!(
        "lotus-miner actor set-addrs /ip4/127.0.0.1/tcp/{}",
        port.port()
    );
    world.check().expect_only(
        "warn",
        "f01000 multiaddrs",
        "this box knows of /ip4/127.0.0.1",
        &command,
    );
}

/// A port that was free a moment ago.
fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

#[test]
fn a_port_in_use_keeps_the_provider_from_starting() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for setting in ["CORACLE_HTTP_LISTEN", "CORACLE_ADMIN_LISTEN"] {
        let mut world = World::new();
        world.set(setting, address);
        world.check().expect_only(
            "bad",
            setting,
            &format!("cannot listen on {address}"),
            "another address",
        );
    }
    let mut world = World::new();
    world.set(
        "CORACLE_LISTEN",
        format!("/ip4/127.0.0.1/tcp/{}", address.port()),
    );
    world.check().expect_only(
        "bad",
        "CORACLE_LISTEN",
        "cannot listen on",
        "another address",
    );
}

#[test]
fn the_public_url_is_fetched_back() {
    let mut world = World::new();
    let own = free_port();
    world.set("CORACLE_HTTP_LISTEN", own);
    world.set("CORACLE_PUBLIC_URL", format!("http://{own}"));
    world.set(
        "CORACLE_SEALER_URL",
        format!("http://localhost:{}", own.port()),
    );
    let answer = world.check();
    answer.expect_fine();
    answer.line("ok", "public URL", "leads here");
    answer.line("ok", "sealer URL", "leads here");

    // Nowhere.
    let closed = free_port();
    world.set("CORACLE_PUBLIC_URL", format!("http://{closed}"));
    let forward = format!("forward its port to {own}");
    world.check().expect_only(
        "warn",
        "public URL",
        "cannot be fetched from here",
        &forward,
    );

    // Somebody else, even if it calls itself coracle.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in other.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\nConnection: close\r\n\r\ncoracle 9.9.9\n");
        }
    });
    world.set("CORACLE_PUBLIC_URL", format!("http://{address}"));
    world.check().expect_only(
        "warn",
        "public URL",
        "leads to something else",
        "CORACLE_HTTP_LISTEN",
    );
    world.vars.remove("CORACLE_PUBLIC_URL");
    world.set("CORACLE_SEALER_URL", format!("http://{address}"));
    world.check().expect_only(
        "bad",
        "sealer URL",
        "leads to something else",
        "CORACLE_SEALER_URL",
    );
    world.set("CORACLE_SEALER_URL", format!("http://{closed}"));
    world.check().expect_only(
        "warn",
        "sealer URL",
        "cannot be fetched from here",
        "on the sealer's machine",
    );
}
