//! Random programs give the same in another process, whoever orders the work.

use std::time::Duration;

use flow_tests::programs::{program, restless, steps, under_a_limit};
use flow_tests::scale::config;
use flowcore::bridge::Feed;
use proptest::prelude::*;
use proptest::test_runner::Config;

use super::runner::ChildProcessRunner;

fn feed(is_early: bool) -> Feed {
    if is_early {
        Feed::Submitted
    } else {
        Feed::Ready
    }
}

/// A program takes milliseconds; shrinking one that hangs waits for this again
/// and again.
const PATIENCE: Duration = Duration::from_secs(20);

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("the program ends in time")
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

proptest! {
    #![proptest_config(Config { max_shrink_time: 60_000, ..config(60) })]

    #[test]
    fn programs_give_what_is_expected(steps in steps(false), is_early in any::<bool>()) {
        let runner = ChildProcessRunner::new(feed(is_early));
        let flow = program.with_options(|o| o.task_runner(runner));
        let ended = block_on(in_time(flow(steps)));
        prop_assert!(ended.is_ok(), "{ended:?}");
    }

    #[test]
    fn programs_under_a_limit_give_what_is_expected(
        steps in steps(false),
        slots in 1..3_u32,
        is_early in any::<bool>(),
    ) {
        let runner = ChildProcessRunner::new(feed(is_early));
        let flow = program.with_options(|o| o.task_runner(runner));
        let ended = block_on(in_time(under_a_limit("seam-program", slots, flow(steps))));
        prop_assert!(ended.is_ok(), "{ended:?}");
    }

    #[test]
    fn programs_in_which_runs_are_cancelled_end(
        steps in steps(true),
        gives_up in any::<bool>(),
        is_early in any::<bool>(),
    ) {
        let runner = ChildProcessRunner::new(feed(is_early));
        let flow = restless.with_options(|o| o.task_runner(runner));
        let ended = block_on(in_time(flow(steps, gives_up)));
        prop_assert_eq!(ended.is_err(), gives_up, "{:?}", ended);
    }
}
