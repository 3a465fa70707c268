//! The file system against an in-memory model: random operations, flushes, evictions, crashes, remounts
//! and store faults, compared after each step. No mount: `fs` is driven directly.
//!
//! Every failure names the seed. `PAIL_MODEL_SEED=7 PAIL_MODEL_OPS=20000 cargo test --test model replay`
//! replays one; `cargo test --release --test model -- --ignored --nocapture soak` runs seeds one after
//! the other (`PAIL_SOAK_FROM`, `PAIL_SOAK_SEEDS`, `PAIL_MODEL_OPS`), each line a place to go on from.

#[path = "model/reference.rs"]
mod reference;
#[path = "model/run.rs"]
mod run;
#[path = "model/world.rs"]
mod world;

use run::Run;

/// What CI runs: a few seeds, some thousand operations each.
const SEEDS: u64 = 6;
const OPS: u64 = 4_000;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .map_or(default, |v| v.parse().unwrap_or_else(|_| panic!("{name} is no number: {v}")))
}

#[test]
fn agrees_with_the_model() {
    for seed in 1..=SEEDS {
        Run::new(seed).steps(OPS);
    }
}

/// One seed again, as long as asked: `PAIL_MODEL_SEED`, `PAIL_MODEL_OPS`.
#[test]
fn replay() {
    if let Ok(seed) = std::env::var("PAIL_MODEL_SEED") {
        Run::new(seed.parse().expect("PAIL_MODEL_SEED is a number")).steps(number("PAIL_MODEL_OPS", OPS));
    }
}

#[test]
#[ignore = "a long run: see the top of this file"]
fn soak() {
    let from = number("PAIL_SOAK_FROM", 1_000);
    for seed in from..from + number("PAIL_SOAK_SEEDS", 100) {
        let ops = number("PAIL_MODEL_OPS", 20_000);
        Run::new(seed).steps(ops);
        println!("seed {seed}: {ops} operations agree; go on with PAIL_SOAK_FROM={}", seed + 1);
    }
}
