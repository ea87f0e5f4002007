//! Whole flows against a model of them: random programs of runs and maps, with
//! failures, panics, retries, timeouts, limits, cache hits and cancellations,
//! through the real shell, the real values and real records.
//!
//! Everything happens on one thread, in an order drawn from the seed, and time
//! passes when the [`runner`] says so: a seed that fails fails again. The
//! [`reference`] knows nothing of engines, shells and commands; after every
//! step the states of all handles are compared with it.

mod driver;
mod program;
mod reference;
mod runner;
mod tasks;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use reference::{Mistake, Reference};

/// Chooses one program instead of all.
const SEED: &str = "FLOW_TEST_SEED";

/// How many programs in the ordinary lane.
const PROGRAMS: u64 = 2000;

#[test]
fn whole_flows_do_what_the_model_does() {
    if let Some(seed) = number(SEED) {
        return driver::run(seed, Reference::default());
    }
    let scale = number("FLOW_TEST_SCALE").unwrap_or(1);
    for seed in 0..PROGRAMS.saturating_mul(scale) {
        if let Err(panic) =
            catch_unwind(AssertUnwindSafe(|| driver::run(seed, Reference::default())))
        {
            eprintln!(
                "program {seed} failed: `{SEED}={seed} cargo test -p flowcore --lib whole_flows` \
                 runs it again"
            );
            resume_unwind(panic);
        }
    }
}

#[test]
fn a_reference_that_is_wrong_is_found_out() {
    for mistake in [Mistake::ForgetsRetries, Mistake::ForgetsRecords] {
        let is_found = (0..100).any(|seed| {
            let reference = Reference {
                mistake: Some(mistake),
                ..Reference::default()
            };
            catch_unwind(AssertUnwindSafe(|| driver::run(seed, reference))).is_err()
        });
        assert!(is_found, "{mistake:?}");
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    match text.trim().parse() {
        Ok(number) => Some(number),
        Err(_) => panic!("{variable} must be a whole number, got {text:?}"),
    }
}

/// Numbers from a seed: SplitMix64, the same on every machine.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one, which is greater than zero.
    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// True once in so many times.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of these numbers, if there is any.
    fn pick(&mut self, count: usize) -> Option<usize> {
        (count > 0).then(|| self.below(count))
    }
}
