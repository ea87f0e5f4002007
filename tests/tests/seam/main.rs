//! The seam between the engine and what executes, proved by a runner whose
//! runs happen in another process: descriptors and values go through bytes,
//! and values that are only passed on stay there.

mod control;
mod programs;
mod runner;

use std::sync::atomic::Ordering;
use std::time::Duration;

use flow_tests::seam::tasks::{
    ReadError, add, boom, computed_by, count_failed, double, end_process, even, even_in_twos, inc,
    join, list, local_process, local_sum, moved, name, nap, nap_and_fail, or_zero, point, points,
    process, read, sum_all, third_time, too_slow, until_third, x_of, x_or_error, xs_of,
};
use flowcore::bridge::Feed;
use flowcore::prelude::*;
use flowcore::{ErrorKind, StateName};
use runner::ChildProcessRunner;

const FEEDS: [Feed; 2] = [Feed::Ready, Feed::Submitted];

/// A test that stands still has failed.
async fn in_time<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), test)
        .await
        .expect("the flow ends in time")
}

#[flow]
async fn mapped(n: i64) -> Result<i64> {
    let range: Vec<i64> = (0..n).collect();
    let a = inc.map(&range);
    let b = double.map(&range);
    let c = add.map(&a, &b);
    sum_all.submit(c).await
}

#[tokio::test]
async fn values_that_are_passed_on_stay_in_the_child() {
    for feed in FEEDS {
        let runner = ChildProcessRunner::new(feed);
        let flow = mapped.with_options(|o| o.task_runner(runner.clone()));
        assert_eq!(in_time(flow(100)).await.unwrap(), 3 * 4950 + 100);
        let counts = runner.counts();
        assert_eq!(counts.descriptors.load(Ordering::Relaxed), 301, "{feed:?}");
        // The sum alone came here.
        assert_eq!(counts.fetches.load(Ordering::Relaxed), 1, "{feed:?}");
    }
}

#[flow]
async fn processes() -> Result<(u32, u32, u32)> {
    Ok((
        process.submit().await?,
        local_process.submit().await?,
        process().await?,
    ))
}

#[tokio::test]
async fn runs_are_in_the_child_unless_they_are_local_or_called() {
    let runner = ChildProcessRunner::new(Feed::Ready);
    let flow = processes.with_options(|o| o.task_runner(runner));
    let (child, local, called) = in_time(flow()).await.unwrap();
    assert_ne!(child, std::process::id());
    assert_eq!(local, std::process::id());
    assert_eq!(called, std::process::id());
}

#[flow]
async fn shapes() -> Result<(i64, String, i64, Vec<i64>, i64)> {
    let one = inc.submit(0);
    let listed = sum_all.submit(vec![one.clone(), inc.submit(&one), inc.submit(10)]);
    let pair = join.submit((one.clone(), name.submit(7)), ": ");
    let rows = inc.map(0..10);
    let part = sum_all.submit(rows.slice(2..4));
    let unmapped_sum = add.map(rows.slice(..3), unmapped(&one));
    let of_a_list = double.map(list.submit(4));
    let after = inc.after((&of_a_list, &part)).submit(of_a_list.get(3));
    Ok((
        listed.await?,
        pair.await?,
        part.await?,
        unmapped_sum.await?,
        after.await?,
    ))
}

#[tokio::test]
async fn arguments_of_every_shape_travel() {
    for feed in FEEDS {
        let flow = shapes.with_options(|o| o.task_runner(ChildProcessRunner::new(feed)));
        let (listed, pair, part, unmapped_sum, after) = in_time(flow()).await.unwrap();
        assert_eq!(listed, 1 + 2 + 11);
        assert_eq!(pair, "1: number 7");
        assert_eq!(part, 3 + 4);
        assert_eq!(unmapped_sum, [2, 3, 4]);
        assert_eq!(after, 7);
    }
}

#[flow]
async fn failing() -> Result<()> {
    let bad = read.submit("people");
    let dependent = inc.submit(&bad);
    let last = inc.submit(&dependent);

    let error = bad.clone().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Failed);
    assert_eq!(error.to_string(), "cannot read table people");
    assert!(error.type_name().unwrap().ends_with("ReadError"));
    // The value stayed there; text, type and chain came here.
    assert!(error.downcast_ref::<ReadError>().is_none());
    assert!(
        format!("{error:?}").contains("caused by: disk is gone"),
        "{error:?}"
    );

    let error = last.clone().await.unwrap_err();
    assert_eq!(last.state().name(), StateName::NotReady);
    assert_eq!(error.root().to_string(), "cannot read table people");

    let tried = third_time.submit();
    let error = tried.clone().await.unwrap_err();
    assert_eq!(error.to_string(), "attempt 3");
    assert_eq!(tried.run_count(), 3);

    // The condition is asked where the run is.
    let stopped = until_third.submit();
    let error = stopped.clone().await.unwrap_err();
    assert_eq!(error.to_string(), "attempt 3");
    assert_eq!(stopped.run_count(), 3);

    let error = boom.submit(5).await.unwrap_err();
    assert!(error.to_string().contains("x is 5"), "{error}");
    assert!(error.to_string().contains("tasks.rs:"), "{error}");

    let slow = too_slow.submit();
    assert_eq!(slow.clone().await.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(slow.state().name(), StateName::TimedOut);
    Ok(())
}

#[tokio::test]
async fn errors_come_home_with_text_type_and_chain() {
    for feed in FEEDS {
        let flow = failing.with_options(|o| o.task_runner(ChildProcessRunner::new(feed)));
        in_time(flow()).await.unwrap();
    }
}

#[flow]
async fn coded_otherwise() -> Result<()> {
    // One value for a reader with the same codec, one with another, and one here.
    let first = point.submit(1);
    let second = moved.submit(&first);
    assert_eq!(x_of.submit(&second).await?, 101);
    assert_eq!(first.clone().await?.name, "p1");

    // Put together: a map, a list of futures, a pair.
    let rows = point.map(0..3);
    let pair = (first.clone(), second.clone());
    assert_eq!(xs_of.submit(&rows, pair.clone()).await?, [0, 1, 2, 1, 101]);
    let listed = vec![first.clone(), point.submit(7)];
    assert_eq!(xs_of.submit(listed, pair).await?, [1, 7, 1, 101]);

    // Taken apart: the rows of a list that lies elsewhere.
    assert_eq!(x_of.map(points.submit(4)).await?, [0, 1, 2, 3]);
    assert_eq!(moved.map(points.submit(2)).await?.len(), 2);

    // A value or an error.
    let outcomes = point.map([12, 13]);
    let names = x_or_error.map(allow_failure(&outcomes)).await?;
    assert_eq!(names, ["p12", "an unlucky point"]);
    Ok(())
}

#[tokio::test]
async fn results_in_bincode_reach_every_reader() {
    for feed in FEEDS {
        let flow = coded_otherwise.with_options(|o| o.task_runner(ChildProcessRunner::new(feed)));
        in_time(flow()).await.unwrap();
    }
}

#[flow]
async fn lenient() -> Result<(i64, usize, Vec<i64>)> {
    let one = or_zero.submit(allow_failure(read.submit("people")));
    let rows = even.map(0..5);
    let failed = count_failed.submit(allow_failure(&rows));
    let zeros = or_zero.map(allow_failure(&rows));
    Ok((one.await?, failed.await?, zeros.await?))
}

#[tokio::test]
async fn allowed_failures_travel_as_values() {
    for feed in FEEDS {
        let flow = lenient.with_options(|o| o.task_runner(ChildProcessRunner::new(feed)));
        let (one, failed, zeros) = in_time(flow()).await.unwrap();
        assert_eq!((one, failed), (0, 2));
        assert_eq!(zeros, [0, 0, 2, 0, 4]);
    }
}

#[flow]
async fn in_order() -> Result<()> {
    // The child has two threads: nothing but the order keeps the second run.
    let slow = nap.submit(50);
    let next = inc.after(&slow).submit(1);
    assert_eq!(next.await?, 2);
    assert!(slow.state().is_completed());
    let bad = nap_and_fail.submit(50);
    let never = inc.after(&bad).submit(1);
    let row = inc.after(&bad).map([1, 2]);
    let later = double.submit(&never);
    assert_eq!(never.await.unwrap_err().kind(), ErrorKind::NotReady);
    assert_eq!(row.await.unwrap_err().kind(), ErrorKind::NotReady);
    assert_eq!(later.await.unwrap_err().kind(), ErrorKind::NotReady);
    Ok(())
}

#[tokio::test]
async fn what_comes_after_a_run_waits_for_it() {
    for feed in FEEDS {
        let flow = in_order.with_options(|o| o.task_runner(ChildProcessRunner::new(feed)));
        in_time(flow()).await.unwrap();
    }
}

#[flow]
async fn beside() -> Result<(i64, i64)> {
    let there = inc.map(0..4);
    let here = local_sum.submit(&there);
    let there_again = double.submit(&here);
    Ok((here.await?, there_again.await?))
}

#[tokio::test]
async fn local_runs_fetch_what_they_take_and_send_what_they_give() {
    for feed in FEEDS {
        let runner = ChildProcessRunner::new(feed);
        let flow = beside.with_options(|o| o.task_runner(runner.clone()));
        assert_eq!(in_time(flow()).await.unwrap(), (10, 20));
        // Four rows for the local sum, and the result at the end.
        assert_eq!(runner.counts().fetches.load(Ordering::Relaxed), 5);
    }
}

#[flow]
async fn given_up() -> Result<()> {
    let naps = nap.map([200, 200, 200, 200, 200, 200]);
    let last = inc.after(&naps).submit(1);
    drop(last);
    Err(flowcore::Error::msg("enough"))
}

#[tokio::test]
async fn a_flow_that_gives_up_takes_back_its_work() {
    for feed in FEEDS {
        let runner = ChildProcessRunner::new(feed);
        let flow = given_up.with_options(|o| o.task_runner(runner.clone()));
        let error = in_time(flow()).await.unwrap_err();
        assert_eq!(error.to_string(), "enough");
        assert!(
            runner.counts().cancels.load(Ordering::Relaxed) > 0,
            "{feed:?}"
        );
    }
}

#[flow]
async fn crashing() -> Result<()> {
    let crashed = end_process.submit();
    let dependent = inc.submit(&crashed);
    let error = crashed.clone().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Crashed);
    assert_eq!(crashed.state().name(), StateName::Crashed);
    // A child that had it already took it along.
    let kind = dependent.await.unwrap_err().kind();
    assert!(
        matches!(kind, ErrorKind::NotReady | ErrorKind::Crashed),
        "{kind:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_child_that_dies_crashes_its_runs_and_hangs_nothing() {
    for feed in FEEDS {
        let flow = crashing.with_options(|o| o.task_runner(ChildProcessRunner::new(feed)));
        in_time(flow()).await.unwrap();
    }
}

#[flow]
async fn hung_up(runner: ChildProcessRunner) -> Result<()> {
    let asleep = nap.submit(600_000);
    while asleep.state().name() != StateName::Running {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Whatever ends this process closes the child's stdin. That the child
    // really ends is what the session waits for as it closes.
    runner.hang_up();
    assert_eq!(asleep.await.unwrap_err().kind(), ErrorKind::Crashed);
    Ok(())
}

#[tokio::test]
async fn the_child_ends_with_its_input_whatever_it_is_doing() {
    let runner = ChildProcessRunner::new(Feed::Ready);
    let flow = hung_up.with_options(|o| o.task_runner(runner.clone()));
    in_time(flow(runner)).await.unwrap();
}

#[flow]
async fn cached(store: String, day: i64) -> Result<(Vec<u32>, Vec<StateName>)> {
    let _ = day;
    let kept = computed_by.with_options(|o| o.result_store(store.clone()));
    let first = kept.submit(1, true);
    first.wait(None).await;
    let second = kept.submit(1, false);
    second.wait(None).await;
    let rows = kept.map([1, 2], unmapped(true));
    let mut states = vec![first.state().name(), second.state().name()];
    rows.wait(None).await;
    states.extend(rows.states());
    let values = [vec![first.await?, second.await?], rows.await?].concat();
    Ok((values.into_iter().map(|(_, id)| id).collect(), states))
}

#[tokio::test]
async fn records_are_found_where_the_runs_are() {
    use StateName::{Cached, Completed};
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = || directory.path().display().to_string();
    let runner = ChildProcessRunner::new(Feed::Ready);
    let there = cached.with_options(|o| o.task_runner(runner.clone()));
    let (ids, states) = in_time(there(store(), 1)).await.unwrap();
    assert_eq!(states, [Completed, Cached, Cached, Completed]);
    let child = ids[0];
    assert_ne!(child, std::process::id());
    assert_eq!(ids, [child; 4]);

    // Another child, and this process, find what the first one wrote.
    for flow in [there, cached.with_options(|o| o)] {
        let (ids, states) = in_time(flow(store(), 1)).await.unwrap();
        assert_eq!(states, [Cached; 4]);
        assert_eq!(ids, [child; 4]);
    }
    // The flow's parameters are part of the key.
    let (ids, _) = in_time(cached(store(), 2)).await.unwrap();
    assert_eq!(ids, [std::process::id(); 4]);
}

#[flow]
async fn batched(rows: Option<u32>) -> Result<Vec<i64>> {
    let doubled = match rows {
        Some(rows) => double.with_options(|o| o.batch(rows)).map(0..10),
        None => double.map(0..10),
    };
    doubled.await
}

#[tokio::test]
async fn rows_travel_in_batches() {
    for feed in FEEDS {
        for (rows, batches) in [
            (None, vec![1; 10]),
            (Some(4), vec![4, 4, 2]),
            (Some(1), vec![1; 10]),
        ] {
            let runner = ChildProcessRunner::new(feed);
            let flow = batched.with_options(|o| o.task_runner(runner.clone()));
            let doubled = in_time(flow(rows)).await.unwrap();
            assert_eq!(doubled, (0..10).map(|x| x * 2).collect::<Vec<i64>>());
            assert_eq!(*runner.batches(), batches, "{feed:?}");
        }
    }
}

#[flow]
async fn batched_evens() -> Vec<StateName> {
    let evens = even_in_twos.map(0..5);
    evens.wait(None).await;
    evens.states()
}

#[tokio::test]
async fn rows_of_a_batch_have_ends_of_their_own() {
    use StateName::{Completed, Failed};
    for feed in FEEDS {
        let runner = ChildProcessRunner::new(feed);
        let flow = batched_evens.with_options(|o| o.task_runner(runner.clone()));
        let states = in_time(flow()).await.unwrap();
        assert_eq!(states, [Completed, Failed, Completed, Failed, Completed]);
        assert_eq!(*runner.batches(), [2, 2, 1], "{feed:?}");
    }
}

#[tokio::test]
async fn a_batch_of_no_rows_is_refused() {
    for feed in FEEDS {
        let flow = batched.with_options(|o| o.task_runner(ChildProcessRunner::new(feed)));
        let error = in_time(flow(Some(0))).await.unwrap_err();
        assert!(error.to_string().contains("`batch` is 0"), "{error}");
    }
}
