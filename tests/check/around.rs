//! The command itself: its outputs, its exit codes, and a provider beside it.

use crate::harness::{Car, CarServer, Client, Running, Vars};
use crate::world::{World, run};
use coracle::deal::Checkpoint;
use std::time::Duration;

#[test]
fn with_nothing_set_it_introduces_itself_as_run_does() {
    let nothing: Vars = [("HOME".to_owned(), "/nonexistent".to_owned())].into();
    let (check, provider) = (run(&nothing, &["check"]), run(&nothing, &["run"]));
    assert_eq!(check.code, 2);
    assert_eq!(check.output, provider.output);
    assert_eq!(check.output.trim().lines().count(), 3, "{}", check.output);
    // Wrong settings are told all at once, and nobody is asked.
    let mut world = World::new();
    world.set("CORACLE_MINERS", "x");
    let answer = world.check();
    assert_eq!(answer.code, 2);
    assert!(
        answer.output.contains("CORACLE_MINERS"),
        "{}",
        answer.output
    );
    assert_eq!(run(&world.vars, &["check", "--frobnicate"]).code, 2);
}

#[test]
fn lines_and_json_tell_the_same() {
    let world = World::new();
    world.contact(0, None, &[]);
    let (json, lines) = (world.check(), run(&world.vars, &["check"]));
    assert_eq!((json.code, lines.code), (1, 1));
    assert_eq!(json.json["bad"], 2);
    assert_eq!(json.json["could_succeed"], false);
    let findings = json.json["findings"].as_array().unwrap();
    let marked = |level: &str| {
        let mark = format!("{level:<4}  ");
        lines
            .output
            .lines()
            .filter(|line| line.starts_with(&mark))
            .count()
    };
    assert_eq!(
        marked("ok") + marked("warn") + marked("bad"),
        findings.len()
    );
    for finding in findings {
        let text = |field: &str| finding[field].as_str().unwrap();
        // The processor is measured anew each time, a head grows older.
        if ["processor", "node"]
            .iter()
            .any(|one| text("subject").starts_with(one))
        {
            continue;
        }
        let line = format!(
            "{:<4}  {}: {}\n",
            text("level"),
            text("subject"),
            text("what")
        );
        assert!(
            lines.output.contains(&line),
            "{line} is not in {}",
            lines.output
        );
        assert!(lines.output.contains(text("do")), "{}", lines.output);
        for command in finding["run"].as_array().unwrap() {
            let line = format!("         {}\n", command.as_str().unwrap());
            assert!(lines.output.contains(&line), "{line}");
        }
        // Whatever is wrong has something to do beside it.
        assert_eq!(text("level") == "ok", text("do").is_empty(), "{finding}");
    }
    assert!(
        lines.output.contains("a deal could not succeed: 2 of"),
        "{}",
        lines.output
    );
    world.contact(0, Some(world.peer), &[crate::world::ADDRESS]);
    let good = run(&world.vars, &["check"]);
    assert_eq!(good.code, 0);
    assert!(
        good.output.contains("a deal can succeed; warnings:"),
        "{}",
        good.output
    );
}

#[test]
fn it_works_beside_a_running_provider_and_disturbs_nothing() {
    let mut world = World::with(|config| config.epoch = Duration::from_millis(50));
    let server = CarServer::start();
    world.set("CORACLE_PRIVATE_URLS", server.prefix());
    world.set("CORACLE_STAGING_BYTES_MAX", "64MiB");
    // The deal waits for company until it is told not to.
    world.set("CORACLE_PUBLISH_PERIOD", "1h");
    let provider = Running::start(&world.vars);
    assert_eq!(provider.peer, world.peer);
    world.set("CORACLE_ADMIN_LISTEN", provider.admin);
    world.set("CORACLE_PUBLIC_URL", format!("http://{}", provider.http));
    let listens = provider.addresses[0].to_string();
    world.vars.remove("CORACLE_ANNOUNCE");
    world.contact(0, Some(world.peer), &[&listens]);

    // A deal on its way while it is looked at.
    let client = Client::new(world.net.devnet.people().client.key.clone());
    let car = Car::generate(&world.home(), 1, 300_000);
    let url = server.serve(&car);
    let wanted = Client::wanted(&world.net, &world.net.miner(), &car, Some(url));
    let deal = client.accepted(&provider, &wanted);
    client.reaches(&provider, deal, Checkpoint::Transferred);
    let answer = world.check();
    // This chain runs faster than time.
    answer.expect_only("warn", "clock", "behind the head of the chain", "NTP");
    assert_eq!(answer.json["provider_runs"], true);
    answer.line("ok", "provider", &format!("runs, peer {}", world.peer));
    answer.line("ok", "public URL", "leads here");
    answer.line("ok", "f01000 multiaddrs", &listens);
    // What its deal holds is not free any more.
    let escrow = answer.line("ok", "f01000 escrow", "held by deals on their way");
    let what = escrow["what"].as_str().unwrap();
    assert!(!what.contains(", 0 FIL held"), "{what}");
    provider.queues(deal);
    let published = provider.command(&world.vars, &["publish", "--now"]);
    assert!(published.status.success());
    client.reaches(&provider, deal, Checkpoint::AddedPiece);
    assert!(provider.stop().0);
    // Afterwards its addresses are free again, and the database was nobody's business.
    let answer = world.check();
    answer.line("ok", "provider", "does not run");
    answer.line("ok", "ports", "free");
}
