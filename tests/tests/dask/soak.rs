//! Random programs on a cluster whose workers are killed and replaced: each
//! gives what the embedded runners give, and nothing is left at the end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use flow_tests::dask::Scheduler;

use crate::flow_faults::{flow, worker};
use crate::support::call;

/// How often a worker is killed, and another one joins.
const KILL_EVERY: Duration = Duration::from_secs(4);

/// Programs from this seed on, for so many seconds. `FLOW_SOAK_SEED` sets the
/// first seed.
fn soak(first_seed: u64, seconds: u64) {
    let seed = match std::env::var("FLOW_SOAK_SEED") {
        Ok(text) => text.parse().expect("FLOW_SOAK_SEED is a number"),
        Err(_) => first_seed,
    };
    let scheduler = Scheduler::start().expect("a scheduler");
    let _steady = worker(&scheduler, "steady");
    // The first programs show how much a worker takes anyway.
    let warm = flow(&scheduler, "soak", &[&seed.to_string(), "2"]);
    let warmed: u64 = serde_json::from_value(warm.result()).expect("a count");
    let memory = || -> BTreeMap<String, u64> { call(&scheduler, "worker.py", "memory", &[]) };
    let base = memory();

    let seed = seed + warmed;
    let programs = flow(
        &scheduler,
        "soak",
        &[&seed.to_string(), &seconds.to_string()],
    );
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut mortal = worker(&scheduler, "mortal-0");
    let mut killed = 0;
    while Instant::now() + KILL_EVERY < end {
        std::thread::sleep(KILL_EVERY);
        mortal.kill().expect("an end");
        killed += 1;
        mortal = worker(&scheduler, &format!("mortal-{killed}"));
    }
    let count: u64 = serde_json::from_value(programs.result()).expect("a count");
    println!("{count} programs from seed {seed} on, {killed} workers killed");
    assert!(count > 0);

    drop(mortal);
    let left = memory();
    println!("{base:?}, then {left:?}");
    assert_eq!(left["tasks"], 0, "keys are left");
    let limit = base["steady"] + (32 << 20);
    assert!(left["steady"] <= limit, "{base:?}, then {left:?}");
}

#[test]
fn random_programs_survive_a_killed_worker() {
    soak(1, 6);
}

#[test]
#[ignore = "slow lane: ten minutes"]
fn random_programs_survive_ten_minutes_of_killed_workers() {
    soak(1_000_000, 600);
}
