//! The engine against a model of it: random programs of runs and maps, whose
//! events come in random order. Programs have retries, hits of the cache,
//! limits, cancellations and stops, after which the flow may begin again.
//!
//! The model keeps every run and row as a node with its dependencies and
//! works states out again from scratch after every step; it knows nothing of
//! worklists, ranges, gates or slabs.

mod both;
mod comparison;
mod events;
mod maps;
mod model;
mod outside;
mod program;
mod slots;
mod verdict;

use proptest::prelude::*;
use proptest::test_runner::RngAlgorithm;

use both::Both;
use model::Node;

/// How many programs: `FLOW_TEST_SCALE` makes the test longer.
fn cases() -> u32 {
    let scale = std::env::var("FLOW_TEST_SCALE").map_or(1, |text| {
        text.trim()
            .parse()
            .expect("FLOW_TEST_SCALE is a whole number")
    });
    2000_u32.saturating_mul(scale)
}

proptest! {
    #![proptest_config(ProptestConfig {
        // Half of the time would go into better random numbers.
        rng_algorithm: RngAlgorithm::XorShift,
        ..ProptestConfig::with_cases(cases())
    })]

    #[test]
    fn the_engine_does_what_the_model_does(
        steps in proptest::collection::vec(program::step(), 1..60)
    ) {
        let mut both = Both::default();
        both.model.outside = vec![Node::new(Vec::new()); 4];
        for step in &steps {
            both.apply(step);
        }
        both.finish();
    }
}
