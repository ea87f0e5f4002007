//! What lies at the edges: rows that do not exist, lengths that become known
//! late, handles that go away at odd moments.

use std::sync::Arc;
use std::time::Duration;

use flowcore::prelude::*;
use flowcore::{ErrorKind, StateName};
use futures_util::StreamExt;

use crate::support::{Counter, Gate, Tracked, run, until};

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[task]
fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[task]
fn total(z: Vec<i64>) -> i64 {
    z.iter().sum()
}

#[task]
fn list(n: i64) -> Vec<i64> {
    (0..n).collect()
}

#[task]
fn bad_list(n: i64) -> Result<Vec<i64>, String> {
    Err(format!("no list of {n}"))
}

#[task]
fn even(x: i64) -> Result<i64, String> {
    if x % 2 == 0 {
        Ok(x)
    } else {
        Err(format!("{x} is odd"))
    }
}

#[task]
fn or_zero(x: Result<i64>) -> i64 {
    x.unwrap_or(0)
}

#[task]
fn count_failed(outcomes: Vec<Result<i64>>) -> usize {
    outcomes.iter().filter(|outcome| outcome.is_err()).count()
}

#[task(local)]
fn gated(gate: Arc<Gate>, x: i64) -> i64 {
    gate.pass();
    x
}

#[task(local)]
fn gated_list(gate: Arc<Gate>, n: i64) -> Vec<i64> {
    gate.pass();
    (0..n).collect()
}

#[test]
fn a_slice_that_turns_out_too_long_is_an_error_wherever_it_goes() {
    #[flow]
    async fn flow(known_first: bool) -> Result<()> {
        let gate = Gate::new();
        let rows = inc.map(gated_list.submit(&gate, 3));
        // Wholly and partly beyond the rows, and on the edge.
        let (beyond, across, edge) = (rows.slice(5..7), rows.slice(2..5), rows.slice(1..3));
        if known_first {
            gate.open();
            rows.length().await?;
        }
        let sums = [
            total.submit(&beyond),
            total.submit(&across),
            total.submit(&edge),
        ];
        let maps = [inc.map(&beyond), inc.map(&across), inc.map(&edge)];
        let after = [inc.after(&beyond).submit(1), inc.after(&across).submit(1)];
        let counts = count_failed.submit(allow_failure(&across));
        gate.open();
        for run in sums.iter().take(2).chain(&after) {
            assert!(run.wait(None).await);
            assert!(!run.state().is_completed(), "{}", run.state());
            let error = run.await.unwrap_err();
            assert!(format!("{error:?}").contains("3"), "{error:?}");
        }
        assert_eq!((&sums[2]).await?, 5);
        assert!(maps[0].clone().await.is_err());
        assert!(maps[1].clone().await.is_err());
        assert_eq!(maps[1].get(0).await?, 4);
        assert_eq!(maps[2].clone().await?, [3, 4]);
        assert!(beyond.await.is_err() && across.clone().await.is_err());
        assert!(across.outcomes().await.is_err());
        assert!(counts.await.is_err());
        assert_eq!(edge.await?, [2, 3]);
        Ok(())
    }
    run(async {
        flow(false).await.unwrap();
        flow(true).await.unwrap();
    });
}

#[test]
fn rows_that_do_not_exist_give_errors_and_hang_nobody() {
    #[flow]
    async fn flow() -> Result<()> {
        let rows = inc.map(0..3);
        assert_eq!(rows.get(3).await.unwrap_err().kind(), ErrorKind::Invalid);
        let error = inc.submit(rows.get(usize::MAX)).await.unwrap_err();
        assert!(format!("{error:?}").contains("no row"), "{error:?}");
        assert!(rows.get(7).wait(None).await);
        assert_eq!(
            rows.slice(1..).get(2).await.unwrap_err().kind(),
            ErrorKind::Invalid
        );
        #[expect(clippy::reversed_empty_ranges, reason = "the mistake is the test")]
        let reversed = rows.slice(2..1);
        assert_eq!(reversed.await.unwrap_err().kind(), ErrorKind::Invalid);
        assert!(rows.slice(1..4).await.is_err());
        assert_eq!(rows.slice(1..1).await?, [] as [i64; 0]);
        assert_eq!(rows.slice(..=1).slice(1..).await?, [2]);
        // Of a map whose length is not known.
        let gate = Gate::new();
        let later = inc.map(gated_list.submit(&gate, 2));
        let (third, of_third) = (later.get(2), inc.submit(later.get(2)));
        assert!(later.iter().is_err() && later.len().is_none());
        assert!(later.slice(1..).await.is_err());
        assert!(later.states().is_empty());
        gate.open();
        assert_eq!(third.await.unwrap_err().kind(), ErrorKind::Invalid);
        assert!(of_third.await.is_err());
        assert_eq!(later.length().await?, 2);
        assert_eq!(later.await?, [1, 2]);
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn a_list_that_never_comes_ends_the_map_and_all_below() {
    #[flow]
    async fn flow() -> Result<()> {
        let rows = inc.map(bad_list.submit(3));
        let below = inc.map(&rows);
        let beside = add.map(&below, unmapped(1));
        let sum = total.submit(&beside);
        let row = inc.submit(rows.get(1));
        let counted = count_failed.submit(allow_failure(&rows));
        let (slice, after) = (rows.slice(0..2), inc.after(&rows).submit(1));
        let aligned = [inc.map(&slice), or_zero.map(allow_failure(&slice))];
        let of_slice = total.submit(&slice);
        assert!(aligned[0].wait(None).await && of_slice.wait(None).await);
        assert_eq!(aligned[0].states(), [StateName::NotReady; 2]);
        assert_eq!((&aligned[1]).await?, [0, 0]);
        // After the end it is the same.
        assert_eq!(or_zero.map(allow_failure(&slice)).await?, [0, 0]);
        assert!(inc.map(&slice).await.is_err());
        for error in [
            rows.length().await.unwrap_err(),
            (&rows).await.unwrap_err(),
            rows.get(0).await.unwrap_err(),
            below.clone().outcomes().await.unwrap_err(),
            beside.await.unwrap_err(),
            sum.await.unwrap_err(),
            row.await.unwrap_err(),
            slice.await.unwrap_err(),
            after.await.unwrap_err(),
            of_slice.await.unwrap_err(),
            aligned[0].get(1).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::NotReady, "{error:?}");
            assert_eq!(error.root().to_string(), "no list of 3", "{error:?}");
        }
        // There is no list of outcomes that could say so.
        assert_eq!(
            counted.await.unwrap_err().root().to_string(),
            "no list of 3"
        );
        let mut completions = below.completions();
        assert!(completions.next().await.unwrap().1.is_err());
        assert!(completions.next().await.is_none());
        // Cancelled while its length is unknown.
        let gate = Gate::new();
        let rows = inc.map(gated_list.submit(&gate, 2));
        rows.cancel();
        assert_eq!(
            rows.length().await.unwrap_err().kind(),
            ErrorKind::Cancelled
        );
        gate.open();
        assert!(rows.await.is_err());
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn rows_are_cancelled_before_anybody_knows_that_they_exist() {
    #[flow]
    async fn flow() -> Result<()> {
        let gate = Gate::new();
        let rows = inc.map(gated_list.submit(&gate, 5));
        rows.get(1).cancel();
        rows.get(99).cancel();
        rows.slice(3..5).cancel();
        gate.open();
        assert!(rows.wait(None).await);
        use StateName::{Cancelled, Completed};
        assert_eq!(
            rows.states(),
            [Completed, Cancelled, Completed, Cancelled, Cancelled]
        );
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn zero_rows_are_a_map_like_any_other() {
    #[flow]
    async fn flow() -> Result<()> {
        let none = inc.map(Vec::<i64>::new());
        assert_eq!((none.len(), none.is_empty()), (Some(0), Some(true)));
        assert_eq!(total.submit(&none).await?, 0);
        assert_eq!(inc.map(&none).await?, [] as [i64; 0]);
        assert_eq!(inc.after(&none).submit(1).await?, 2);
        assert_eq!(none.clone().completions().count().await, 0);
        assert_eq!(count_failed.submit(allow_failure(&none)).await?, 0);
        let later = inc.map(list.submit(0));
        let (below, sum) = (inc.map(&later), total.submit(&later));
        assert_eq!(sum.await?, 0);
        assert_eq!(below.await?, [] as [i64; 0]);
        assert_eq!(later.await?, [] as [i64; 0]);
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn completions_come_in_the_order_in_which_rows_settle() {
    #[flow]
    async fn flow() -> Result<()> {
        let (open, closed) = (Gate::new(), Gate::new());
        open.open();
        let rows = gated.map([&closed, &open, &open], 0..3);
        let mut completions = rows.completions();
        let mut seen = Vec::new();
        for _ in 0..2 {
            let (row, value) = completions.next().await.unwrap();
            seen.push((row, value?));
        }
        seen.sort_unstable();
        assert_eq!(seen, [(1, 1), (2, 2)]);
        closed.open();
        assert_eq!(completions.next().await.unwrap().0, 0);
        assert!(completions.next().await.is_none());
        assert!(completions.next().await.is_none());
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn slices_are_aligned_with_what_maps_over_them() {
    #[flow]
    async fn flow() -> Result<()> {
        let rows = even.map(0..8);
        let part = rows.slice(2..6);
        let both = add.map(&part, &part);
        both.wait(None).await;
        use StateName::{Completed, NotReady};
        assert_eq!(both.states(), [Completed, NotReady, Completed, NotReady]);
        assert_eq!(
            both.get(1).await.unwrap_err().root().to_string(),
            "3 is odd"
        );
        let lenient = or_zero.map(allow_failure(&part)).await?;
        assert_eq!(lenient, [2, 0, 4, 0]);
        let shifted = add
            .map(rows.slice(0..3), rows.slice(4..7))
            .outcomes()
            .await?;
        assert_eq!(shifted[0].as_ref().unwrap(), &4);
        assert!(shifted[1].is_err());
        assert_eq!(shifted[2].as_ref().unwrap(), &8);
        assert_eq!(part.get(0).await?, 2);
        let error = part.await.unwrap_err();
        assert!(error.to_string().contains("2 of 4 rows"), "{error}");
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn columns_of_different_lengths_are_refused_early_or_late() {
    #[flow]
    async fn flow() -> Result<()> {
        let refused = add.map(0..2, 0..3);
        let error = refused.clone().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("`x`: 2, `y`: 3"), "{error}");
        // What stands on a refused map is not ready, and hangs nobody.
        assert!(total.submit(&refused).await.is_err());
        assert!(count_failed.submit(allow_failure(&refused)).await.is_err());
        for below in [
            inc.map(&refused),
            add.map(0..9, &refused),
            or_zero.map(allow_failure(&refused)),
        ] {
            let root = below.await.unwrap_err().root().to_string();
            assert!(root.contains("`x`: 2, `y`: 3"), "{root}");
        }
        assert!(inc.submit(refused.get(0)).await.is_err());
        assert!(inc.after(&refused).submit(1).await.is_err());
        assert!(refused.length().await.is_err());
        assert!(refused.wait(None).await);
        let late = add.map(list.submit(2), 0..3);
        let error = late.await.unwrap_err();
        assert!(error.to_string().contains("`x`: 2, `y`: 3"), "{error}");
        let two = add.map(list.submit(2), list.submit(4)).await.unwrap_err();
        assert!(two.to_string().contains("`x`: 2, `y`: 4"), "{two}");
        let none = add.map(unmapped(1), unmapped(2)).await.unwrap_err();
        assert!(none.to_string().contains("at least one"), "{none}");
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn late_columns_meet_maps_of_known_and_unknown_length() {
    #[flow]
    async fn flow() -> Result<()> {
        let late = inc.map(list.submit(3));
        let sums = add.map(&late, list.submit(3)).await?;
        assert_eq!(sums, [1, 3, 5]);
        let sums = add.map(&late, inc.map(0..3)).await?;
        assert_eq!(sums, [2, 4, 6]);
        let wrong = add.map(inc.map(list.submit(3)), inc.map(list.submit(2)));
        let error = wrong.await.unwrap_err();
        assert!(error.to_string().contains("`x`: 3, `y`: 2"), "{error}");
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn values_go_when_the_last_handle_and_the_last_reader_have() {
    #[task(local)]
    fn make(ended: Counter) -> Tracked {
        Tracked(ended)
    }
    #[task(local)]
    fn look(value: &Tracked) -> usize {
        value.0.get()
    }
    #[task(local)]
    fn eat(value: Tracked) -> usize {
        value.0.get()
    }
    #[task(local)]
    fn keep(_argument: Tracked, _x: i64) -> i64 {
        1
    }
    #[flow]
    async fn flow() -> Result<()> {
        let ended = Counter::new();
        // Nobody reads it.
        drop(make.submit(&ended));
        until(|| ended.get() == 1).await;
        // A reader borrows it, then the last handle goes.
        let made = make.submit(&ended);
        assert_eq!(look.submit(&made).await?, 1);
        assert_eq!(ended.get(), 1);
        drop(made);
        until(|| ended.get() == 2).await;
        // The last reader takes it.
        assert_eq!(eat.submit(make.submit(&ended)).await?, 2);
        until(|| ended.get() == 3).await;
        // Rows likewise.
        let rows = make.map([&ended, &ended, &ended]);
        assert_eq!(look.map(&rows).await?, [3, 3, 3]);
        drop(rows);
        until(|| ended.get() == 6).await;
        assert_eq!(eat.map(make.map([&ended, &ended])).await?.len(), 2);
        until(|| ended.get() == 8).await;
        // An argument goes with its run, though the handle stays.
        let run = keep.submit(Tracked(ended.clone()), 1);
        run.wait(None).await;
        until(|| ended.get() == 9).await;
        // Of a run that never starts, and of one that was cancelled.
        let never = keep.submit(Tracked(ended.clone()), even.submit(1));
        never.wait(None).await;
        until(|| ended.get() == 10).await;
        let gate = Gate::new();
        let queued = keep.submit(Tracked(ended.clone()), gated.submit(&gate, 1));
        queued.cancel();
        until(|| ended.get() == 11).await;
        gate.open();
        drop((run, never, queued));
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn a_future_is_read_as_often_as_somebody_holds_it() {
    #[flow]
    async fn flow() -> Result<()> {
        let run = list.submit(3);
        let copy = run.clone();
        assert_eq!((&run).await?, [0, 1, 2]);
        assert_eq!(*run.result().await?, [0, 1, 2]);
        assert_eq!(run.await?, [0, 1, 2]);
        let state = copy.state();
        assert_eq!(copy.await?, [0, 1, 2]);
        assert_eq!(*state.result()?, [0, 1, 2]);
        assert_eq!(total.submit(&state).await?, 3);
        assert_eq!(total.submit(state).await?, 3);
        let rows = inc.map(0..3);
        assert_eq!((&rows).await?, [1, 2, 3]);
        assert_eq!(rows.get(1).await?, 2);
        assert_eq!(total.submit(&rows).await?, 6);
        assert_eq!(rows.await?, [1, 2, 3]);
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn chains_of_any_length_run_fail_and_go() {
    const LENGTH: i64 = 100_000;
    #[flow]
    async fn flow(first: i64, drops: bool) -> Result<i64> {
        let gate = Gate::new();
        let mut last = even.submit(gated.submit(&gate, first));
        for _ in 0..LENGTH {
            last = inc.submit(last);
        }
        gate.open();
        if drops {
            drop(last);
            return Ok(0);
        }
        last.await
    }
    #[flow]
    async fn lenient() -> Result<i64> {
        let gate = Gate::new();
        let mut last = even.submit(gated.submit(&gate, 1));
        for _ in 0..LENGTH {
            last = or_zero.submit(allow_failure(last));
        }
        gate.open();
        last.await
    }
    run(async {
        assert_eq!(flow(0, false).await.unwrap(), LENGTH);
        let error = flow(1, false).await.unwrap_err();
        assert_eq!(error.root().to_string(), "1 is odd");
        assert_eq!(flow(0, true).await.unwrap(), 0);
        assert_eq!(flow(1, true).await.unwrap(), 0);
        assert_eq!(lenient().await.unwrap(), 0);
    });
}

#[test]
fn a_deep_chain_of_maps_is_no_deep_stack() {
    #[flow]
    async fn flow(x: i64) -> Result<Vec<i64>> {
        let mut rows = even.map([x, 2]);
        for _ in 0..10_000 {
            rows = inc.map(rows);
        }
        rows.await
    }
    run(async {
        assert_eq!(flow(0).await.unwrap(), [10_000, 10_002]);
        let error = flow(1).await.unwrap_err();
        assert_eq!(error.root().to_string(), "1 is odd");
    });
}

#[test]
fn many_things_wait_for_one_run() {
    #[flow]
    async fn flow() -> Result<()> {
        let gate = Gate::new();
        let one = gated.submit(&gate, 1);
        let many: Vec<_> = (0..10_000).map(|x| add.submit(&one, x)).collect();
        let maps: Vec<_> = (0..100).map(|_| add.map(0..100, unmapped(&one))).collect();
        gate.open();
        assert_eq!(total.submit(many).await?, (1..=10_000).sum::<i64>());
        for rows in maps {
            assert_eq!(rows.await?.len(), 100);
        }
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn a_text_of_ten_megabytes_is_kept_whole_and_shown_short() {
    #[task]
    fn shouts(size: usize) -> Result<i64, String> {
        Err("x".repeat(size))
    }
    #[flow]
    async fn flow() -> Result<()> {
        let run = shouts.submit(10_000_000);
        let below = inc.submit(&run);
        run.wait(None).await;
        assert!(run.state().to_string().len() < 10_000);
        assert_eq!(run.await.unwrap_err().to_string().len(), 10_000_000);
        let error = below.await.unwrap_err();
        assert!(error.to_string().len() < 1000);
        assert_eq!(error.root().to_string().len(), 10_000_000);
        Ok(())
    }
    run(async { flow().await.unwrap() });
}

#[test]
fn waiting_with_a_limit_leaves_nothing_behind() {
    #[flow]
    async fn flow() -> Result<()> {
        let gate = Gate::new();
        let run = gated.submit(&gate, 3);
        let rows = inc.map([run.clone()]);
        for _ in 0..3 {
            assert!(!run.wait(Duration::from_millis(1)).await);
            assert!(!rows.wait(Duration::from_millis(1)).await);
        }
        gate.open();
        assert!(rows.wait(Duration::from_secs(100)).await);
        assert!(run.wait(Duration::ZERO).await);
        assert_eq!(rows.await?, [4]);
        Ok(())
    }
    run(async { flow().await.unwrap() });
}
