//! The miners on chain and their sealers.

use crate::world::{World, entry};
use coracle::devnet::{Effect, Fault, MinerConfig};
use coracle::filecoin::TokenAmount;
use serde_json::json;
use std::net::TcpListener;
use std::time::Duration;

fn fil(text: &str) -> TokenAmount {
    TokenAmount::parse_fil(text).unwrap()
}

#[test]
fn a_miner_that_is_not_there_is_said() {
    let mut world = World::new();
    world.set("CORACLE_MINERS", "f01005");
    let answer = world.check();
    answer.expect(
        "bad",
        "f01005",
        "there is no such miner on localnet-coracle",
        "CORACLE_MINERS",
    );
    answer.line(
        "bad",
        "sealer 127",
        "works for f01000, which is not in CORACLE_MINERS",
    );
    // An account is no miner.
    let client = world.net.devnet.people().client.id.clone();
    world.set("CORACLE_MINERS", &client);
    world
        .check()
        .expect("bad", &client.to_string(), "", "FULLNODE_API_INFO");
}

#[test]
fn the_publish_wallet_must_be_the_miners_and_have_funds() {
    let [owner, worker, control] = World::new().net.devnet.people().miners[0].clone();
    // Each of the miner's own addresses will do, in both forms.
    for wallet in [&owner, &worker, &control] {
        for text in [wallet.id.to_string(), wallet.address.to_string()] {
            let mut world = World::new();
            world.set("CORACLE_PUBLISH_WALLET", text);
            let answer = world.check();
            answer.expect_fine();
            answer.line("ok", "f01000 publish wallet", &wallet.address.to_string());
        }
    }
    // Somebody else's will not, and neither will one that nobody has heard of.
    let stranger = coracle::filecoin::SecretKey::secp256k1(&[77; 32]).unwrap();
    let mut world = World::new();
    let client = world.net.devnet.people().client.address.clone();
    for foreign in [client, stranger.address()] {
        world.set("CORACLE_PUBLISH_WALLET", &foreign);
        world.check().expect_only(
            "warn",
            "f01000 publish wallet",
            &format!("{foreign} is neither owner"),
            "control",
        );
    }
    // Low, then nothing at all, where nobody else can pay.
    let mut world = World::new();
    world.net.devnet.set_balance(&owner, &TokenAmount::zero());
    world.net.devnet.set_balance(&worker, &fil("0.01"));
    let low = "has 0.01 FIL, its key is in the wallet of 127";
    world
        .check()
        .expect_only("warn", "f01000 publish wallet", low, "lotus send");
    // Three messages ahead are enough, and they cost what the settings let them.
    world.net.devnet.set_balance(&worker, &fil("0.15"));
    world.check().expect_fine();
    world.set("CORACLE_PUBLISH_FEE_MAX", "0.06 FIL");
    let what = "low, the next few publish messages may cost 0.18 FIL";
    world.check().expect_only(
        "warn",
        "f01000 publish wallet",
        what,
        "CORACLE_PUBLISH_FEE_MAX",
    );
    world.net.devnet.set_balance(&worker, &TokenAmount::zero());
    world.check().expect_only(
        "bad",
        "f01000 publish wallet",
        "nothing to pay with",
        "lotus send",
    );
    // The owner has enough: it pays.
    world.net.devnet.set_balance(&owner, &fil("5"));
    let answer = world.check();
    answer.expect_fine();
    answer.line("ok", "f01000 publish wallet", &owner.address.to_string());
}

#[test]
fn the_escrow_is_held_against_what_pieces_need() {
    let escrow = |escrow: &str, locked: &str, smallest: &str| {
        let mut world = World::new();
        world.set("CORACLE_ESCROW_LOW", "0");
        let bounds = json!({ "Min": smallest, "Max": "2000000000000000000000000000" });
        for (method, answer) in [
            (
                "StateMarketBalance",
                json!({ "Escrow": escrow, "Locked": locked }),
            ),
            ("StateDealProviderCollateralBounds", bounds),
        ] {
            world
                .net
                .devnet
                .set_fault(Fault::times(method, 9, Effect::Answer(answer)));
        }
        world.check()
    };
    escrow("5", "1", "0").expect_fine();
    escrow("0", "0", "0").expect_only(
        "warn",
        "f01000 escrow",
        "nothing to lock",
        "--address f01000",
    );
    escrow("7", "7", "0").expect_only(
        "warn",
        "f01000 escrow",
        "nothing to lock",
        "lotus wallet market add",
    );
    escrow("9", "5", "5").expect_only(
        "bad",
        "f01000 escrow",
        "not enough for the smallest piece",
        "lotus wallet market add",
    );
    escrow("10", "5", "5").expect_fine();
    // What the operator wants there: 1000 FIL are.
    let mut world = World::new();
    world.set("CORACLE_ESCROW_LOW", "1001");
    let what = "low, CORACLE_ESCROW_LOW is 1001 FIL";
    world.check().expect_only(
        "warn",
        "f01000 escrow",
        what,
        "coracle funds add AMOUNT --miner f01000",
    );
    world.set("CORACLE_ESCROW_LOW", "1000");
    world.check().expect_fine();
}

#[test]
fn pieces_must_fit_into_sectors() {
    let mut world = World::with(|config| config.miners[0].sector_size = 2 << 10);
    let answer = world.check();
    answer.expect_only(
        "warn",
        "f01000 piece sizes",
        "CORACLE_PIECE_SIZE_MAX 32 GiB is above the sector size 2 KiB",
        "coracle ask set",
    );
    world.set("CORACLE_PIECE_SIZE_MIN", "4KiB");
    world.check().expect_only(
        "bad",
        "f01000 piece sizes",
        "every piece is refused",
        "lower it",
    );
    world.set("CORACLE_PIECE_SIZE_MIN", "2KiB");
    world.set("CORACLE_PIECE_SIZE_MAX", "2KiB");
    world.check().expect_fine();
}

#[test]
fn a_sealer_must_answer_belong_to_the_miner_and_take_pieces() {
    let mut world = World::new();
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    world.set("MINER_API_INFO", format!("http://{closed}"));
    let answer = world.check();
    answer.expect("bad", "sealer 127", "not reachable", "start lotus-miner");
    answer.line("bad", "f01000 sealer", "1 of 1 did not answer");
    answer.line("ok", "f01000 escrow", "free");

    let token = "eyJhbGciOiJIUzI1NiJ9.eyJBbGxvdyI6WyJyZWFkIl19.Zm9yZWlnbi1zaWduYXR1cmU";
    let good = world.net.devnet.miner_api_info(0);
    world.set("MINER_API_INFO", entry(&good, token));
    world.check().expect(
        "bad",
        "sealer 127",
        "does not accept the token (HTTP 401)",
        "lotus-miner auth api-info --perm admin",
    );

    for permissions in [&["read"][..], &["read", "write", "sign"][..], &[][..]] {
        world.set("MINER_API_INFO", world.miner_entry(0, permissions));
        let answer = world.check();
        answer.expect(
            "bad",
            "sealer 127",
            "lacks the permission `admin`",
            "--perm admin",
        );
        answer.line("bad", "f01000 sealer", "may not be given pieces");
    }
}

#[test]
fn several_miners_have_lines_of_their_own() {
    let mut world = World::with(|config| {
        config.miners = vec![MinerConfig::new(1000), MinerConfig::new(1001)];
    });
    // The order of the sealers is nobody's business.
    let entries = [1, 0].map(|miner| world.net.devnet.miner_api_info(miner));
    world.set("MINER_API_INFO", entries.join(","));
    let answer = world.check();
    answer.expect_fine();
    for miner in ["f01000", "f01001"] {
        for part in [
            "publish wallet",
            "escrow",
            "peer ID",
            "multiaddrs",
            "sealer",
        ] {
            answer.line("ok", &format!("{miner} {part}"), "");
        }
    }
    // One of them without its sealer, the other as good as before.
    world.set("MINER_API_INFO", &entries[1]);
    let answer = world.check();
    answer.expect_only(
        "bad",
        "f01001 sealer",
        "no entry of MINER_API_INFO belongs to f01001",
        "MINER_API_INFO",
    );
    // Settings of its own.
    world.set("MINER_API_INFO", entries.join(","));
    world.set("CORACLE_PUBLISH_FEE_MAX_F01001", "20000");
    let answer = world.check();
    answer.expect_only(
        "warn",
        "f01001 publish wallet",
        "the next few publish messages may cost 60000 FIL",
        "lotus send",
    );
}

#[test]
fn a_sealer_that_does_not_tell_its_permissions_is_taken() {
    let world = World::new();
    let fault = Fault::times(
        "AuthVerify",
        9,
        Effect::Error {
            code: -32_601,
            message: "method not found".to_owned(),
            done: false,
        },
    );
    world.net.devnet.set_fault(fault);
    let answer = world.check();
    answer.expect_fine();
    answer.line("ok", "sealer", "does not tell what the token may do");
    // The node's token is tried instead.
    answer.line("ok", "node", "read, write, sign");
}

#[test]
fn some_kind_of_deal_must_be_left() {
    for pair in [["ONLINE", "OFFLINE"], ["VERIFIED", "UNVERIFIED"]] {
        let mut world = World::new();
        for kind in pair {
            world.check().expect_fine();
            world.set(&format!("CORACLE_CONSIDER_{kind}"), "false");
        }
        let setting = format!("CORACLE_CONSIDER_{}", pair[0]);
        world
            .check()
            .expect_only("bad", "f01000 deals", &setting, "set one of them");
    }
    let mut world = World::with(|config| config.network_version = 29);
    world.check().expect_only(
        "warn",
        "f01000 deals",
        "from network version 29 on",
        "CORACLE_CONSIDER_VERIFIED=false",
    );
    world.set("CORACLE_CONSIDER_UNVERIFIED", "false");
    world.check().expect_only(
        "bad",
        "f01000 deals",
        "from network version 29 on",
        "CORACLE_CONSIDER_UNVERIFIED=true",
    );
    world.set("CORACLE_CONSIDER_UNVERIFIED", "true");
    world.set("CORACLE_CONSIDER_VERIFIED", "false");
    world.check().expect_fine();
}

#[test]
fn what_cannot_be_read_of_a_miner_is_said_and_its_sealer_is_still_looked_at() {
    let world = World::with(|config| {
        config.miners = vec![MinerConfig::new(1000), MinerConfig::new(1001)];
    });
    let broken = json!({ "Owner": 7 });
    for (method, effect, what) in [
        ("StateMarketBalance", Effect::Status(502), "502"),
        ("StateMinerInfo", Effect::Answer(broken), "Owner"),
        (
            "StateMinerInfo",
            Effect::Drop { done: false },
            "StateMinerInfo",
        ),
    ] {
        world.net.devnet.clear_faults();
        // Every call of this method, however often it is tried.
        let fault = Fault::times(method, 99, effect);
        world.net.devnet.set_fault(fault);
        let answer = world.check();
        answer.expect("bad", "f01000", "was not looked at", "check again");
        answer.line("bad", "f01001", what);
        answer.line("ok", "f01001 sealer", "pieces go to");
    }
}

#[test]
fn a_silent_sealer_ends_in_time_and_stops_nobody() {
    let mut world = World::with(|config| {
        config.miners = vec![MinerConfig::new(1000), MinerConfig::new(1001)];
    });
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let good = world.net.devnet.miner_api_info(1);
    let silent_entry = format!("http://{}", silent.local_addr().unwrap());
    world.set("MINER_API_INFO", format!("{silent_entry},{good}"));
    let answer = world.check();
    answer.expect(
        "bad",
        "sealer 127",
        "waiting for the answer",
        "start lotus-miner",
    );
    answer.line("bad", "f01000 sealer", "1 of 2 did not answer");
    answer.line("ok", "f01001 sealer", "pieces go to");
    answer.line("ok", "f01000 escrow", "free");
    assert!(answer.took < Duration::from_secs(30), "{:?}", answer.took);
}
