//! The real binary, killed at any moment, again and again, while deals of both kinds and of two miners go through it.
//!
//! `CORACLE_TEST_KILLS` sets how often, `CORACLE_TEST_SEED` the moments and the order of things; the seed is printed
//! when the test fails. What the machine makes of the moments is its own: a seed repeats the plan, not the race.

#[path = "../harness/mod.rs"]
mod harness;

mod checks;
mod life;
mod source;

use coracle::client::deal;
use coracle::devnet::{Effect, Fault, MinerConfig};
use coracle::wire::DealParams;
use harness::{Car, Client, Net, Scratch};
use life::{Place, Places, Providers};
use source::Source;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Deals under way together.
const DEALS: u64 = 20;

/// Kills unless the environment says otherwise.
const KILLS: u32 = 100;

/// One life in this many ends while the provider is starting.
const EARLY: u64 = 5;

/// Everything must have come to its end this long after the last kill.
const SETTLED: Duration = Duration::from_secs(60);

/// Numbers that follow from a seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` up to, not including, `high`.
    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low).max(1)
    }
}

/// How the data of a deal gets there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Download,
    Import { delete_after: bool },
}

/// A deal of the plan.
struct Order {
    miner: usize,
    car: Car,
    params: DealParams,
    way: Way,
    /// Proposed after this many kills.
    proposed: u32,
    /// The data can be whole after this many kills.
    whole: u32,
}

impl Order {
    fn uuid(&self) -> Uuid {
        self.params.uuid
    }

    fn make(number: u64, world: &World, dice: &mut Dice) -> Self {
        let miner = usize::try_from(number % 2).unwrap();
        let size = usize::try_from(dice.between(40_000, 400_000)).unwrap();
        let car = Car::generate(&world.scratch.0, number + 1, size);
        let way = match number % 5 {
            0 => Way::Import { delete_after: true },
            1 => Way::Import {
                delete_after: false,
            },
            _ => Way::Download,
        };
        let url = (way == Way::Download).then(|| world.source.serve(&car));
        let mut wanted = Client::wanted(&world.net, &world.net.miners[miner], &car, url);
        wanted.remove_unsealed = number % 10 == 7;
        let proposed = u32::try_from(dice.between(0, u64::from(world.kills) / 4)).unwrap();
        let last = u64::from(world.kills) * 9 / 10;
        Self {
            miner,
            params: deal::propose(&wanted, &world.client.key, Uuid::new_v4()),
            car,
            way,
            proposed,
            whole: u32::try_from(dice.between(u64::from(proposed) + 1, last)).unwrap(),
        }
    }
}

struct World {
    kills: u32,
    net: Net,
    scratch: Scratch,
    source: Source,
    client: Client,
}

/// Says the seed when the test fails.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- run it again with CORACLE_TEST_SEED={}", self.0);
        }
    }
}

fn set(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

#[test]
fn deals_survive_kills_at_any_moment() {
    let seed = set("CORACLE_TEST_SEED").unwrap_or_else(|| Uuid::new_v4().as_u64_pair().0);
    let kills = set("CORACLE_TEST_KILLS").map_or(KILLS, |kills| u32::try_from(kills).unwrap());
    let _told = Told(seed);
    let mut dice = Dice(seed);
    let net = Net::start(|config| {
        config.epoch = Duration::from_millis(40);
        config.sealing = 50;
        config.miners = vec![MinerConfig::new(1000), MinerConfig::new(1001)];
    });
    let world = World {
        kills,
        client: Client::new(net.devnet.people().client.key.clone()),
        net,
        scratch: Scratch::new("kills"),
        source: Source::start(),
    };
    let orders: Vec<Order> = (0..DEALS)
        .map(|number| Order::make(number, &world, &mut dice))
        .collect();
    let providers = Providers::new(&world.net, &world.scratch, &world.source.prefix());
    let (done, places) = (AtomicU32::new(0), Places::default());
    let last = std::thread::scope(|scope| {
        for order in &orders {
            let (world, places, done) = (&world, &places, &done);
            scope.spawn(move || client(order, world, places, done));
        }
        kill(&world, &orders, &providers, &places, &done, &mut dice);
        providers.start(&places)
    });
    let settled = Instant::now();
    let place = harness::wait("the last start", || places.now());
    for order in &orders {
        checks::proves(
            &world,
            order,
            &place,
            SETTLED.saturating_sub(settled.elapsed()),
        );
    }
    checks::chain_and_sealers(&world, &orders);
    for order in &orders {
        checks::as_the_operator_sees_it(&world, order, &place);
    }
    last.stop();
    checks::disk(&world, &orders);
}

/// Starts the provider and kills it, again and again.
fn kill(
    world: &World,
    orders: &[Order],
    providers: &Providers,
    places: &Places,
    done: &AtomicU32,
    dice: &mut Dice,
) {
    for number in 0..world.kills {
        trouble(world, dice);
        for order in orders {
            world.source.release(&order.car, share(order, number));
        }
        let life = providers.start(places);
        let moment = if dice.between(0, EARLY) == 0 {
            dice.between(0, 120)
        } else {
            harness::wait("a start", || places.now());
            dice.between(0, 400)
        };
        std::thread::sleep(Duration::from_millis(moment));
        life.kill();
        done.store(number + 1, Ordering::SeqCst);
    }
    world.net.devnet.clear_faults();
    for order in orders {
        world.source.release(&order.car, order.car.bytes.len());
    }
}

/// Bytes of a download that its server gives after so many kills.
fn share(order: &Order, kills: u32) -> usize {
    let all = order.car.bytes.len();
    if kills >= order.whole {
        return all;
    }
    all * usize::try_from(kills + 1).unwrap() / usize::try_from(order.whole + 1).unwrap()
}

/// Trouble at the places where doing something twice would hurt: the outside world is slow, so that kills land inside a
/// call, or does what it is asked for and loses the answer, or has forgotten.
fn trouble(world: &World, dice: &mut Dice) {
    world.net.devnet.clear_faults();
    for method in ["MpoolPushMessage", "SectorAddPieceToAny"] {
        let slow = Duration::from_millis(dice.between(5, 150));
        world.net.devnet.set_fault(match dice.between(0, 8) {
            0 => Fault::once(method, Effect::Drop { done: true }),
            1 | 2 => Fault::times(method, u32::MAX, Effect::Delay(slow)),
            _ => Fault::times(method, u32::MAX, Effect::Late(slow)),
        });
    }
    for miner in 0..world.net.miners.len() {
        if dice.between(0, 2) == 0 {
            world.net.devnet.restart_miner(miner);
        }
    }
}

/// One client: proposes until the deal is accepted, whatever happens to the provider meanwhile, then brings the data
/// of an offline deal.
fn client(order: &Order, world: &World, places: &Places, done: &AtomicU32) {
    let reached = |kills: u32| {
        while done.load(Ordering::SeqCst) < kills.min(world.kills) {
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    reached(order.proposed);
    again(places, |place| accepted(order, world, place));
    if let Way::Import { delete_after } = order.way {
        reached(order.whole);
        again(places, |place| imported(order, delete_after, place));
    }
}

/// Does something at the provider that runs until it worked.
fn again(places: &Places, mut attempt: impl FnMut(&Place) -> bool) {
    let begun = Instant::now();
    loop {
        if let Some(place) = places.now()
            && attempt(&place)
        {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "never worked");
        std::thread::sleep(Duration::from_millis(15));
    }
}

fn accepted(order: &Order, world: &World, place: &Place) -> bool {
    let answer = smol::block_on(smol::future::or(
        async {
            let node = &world.client.node;
            node.propose(place.peer, &place.addresses, &order.params)
                .await
                .ok()
        },
        async {
            smol::Timer::after(Duration::from_secs(3)).await;
            None
        },
    ));
    let Some(answer) = answer else { return false };
    // Until it has looked at the chain a provider that was just started cannot judge.
    let young = answer.message.contains("server error");
    assert!(answer.accepted || young, "refused: {}", answer.message);
    answer.accepted
}

fn imported(order: &Order, delete_after: bool, place: &Place) -> bool {
    let body = serde_json::json!({ "path": order.car.path, "delete_after_import": delete_after });
    let path = format!("/v1/deals/{}/import", order.uuid());
    let Some(answer) = place.admin("POST", &path, Some(&body.to_string())) else {
        return false;
    };
    let reason = answer["reason"].as_str().unwrap_or_default();
    // A kill between commit and answer: the import is known already.
    answer["accepted"] == true || reason.contains("already")
}
