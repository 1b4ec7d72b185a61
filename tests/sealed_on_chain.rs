//! Sealed deals on chain, with the real binary: active, then expired, terminated or slashed, and never forgotten by a restart.

mod harness;

use harness::{Car, CarServer, Client, Net, Running, Scratch, vars, wait};
use uuid::Uuid;

fn shown(provider: &Running, uuid: Uuid, wanted: &str) {
    wait(wanted, || {
        let deal = provider.deal(uuid);
        (deal["on_chain"] == wanted).then_some(())
    });
}

fn log(provider: &Running, uuid: Uuid) -> String {
    provider
        .admin("GET", &format!("/v1/deals/{uuid}/log"), None)
        .1
        .to_string()
}

#[test]
fn the_chain_tells_how_sealed_deals_end() {
    let net = Net::start(|_| {});
    let scratch = Scratch::new("onchain");
    let server = CarServer::start();
    let client = Client::new(net.devnet.people().client.key.clone());
    let mut vars = vars(&net, &scratch.join("home"), &server.prefix());
    vars.insert("CORACLE_DEAL_WATCH".to_owned(), "500ms".to_owned());
    let provider = Running::start(&vars);
    let deals: Vec<_> = (1..=3)
        .map(|seed| {
            let car = Car::generate(&scratch.0, seed, 5_000);
            let wanted = Client::wanted(&net, &net.miner(), &car, Some(server.serve(&car)));
            (client.accepted(&provider, &wanted), wanted)
        })
        .collect();
    let mut ids = Vec::new();
    for (uuid, _) in &deals {
        ids.push(
            client
                .proves(&provider, *uuid)
                .status
                .unwrap()
                .chain_deal_id,
        );
        shown(&provider, *uuid, "active");
        assert!(log(&provider, *uuid).contains("active on chain since epoch"));
    }
    let [expires, terminated, slashed] = [deals[0].0, deals[1].0, deals[2].0];

    assert!(net.devnet.terminate_deal(ids[1]));
    assert!(net.devnet.slash_deal(ids[2]));
    shown(&provider, terminated, "terminated");
    shown(&provider, slashed, "slashed");
    assert!(log(&provider, terminated).contains("the chain does not have it any more"));
    assert!(log(&provider, slashed).contains("slashed at epoch"));
    shown(&provider, expires, "active");

    // What was learnt is there after a crash, and the turns go on.
    provider.kill();
    let provider = Running::start(&vars);
    shown(&provider, terminated, "terminated");
    let end = deals[0].1.start_epoch + deals[0].1.duration;
    net.devnet
        .skip(u32::try_from(end - net.devnet.epoch()).unwrap());
    shown(&provider, expires, "expired");
    assert!(log(&provider, expires).contains(&format!("its time on chain ended at epoch {end}")));
    // A look back takes nothing from what its clients see.
    let status = client.status(&provider, expires).status.unwrap();
    assert_eq!(
        (status.status.as_str(), status.error.as_str()),
        ("IndexedAndAnnounced", "")
    );
}
