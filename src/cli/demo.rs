//! `coracle demo`: a whole deal in one process.

use super::{Failure, logger, terminal};
use crate::demo::{self, Event, Options, Summary};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// Runs the demo and shows what happens.
///
/// # Errors
/// Anything that did not hold.
pub fn run(mut arguments: pico_args::Arguments) -> Result<(), Failure> {
    let json = arguments.contains("--json");
    let options = Options {
        offline: arguments.contains("--offline"),
        keep: arguments.opt_value_from_str::<_, PathBuf>("--keep")?,
        input: arguments.opt_free_from_str::<PathBuf>()?,
    };
    super::args::finish(arguments)?;
    logger::start(log::LevelFilter::Warn);
    let mut screen = Screen { bar: None };
    let mut tell = |event: Event| {
        if json {
            terminal::json(&object(&event));
        } else {
            screen.show(&event);
        }
    };
    demo::run(&options, &mut tell).map_err(|error| Failure::Failed(error.to_string()))?;
    Ok(())
}

/// What people see.
struct Screen {
    bar: Option<terminal::Progress>,
}

impl Screen {
    fn show(&mut self, event: &Event) {
        if let Event::Progress { bytes, total } = event {
            self.bar
                .get_or_insert_with(|| terminal::Progress::new("transfer", *total))
                .update(*bytes);
            return;
        }
        if let Some(mut bar) = self.bar.take() {
            bar.finish();
        }
        match event {
            Event::Packed {
                root,
                car_size,
                blocks,
                piece_cid,
                piece_size,
                packing,
                committing,
            } => {
                terminal::line(format_args!(
                    "packed     {car_size} bytes, {blocks} blocks, root {root}"
                ));
                terminal::line(format_args!(
                    "piece      {piece_cid}, {piece_size} bytes padded"
                ));
                terminal::line(format_args!(
                    "           packing {}, commitment {}",
                    rate(*car_size, *packing),
                    rate(*car_size, *committing)
                ));
            }
            Event::Started { provider, http } => {
                terminal::line(format_args!("provider   {provider}, pieces on {http}"));
            }
            Event::Proposed { deal, at } => {
                terminal::line(format_args!("{} deal {deal} accepted", seconds(*at)));
            }
            Event::Checkpoint { checkpoint, at } => {
                terminal::line(format_args!("{} {checkpoint}", seconds(*at)));
            }
            Event::Sealing { state, at } => {
                terminal::line(format_args!("{} sealing: {state}", seconds(*at)));
            }
            Event::Retrieved {
                bytes,
                requests,
                took,
            } => {
                terminal::line(format_args!(
                    "retrieved  {bytes} bytes in {requests} ranges, {}, equal to the CAR",
                    rate(*bytes, *took)
                ));
            }
            Event::Done(summary) => done(summary),
            Event::Progress { .. } => {}
        }
    }
}

fn done(summary: &Summary) {
    terminal::line(format_args!(
        "done       {:.1} s in all, transfer {}, chain deal {}, peak memory {:.1} MiB",
        summary.took.as_secs_f64(),
        rate(summary.car_size, summary.transfer),
        summary.chain_deal_id,
        mebibytes(summary.peak_memory)
    ));
}

fn seconds(at: Duration) -> String {
    format!("{:>8.3} s ", at.as_secs_f64())
}

#[allow(clippy::cast_precision_loss)] // shown with one decimal
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn rate(bytes: u64, took: Duration) -> String {
    format!("{:.1} MiB/s", mebibytes(terminal::rate(bytes, took)))
}

#[allow(clippy::cast_possible_truncation)] // a demo of 2^64 ms does not exist
fn millis(duration: &Duration) -> u64 {
    duration.as_millis() as u64
}

fn object(event: &Event) -> Value {
    match event {
        Event::Packed {
            root,
            car_size,
            blocks,
            piece_cid,
            piece_size,
            packing,
            committing,
        } => json!({
            "event": "packed", "root": root.to_string(), "car_size": car_size, "blocks": blocks,
            "piece_cid": piece_cid.to_string(), "piece_size": piece_size,
            "packing_ms": millis(packing), "committing_ms": millis(committing),
        }),
        Event::Started { provider, http } => {
            json!({ "event": "started", "provider": provider, "http": http })
        }
        Event::Proposed { deal, at } => {
            json!({ "event": "proposed", "deal": deal.to_string(), "at_ms": millis(at) })
        }
        Event::Progress { bytes, total } => {
            json!({ "event": "progress", "bytes": bytes, "total": total })
        }
        Event::Checkpoint { checkpoint, at } => {
            json!({ "event": "checkpoint", "checkpoint": checkpoint.name(), "at_ms": millis(at) })
        }
        Event::Sealing { state, at } => {
            json!({ "event": "sealing", "state": state, "at_ms": millis(at) })
        }
        Event::Retrieved {
            bytes,
            requests,
            took,
        } => json!({
            "event": "retrieved", "bytes": bytes, "requests": requests, "took_ms": millis(took),
        }),
        Event::Done(summary) => json!({
            "event": "done", "took_ms": millis(&summary.took),
            "transfer_ms": millis(&summary.transfer), "car_size": summary.car_size,
            "chain_deal_id": summary.chain_deal_id, "peak_memory": summary.peak_memory,
        }),
    }
}
