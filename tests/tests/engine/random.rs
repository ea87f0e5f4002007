//! Random programs give the same with every embedded runner.

use std::time::Duration;

use flow_tests::programs::{program, restless, steps, under_a_limit};
use flow_tests::scale::config;
use flowcore::prelude::*;
use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::support::run_for;

/// A program takes milliseconds; shrinking one that hangs waits for this again
/// and again.
const PATIENCE: Duration = Duration::from_secs(20);

proptest! {
    #![proptest_config(Config { max_shrink_time: 60_000, ..config(400) })]

    #[test]
    fn programs_give_what_is_expected(steps in steps(false), runner in 0..4) {
        let flow = program.with_options(|o| match runner {
            0 => o,
            1 => o.task_runner(ThreadPoolTaskRunner::new().max_workers(1)),
            2 => o.task_runner(ThreadPoolTaskRunner::new().max_workers(3)),
            _ => o.task_runner(SequentialTaskRunner::new()),
        });
        let ended = run_for(PATIENCE, async move { flow(steps).await });
        prop_assert!(ended.is_ok(), "{ended:?}");
    }

    #[test]
    fn limits_and_priorities_change_no_result(
        steps in steps(false),
        slots in 1..4_u32,
        workers in 1..4_usize,
    ) {
        let runner = ThreadPoolTaskRunner::new().max_workers(workers);
        let flow = program.with_options(|o| o.task_runner(runner));
        let ended = run_for(PATIENCE, async move {
            under_a_limit("random-program", slots, flow(steps)).await
        });
        prop_assert!(ended.is_ok(), "{ended:?}");
    }

    #[test]
    fn programs_that_are_cancelled_under_a_limit_give_all_slots_back(
        steps in steps(true),
        gives_up in any::<bool>(),
        slots in 1..3_u32,
    ) {
        let ended = run_for(PATIENCE, async move {
            under_a_limit("restless-program", slots, restless(steps, gives_up)).await
        });
        prop_assert_eq!(ended.is_err(), gives_up, "{:?}", ended);
    }

    #[test]
    fn programs_in_which_runs_are_cancelled_end(
        steps in steps(true),
        gives_up in any::<bool>(),
        is_sequential in any::<bool>(),
    ) {
        let flow = restless.with_options(|o| {
            if is_sequential { o.task_runner(SequentialTaskRunner::new()) } else { o }
        });
        let ended = run_for(PATIENCE, async move { flow(steps, gives_up).await });
        prop_assert_eq!(ended.is_err(), gives_up, "{:?}", ended);
    }
}
