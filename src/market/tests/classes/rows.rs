//! The rows: what goes wrong, and where a deal stands then.

use super::super::world::{World, car, start};
use super::{Class, Row};
use crate::chain::ChainError;
use crate::deal::Checkpoint;
use crate::deal::tests::samples::{self, uuid};
use crate::filecoin::Address;
use crate::sealer::SealerError;
use crate::wire::DealParams;
use std::path::PathBuf;
use std::time::Duration;

fn online(world: &World) -> (DealParams, Option<PathBuf>) {
    (world.online(1), None)
}

fn nothing(_: &mut World) {}

fn on(_: &World) {}

/// An online deal whose URL is another one.
fn at_url(world: &World, url: &str) -> (DealParams, Option<PathBuf>) {
    let mut params = world.online(1);
    params.transfer.params = samples::transfer_params(url);
    (params, None)
}

/// An online deal of a contract client.
fn of_a_contract(world: &World) -> (DealParams, Option<PathBuf>) {
    let mut params = world.online(1);
    let mut proposal = params.proposal.expect("there is one").proposal;
    let contract = [[4, 10].as_slice(), &[7; 20]].concat();
    proposal.client = Address::from_bytes(&contract).expect("an f410 address");
    params.proposal = Some(samples::sign(proposal));
    (params, None)
}

fn publish_failure(world: &World, error: ChainError) {
    // Only the first message meets it.
    world.chain.state().publish_failures = vec![error];
}

fn row(
    name: &'static str,
    reference: Class,
    ours: Class,
    at: Checkpoint,
    text: &'static str,
) -> Row {
    Row {
        name,
        prepare: nothing,
        proposal: online,
        meanwhile: on,
        reference,
        ours,
        at,
        text,
    }
}

pub fn transfers() -> Vec<Row> {
    use Checkpoint::{Accepted, Complete};
    use Class::{Auto, Fatal, Manual};
    vec![
        Row {
            proposal: |world| at_url(world, "http://192.168.0.1/a.car"),
            ..row(
                "a private address",
                Fatal,
                Fatal,
                Complete,
                "data-transfer failed: downloading from private ip",
            )
        },
        Row {
            proposal: |world| {
                at_url(
                    world,
                    &world
                        .server
                        .put("other", car(1))
                        .replace("other", "nowhere"),
                )
            },
            ..row(
                "no such file",
                Fatal,
                Fatal,
                Complete,
                "data-transfer failed: ",
            )
        },
        Row {
            prepare: |world| world.server.status(403),
            ..row("refused", Fatal, Fatal, Complete, "data-transfer failed: ")
        },
        Row {
            prepare: |world| world.server.status(429),
            ..row(
                "too many requests",
                Fatal,
                Auto,
                Accepted,
                "data-transfer failed: ",
            )
        },
        Row {
            prepare: |world| world.server.status(503),
            ..row("overload", Fatal, Auto, Accepted, "data-transfer failed: ")
        },
        Row {
            prepare: |world| world.server.cut_after(700),
            ..row(
                "a cut",
                Fatal,
                Auto,
                Accepted,
                "data-transfer failed: body: ",
            )
        },
        Row {
            // A port that was free a moment ago.
            proposal: |world| {
                let port = std::net::TcpListener::bind("127.0.0.1:0")
                    .unwrap()
                    .local_addr()
                    .unwrap();
                at_url(world, &format!("http://{port}/a.car"))
            },
            ..row(
                "nobody listens",
                Fatal,
                Auto,
                Accepted,
                "data-transfer failed: ",
            )
        },
        Row {
            proposal: |world| {
                let params = world.online(1);
                world.server.put("1", [car(1), vec![0; 9]].concat());
                (params, None)
            },
            ..row(
                "too many bytes",
                Fatal,
                Fatal,
                Complete,
                "data-transfer failed: ",
            )
        },
        Row {
            proposal: |world| {
                // A directory lies where the file would.
                std::fs::create_dir(world.settings.files.staged(uuid(1))).unwrap();
                online(world)
            },
            ..row(
                "no file to write to",
                Fatal,
                Auto,
                Accepted,
                "staging area: ",
            )
        },
        Row {
            proposal: |world| {
                let params = world.online(1);
                world.server.put("1", vec![0xff; car(1).len()]);
                (params, None)
            },
            ..row(
                "not a CAR",
                Fatal,
                Fatal,
                Complete,
                "data-transfer failed: ",
            )
        },
        Row {
            proposal: |world| {
                let (params, path) = world.offline(1);
                std::fs::write(&path, vec![0xff; 900]).unwrap();
                (params, Some(path))
            },
            ..row(
                "not a CAR, imported",
                Fatal,
                Manual,
                Accepted,
                "imported offline deal file: ",
            )
        },
        Row {
            proposal: |world| {
                let params = world.online(1);
                world.server.put("1", car(2));
                (params, None)
            },
            ..row(
                "other data",
                Fatal,
                Fatal,
                Complete,
                "failed to verify CommP: commP expected=",
            )
        },
        Row {
            proposal: |world| {
                let (params, path) = world.offline(1);
                std::fs::write(&path, car(2)).unwrap();
                (params, Some(path))
            },
            ..row(
                "other data, imported",
                Manual,
                Manual,
                Accepted,
                "error when matching commP for imported data for offline deal: commP expected=",
            )
        },
    ]
}

pub fn publications() -> Vec<Row> {
    use Checkpoint::Transferred;
    use Class::{Auto, Fatal, Manual};
    let text = "recoverable error to publish deal 01010101-0101-0101-0101-010101010101: ";
    let confirm = "wait for confirmation of publish message ";
    vec![
        Row {
            prepare: |world| {
                publish_failure(world, ChainError::Unreachable("time-out".to_owned()));
            },
            ..row("the node is away", Manual, Auto, Transferred, text)
        },
        Row {
            prepare: |world| publish_failure(world, ChainError::Malformed("no CID".to_owned())),
            ..row("the node answers nonsense", Manual, Auto, Transferred, text)
        },
        Row {
            prepare: |world| publish_failure(world, ChainError::Unauthorized),
            ..row("the token has run out", Manual, Auto, Transferred, text)
        },
        Row {
            prepare: |world| {
                publish_failure(
                    world,
                    ChainError::Refused {
                        code: 1,
                        message: "not enough funds".to_owned(),
                    },
                );
            },
            ..row(
                "the node refuses the message",
                Manual,
                Manual,
                Transferred,
                text,
            )
        },
        Row {
            prepare: |world| world.chain.state().objected = vec![start(1)],
            ..row(
                "the simulated message fails",
                Manual,
                Manual,
                Transferred,
                text,
            )
        },
        Row {
            proposal: of_a_contract,
            prepare: |world| world.chain.state().objected = vec![start(1)],
            ..row(
                "the simulated message of an f4 client fails",
                Fatal,
                Manual,
                Transferred,
                text,
            )
        },
        Row {
            proposal: of_a_contract,
            prepare: |world| {
                publish_failure(world, ChainError::Unreachable("time-out".to_owned()));
            },
            ..row(
                "the node is away, with a deal of an f4 client",
                Fatal,
                Auto,
                Transferred,
                text,
            )
        },
        Row {
            prepare: |world| {
                world.terms(|terms| terms.sealing_buffer = 100_000);
            },
            ..row("too near the start", Manual, Manual, Transferred, text)
        },
        Row {
            prepare: |world| world.chain.state().exit_code = 16,
            ..row("the message failed", Auto, Auto, Transferred, confirm)
        },
        Row {
            prepare: |world| world.chain.state().dropped = vec![start(1)],
            ..row(
                "the actor dropped the deal",
                Auto,
                Manual,
                Transferred,
                confirm,
            )
        },
    ]
}

pub fn handovers() -> Vec<Row> {
    use Checkpoint::{AddedPiece, Complete, PublishConfirmed};
    use Class::{Auto, Fatal, Manual};
    let text = "failed to add piece: ";
    let read = "failed to add piece: failed to read piece data: ";
    let packing = "failed to add piece: packing piece ";
    vec![
        Row {
            prepare: |world| world.chain.state().pending = true,
            meanwhile: |world| {
                // The message is executed when the file is gone.
                while world.chain.state().messages.is_empty() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                std::fs::remove_file(world.settings.files.staged(uuid(1))).unwrap();
                world.chain.state().pending = false;
            },
            ..row("the file is gone", Fatal, Manual, PublishConfirmed, text)
        },
        Row {
            prepare: |world| {
                world.sealer().state().failures =
                    vec![SealerError::File("input/output error".to_owned())];
            },
            ..row(
                "the file cannot be read",
                Fatal,
                Manual,
                PublishConfirmed,
                read,
            )
        },
        Row {
            prepare: |world| {
                world.sealer().state().failures = vec![SealerError::Refused {
                    code: 1,
                    message: "too many sectors sealing".to_owned(),
                }];
            },
            ..row("the sealer refuses", Auto, Auto, PublishConfirmed, packing)
        },
        Row {
            prepare: |world| world.sealer().state().away = true,
            ..row("the sealer is away", Auto, Auto, PublishConfirmed, packing)
        },
        Row {
            proposal: |world| {
                // Pieces cannot be kept where a file lies.
                std::fs::remove_dir_all(&world.settings.files.pieces).unwrap();
                std::fs::write(&world.settings.files.pieces, b"in the way").unwrap();
                online(world)
            },
            ..row(
                "the piece cannot be kept",
                Auto,
                Auto,
                AddedPiece,
                "failed to add index and announce deal: ",
            )
        },
        Row {
            prepare: |world| {
                let mut state = world.sealer().state();
                state.sector = "Removed".to_owned();
                state.empty = true;
            },
            ..row(
                "a sector without the deal",
                Fatal,
                Fatal,
                Complete,
                "storage failed - deal not found in sector",
            )
        },
    ]
}
