//! The length of model tests.
//!
//! A model or property test runs in two lengths: short in the ordinary lane,
//! long in the slow one. Both are the same test; only the number of cases
//! differs, by the factor that the environment variable `FLOW_TEST_SCALE`
//! holds (1 where it is not set).

use proptest::test_runner::Config;

/// The environment variable that holds the factor.
pub const VARIABLE: &str = "FLOW_TEST_SCALE";

/// The factor by which model tests are longer than in the ordinary lane.
///
/// # Panics
///
/// If the variable is set to something other than a whole number from 1: a
/// misspelt slow lane must not pass as a short one.
#[must_use]
pub fn factor() -> u32 {
    match std::env::var(VARIABLE) {
        Ok(text) => match parse(&text) {
            Some(factor) => factor,
            None => panic!("{VARIABLE} must be a whole number from 1, got {text:?}"),
        },
        Err(_) => 1,
    }
}

/// The number of cases to run of a test that runs `ordinary` cases in the
/// ordinary lane.
#[must_use]
pub fn cases(ordinary: u32) -> u32 {
    ordinary.saturating_mul(factor())
}

/// Those [`cases`] for a property test: `#![proptest_config(config(256))]`.
#[must_use]
pub fn config(ordinary: u32) -> Config {
    Config::with_cases(cases(ordinary))
}

fn parse(text: &str) -> Option<u32> {
    text.trim().parse().ok().filter(|factor| *factor > 0)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn only_whole_numbers_from_one_are_factors() {
        assert_eq!(parse("1"), Some(1));
        assert_eq!(parse(" 50\n"), Some(50));
        for wrong in ["", "0", "-1", "1.5", "slow"] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }
}
