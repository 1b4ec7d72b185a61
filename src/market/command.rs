//! A shell command that answers with its exit code and what it prints: bounded in time and in output, and never left
//! behind. Blocks, so it has a thread of its own.

use crate::wire::MAX_TEXT_BYTES;
use futures::channel::oneshot;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::File;
use std::io::{self, PipeReader, Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Bytes of output that are kept: what fits a message to the client. The rest is read and forgotten, so that the command
/// does not wait for a reader.
const OUTPUT_BYTES_MAX: usize = MAX_TEXT_BYTES;

/// Between two looks at a command that prints nothing: short beside any answer's time, long beside a look's cost.
const TICK: Duration = Duration::from_millis(10);

/// What is to be run.
pub(super) struct Order {
    /// Given to `sh -c`.
    pub command: String,
    /// Names of variables that it does not inherit.
    pub hidden: Vec<String>,
    /// What it reads from its standard input.
    pub input: Vec<u8>,
    /// When it has had its time.
    pub deadline: Instant,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum End {
    /// It ended by itself or by somebody's signal; with the beginning of what it printed on both outputs.
    Exited(ExitStatus, Vec<u8>),
    /// It had not ended by the deadline and was killed with all that it started.
    Late,
    /// It was killed because the provider stops.
    Stopped,
    /// It could not be started or watched.
    Failed(io::Error),
}

/// Runs a command to its end, tells what came of it, and buries it. Setting `stop` ends it early.
pub(super) fn run(order: &Order, stop: &AtomicBool, told: oneshot::Sender<End>) {
    let (mut child, output) = match start(order) {
        Ok(started) => started,
        Err(error) => {
            // Who asked may have gone: then nobody needs the answer, here and below.
            let _ = told.send(End::Failed(error));
            return;
        }
    };
    let end = watch(&mut child, output, order.deadline, stop).unwrap_or_else(End::Failed);
    if !matches!(end, End::Exited(..)) {
        // Not waited for yet, so the number cannot belong to somebody else.
        let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
    }
    // Before the wait: a process that hangs in a system call does not even die.
    let _ = told.send(end);
    if let Err(error) = child.wait() {
        log::warn!("filter command: not waited for: {error}");
    }
}

fn start(order: &Order) -> io::Result<(Child, PipeReader)> {
    // A file in memory instead of a pipe: the command may read it late or never, and nobody has to wait for that.
    let mut input = File::from(memfd_create("filter-input", MemfdFlags::CLOEXEC)?);
    input.write_all(&order.input)?;
    input.seek(SeekFrom::Start(0))?;
    let (output, writer) = io::pipe()?;
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(&order.command)
        .stdin(Stdio::from(input))
        .stdout(writer.try_clone()?)
        .stderr(writer)
        // Killed together with all that it starts.
        .process_group(0);
    for name in &order.hidden {
        command.env_remove(name);
    }
    // `command` holds our ends of the pipe: they are closed with it here, or its end would never be seen.
    let child = command.spawn()?;
    Ok((child, output))
}

fn watch(
    child: &mut Child,
    mut output: PipeReader,
    deadline: Instant,
    stop: &AtomicBool,
) -> io::Result<End> {
    let mut kept = Vec::new();
    let mut open = true;
    loop {
        if open {
            open = !readable(&output, TICK)? || read_some(&mut output, &mut kept)?;
        } else {
            std::thread::sleep(TICK);
        }
        if let Some(status) = child.try_wait()? {
            // What it printed is in the pipe; what it left running may hold the pipe open and is not waited for.
            while open && Instant::now() < deadline && readable(&output, Duration::ZERO)? {
                open = read_some(&mut output, &mut kept)?;
            }
            return Ok(End::Exited(status, kept));
        }
        if Instant::now() >= deadline {
            return Ok(End::Late);
        }
        if stop.load(Ordering::Relaxed) {
            return Ok(End::Stopped);
        }
    }
}

/// Whether there is something to read, or the end of it, within this time.
fn readable(output: &PipeReader, within: Duration) -> io::Result<bool> {
    let within = Timespec {
        tv_sec: 0,
        tv_nsec: within.subsec_nanos().into(),
    };
    let mut looked_at = [PollFd::new(output, PollFlags::IN)];
    match poll(&mut looked_at, Some(&within)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Reads once and keeps what has room; false at the end.
fn read_some(output: &mut PipeReader, kept: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 4_096];
    let read = output.read(&mut buffer)?;
    let room = OUTPUT_BYTES_MAX.saturating_sub(kept.len()).min(read);
    kept.extend_from_slice(buffer.get(..room).unwrap_or_default());
    Ok(read > 0)
}
