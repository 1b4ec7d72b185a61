//! The external filter: its time, its place, what it may see and leave behind (spec boost-mk12 3.4, 11.11).

use super::world::{Running, World, wait};
use crate::deal::tests::samples::{self, HEAD, uuid};
use crate::wire::{DealParams, MAX_TEXT_BYTES};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

const FILTER_ERROR: &str = "server error: deal filter error";

async fn told(running: &Running, params: &DealParams) -> String {
    let answer = running.propose(params).await;
    assert!(!answer.accepted);
    answer.message
}

/// The newest refusal's text for the operator.
async fn logged(running: &Running) -> String {
    running.handle.refused(1).await.unwrap()[0].log.clone()
}

/// Whether a process lives, a dead one that nobody has waited for included.
fn lives(pid: &str) -> bool {
    Path::new("/proc").join(pid).exists()
}

/// Whether a process does anything. One that we did not start is buried by whoever adopted it, perhaps never.
fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// What a command has written into a file, once it has.
async fn written(path: &Path) -> String {
    wait("what the command writes", || {
        std::fs::read_to_string(path)
            .ok()
            .filter(|text| text.ends_with('\n'))
            .map(|text| text.trim().to_owned())
    })
    .await
}

#[test]
fn a_command_that_takes_too_long_is_killed_with_all_that_it_started() {
    let mut world = World::new();
    let pids = world.path("pids");
    let filter = world.filter(&format!(
        "sleep 1000 & echo $$ $! > '{}'; sleep 1000",
        pids.display()
    ));
    filter.time_out = Duration::from_secs(3);
    world.run(async {
        let running = world.start_filtering().await;
        let begun = Instant::now();
        assert_eq!(told(&running, &world.online(1)).await, FILTER_ERROR);
        assert!(begun.elapsed() >= Duration::from_secs(3));
        assert!(logged(&running).await.contains("CORACLE_FILTER_TIMEOUT"));
        let pids = written(&pids).await;
        let (shell, sleep) = pids.split_once(' ').expect("two numbers");
        wait("the shell's end", || (!lives(shell)).then_some(())).await;
        wait("the end of what it started", || {
            (!runs(sleep)).then_some(())
        })
        .await;
    });
}

#[test]
fn a_late_command_may_let_the_deal_pass() {
    let mut world = World::new();
    let filter = world.filter("sleep 1000");
    filter.time_out = Duration::from_millis(50);
    filter.late_accepts = true;
    world.run(async {
        let running = world.start_filtering().await;
        let uuid = running.accepted(&world.online(1)).await;
        running.until_sealed(uuid).await;
    });
}

#[test]
fn what_a_command_leaves_running_is_not_waited_for() {
    let mut world = World::new();
    let pid = world.path("pid");
    world.filter(&format!(
        "sleep 1000 & echo $! > '{}'; echo no; exit 1",
        pid.display()
    ));
    world.run(async {
        let running = world.start_filtering().await;
        let begun = Instant::now();
        assert_eq!(told(&running, &world.online(1)).await, "no\n");
        assert!(begun.elapsed() < Duration::from_secs(30));
        let pid: i32 = written(&pid).await.parse().unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    });
}

#[test]
fn a_chatty_command_is_cut_and_does_not_wait_for_a_reader() {
    let mut world = World::new();
    // Three bytes each, and far more than a pipe holds.
    world.filter("yes 好 | head -c 1000000 | tr -d '\\n'; exit 1");
    world.run(async {
        let running = world.start_filtering().await;
        let text = told(&running, &world.online(1)).await;
        assert!(text.len() <= MAX_TEXT_BYTES, "{}", text.len());
        assert!(text.len() > MAX_TEXT_BYTES - 8, "{}", text.len());
        assert!(text.starts_with("好好好"));
        assert!(
            logged(&running)
                .await
                .starts_with("the filter command exited with 1 and printed: 好")
        );
    });
}

#[test]
fn output_that_is_no_text_is_told_as_far_as_it_is() {
    let mut world = World::new();
    world.filter("printf 'a\\377b'; exit 3");
    world.run(async {
        let running = world.start_filtering().await;
        assert_eq!(told(&running, &world.online(1)).await, "a\u{fffd}b");
    });
}

#[test]
fn a_command_that_cannot_be_started_is_an_error_of_the_filter() {
    let mut world = World::new();
    world.filter("no\0command");
    world.run(async {
        let running = world.start_filtering().await;
        assert_eq!(told(&running, &world.online(1)).await, FILTER_ERROR);
        assert!(
            logged(&running)
                .await
                .contains("CORACLE_FILTER could not be run")
        );
    });
}

#[test]
fn a_command_that_is_not_there_refuses_as_the_shell_says() {
    let mut world = World::new();
    world.filter("/nonexistent/filter");
    world.run(async {
        let running = world.start_filtering().await;
        assert!(told(&running, &world.online(1)).await.contains("not found"));
        assert!(
            logged(&running)
                .await
                .starts_with("the filter command exited with 127")
        );
    });
}

#[test]
fn hidden_variables_are_not_inherited() {
    let mut world = World::new();
    world.filter("echo ${PATH:-nothing}; exit 1").hidden = vec!["OTHER".to_owned()];
    world.run(async {
        let running = world.start_filtering().await;
        assert_ne!(told(&running, &world.online(1)).await, "nothing\n");
    });
    let mut world = World::new();
    let filter = world.filter("/bin/sh -c 'echo ${HOME:-nothing}'; exit 1");
    filter.hidden = vec!["HOME".to_owned()];
    world.run(async {
        let running = world.start_filtering().await;
        assert_eq!(told(&running, &world.online(1)).await, "nothing\n");
    });
}

#[test]
fn only_so_many_commands_run_at_the_same_time() {
    let mut world = World::new();
    let (running_now, most) = (world.path("running"), world.path("most"));
    std::fs::create_dir(&running_now).unwrap();
    let filter = format!(
        "cd '{}'; : > $$; ls | wc -l >> '{}'; sleep 0.1; rm $$",
        running_now.display(),
        most.display()
    );
    world.filter(&filter);
    world.run(async {
        let running = world.start_filtering().await;
        let proposals: Vec<_> = (1..=12).map(|number| world.offline(number).0).collect();
        let all = proposals.iter().map(|params| running.propose(params));
        let answers = futures::future::join_all(all).await;
        assert!(answers.iter().all(|answer| answer.accepted), "{answers:?}");
        let counts = std::fs::read_to_string(&most).unwrap();
        let counts: Vec<u32> = counts
            .split_whitespace()
            .map(|n| n.parse().unwrap())
            .collect();
        assert_eq!(counts.len(), 12);
        assert!(counts.iter().all(|count| *count <= 4), "{counts:?}");
    });
}

#[test]
fn who_gets_no_place_in_time_is_refused_whatever_a_time_out_means() {
    let mut world = World::new();
    let filter = world.filter("sleep 1000");
    filter.time_out = Duration::from_millis(300);
    filter.late_accepts = true;
    world.run(async {
        let running = world.start_filtering().await;
        let proposals: Vec<_> = (1..=8).map(|number| world.offline(number).0).collect();
        let all = proposals.iter().map(|params| running.propose(params));
        let answers = futures::future::join_all(all).await;
        let (passed, refused): (Vec<_>, Vec<_>) =
            answers.iter().partition(|answer| answer.accepted);
        // Four run, the others may get a place just when those have had their time.
        assert!(passed.len() >= 4, "{answers:?}");
        for answer in refused {
            assert_eq!(
                answer.message,
                "server error: too many proposals at the same time"
            );
        }
    });
}

#[test]
fn a_hanging_sealer_is_neither_waited_for_nor_asked_again() {
    let mut world = World::new();
    world.filter("exit 0");
    world.sealer().state().counting = true;
    world.run(async {
        let running = world.start().await;
        let begun = Instant::now();
        assert_eq!(
            told(&running, &world.online(1)).await,
            "server error: storage deal filter: getting sealing status"
        );
        assert!(begun.elapsed() < Duration::from_secs(30));
        assert!(
            logged(&running)
                .await
                .ends_with("the sealer has not answered yet")
        );
        world.sealer().state().counting = false;
        wait("the sectors", || {
            let sectors = running.handle.snapshot().sectors;
            sectors.get(&samples::miner())?.states.clone()
        })
        .await;
        running.accepted(&world.online(1)).await;
        // An old count is good for a while, and then it is not.
        world.sealer().state().away = true;
        running.accepted(&world.online(2)).await;
        world.pass(Duration::from_secs(121));
        wait("a look at the chain", || {
            running.handle.ask(&samples::miner()).ask
        })
        .await;
        wait("the age of the count", || {
            let snapshot = running.handle.snapshot();
            let (_, at) = snapshot.head?;
            let (_, counted) = snapshot.sectors.get(&samples::miner())?.states.clone()?;
            (at > counted + 120_000).then_some(())
        })
        .await;
        assert_eq!(
            told(&running, &world.online(3)).await,
            "server error: storage deal filter: getting sealing status"
        );
        assert!(logged(&running).await.ends_with("it is away"));
    });
}

#[test]
fn sealers_are_not_asked_without_a_filter() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        running.accepted(&world.online(1)).await;
        assert!(running.handle.snapshot().sectors.is_empty());
    });
}

#[test]
fn what_is_refused_anyway_does_not_reach_the_command() {
    let mut world = World::new();
    let asked = world.path("asked");
    world.filter(&format!("echo x >> '{}'", asked.display()));
    world.terms(|terms| terms.verified = false);
    let asked = || std::fs::read_to_string(&asked).map_or(0, |text| text.lines().count());
    world.run(async {
        let running = world.start_filtering().await;
        let mut early = world.online(1);
        let mut proposal = early.proposal.unwrap().proposal;
        proposal.start_epoch = HEAD + 1;
        early.proposal = Some(samples::sign(proposal));
        assert!(
            told(&running, &early)
                .await
                .starts_with("cannot seal a sector before ")
        );
        let mut forged = world.online(1);
        forged.proposal.as_mut().unwrap().signature.data[5] ^= 1;
        assert_ne!(told(&running, &forged).await, "");
        assert_eq!(asked(), 0);
        let params = world.online(1);
        running.accepted(&params).await;
        assert_eq!(asked(), 1);
        // Nor does what is accepted already, or would be a second deal.
        running.accepted(&params).await;
        let mut renamed = params.clone();
        renamed.uuid = uuid(2);
        assert!(
            told(&running, &renamed)
                .await
                .starts_with("deal proposal is identical")
        );
        assert_eq!(asked(), 1);
    });
}

#[test]
fn a_miner_without_a_filter_has_none() {
    let mut world = World::new();
    world.filter("exit 1");
    let other = super::world::other_miner();
    world.settings.miners.get_mut(&other).unwrap().filter = None;
    world.run(async {
        let running = world.start_filtering().await;
        assert_eq!(told(&running, &world.offline(1).0).await, "");
        let params = super::world::to_miner(world.offline(2).0, &other);
        running.accepted(&params).await;
    });
}

#[test]
fn the_provider_s_state_is_that_of_the_moment() {
    let mut world = World::new();
    let seen = world.path("seen.json");
    world.filter(&format!("cat > '{}'", seen.display()));
    let size = super::world::car(1).len() as u64;
    world.terms(|terms| terms.staging_bytes_max = 10 * size);
    world.run(async {
        let running = world.start_filtering().await;
        world.server.stall_after(100);
        running.accepted(&world.online(1)).await;
        running.accepted(&world.online(2)).await;
        wait("the first bytes", || {
            (running.handle.bytes_received(&samples_deal(1)) > 0).then_some(())
        })
        .await;
        running.accepted(&world.online(3)).await;
        let seen: Value = serde_json::from_str(&std::fs::read_to_string(&seen).unwrap()).unwrap();
        assert_eq!(seen["FundsState"]["Escrow"]["Tagged"], "2000");
        let storage = &seen["StorageState"];
        assert_eq!(storage["TotalAvailable"], 10 * size);
        assert_eq!(storage["Tagged"], 2 * size);
        assert_eq!(storage["Free"], 8 * size);
        let staged = storage["Staged"].as_u64().unwrap();
        assert!((1..=200).contains(&staged), "{staged}");
        world.server.release();
    });
}

/// A deal of this number whose bytes are asked for.
fn samples_deal(number: u8) -> crate::deal::Deal {
    let mut deal = samples::online();
    deal.uuid = uuid(number);
    deal
}

#[test]
fn a_stop_does_not_wait_for_a_command_and_leaves_none() {
    let mut world = World::new();
    let pid = world.path("pid");
    world.filter(&format!("echo $$ > '{}'; exec sleep 1000", pid.display()));
    world.run(async {
        let running = world.start_filtering().await;
        let params = world.online(1);
        let propose = running.propose(&params);
        let stop = async {
            let pid = written(&pid).await;
            let begun = Instant::now();
            running.handle.stop().await;
            assert!(begun.elapsed() < Duration::from_secs(20));
            wait("the end of the process", || (!lives(&pid)).then_some(())).await;
        };
        let (answer, ()) = futures::join!(propose, stop);
        assert_eq!(answer.message, FILTER_ERROR);
    });
}
