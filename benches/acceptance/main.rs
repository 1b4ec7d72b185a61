//! How many proposals a provider takes, and what many stored deals cost it: `cargo bench --bench acceptance`, or one part of it with
//! `-- flood` or `-- stored`.
//!
//! The provider is the real binary, the chain node and the sealer are a devnet in a process of its own, the clients are in this
//! process. All of them share the machine, and the load that it had before is printed with the figures.

#[path = "../../tests/harness/mod.rs"]
mod harness;

mod figures;
mod flood;
mod outside;
mod stored;

fn main() {
    let asked: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let wanted = |part: &str| asked.is_empty() || asked.iter().any(|word| word == part);
    println!("load of the machine before: {}", figures::load());
    if wanted("flood") {
        flood::measure();
    }
    if wanted("stored") {
        stored::measure();
    }
}
