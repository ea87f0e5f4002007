//! What threads share without a lock, in all its interleavings: loom plays
//! every order of the steps that the memory model allows.
//!
//! The files under test are compiled here once more, with loom's parts in the
//! place of the real ones (`sync.rs`); so no flag of the compiler is needed:
//! `cargo test -p flowcore-models`. `FLOW_TEST_SCALE` lets loom preempt threads
//! more often.

#![cfg(test)]
// Not everything that the files offer has a model.
#![allow(dead_code, reason = "the files under test are whole")]

mod sync;

#[path = "../src/flag.rs"]
mod flag;

mod runner;

#[path = "../src/flow/shell/in_turn.rs"]
mod in_turn;

use loom::future::block_on;
use loom::sync::Arc;
use loom::thread;

use flag::Flag;
use in_turn::InTurn;
use runner::attempt::Next;
use runner::control::AttemptControl;
use runner::stops::Stops;

/// Plays all orders in which threads are preempted a few times.
fn model(code: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    let is_long = std::env::var("FLOW_TEST_SCALE").is_ok_and(|scale| scale.trim() != "1");
    model.preemption_bound = Some(if is_long { 5 } else { 2 });
    model.check(code);
}

#[test]
fn whoever_waits_for_a_flag_goes_on() {
    model(|| {
        let flag = Arc::new(Flag::default());
        let waits = {
            let flag = Arc::clone(&flag);
            thread::spawn(move || {
                block_on(flag.wait());
                assert!(flag.is_set());
            })
        };
        let sets = {
            let flag = Arc::clone(&flag);
            thread::spawn(move || flag.set())
        };
        block_on(flag.wait());
        waits.join().unwrap();
        sets.join().unwrap();
    });
}

#[test]
fn what_happened_before_a_flag_was_set_is_seen_after_it() {
    model(|| {
        let flag = Arc::new(Flag::default());
        let cell = Arc::new(loom::cell::UnsafeCell::new(0));
        let sets = {
            let (flag, cell) = (Arc::clone(&flag), Arc::clone(&cell));
            thread::spawn(move || {
                cell.with_mut(|_| ());
                flag.set();
            })
        };
        if flag.is_set() {
            // loom panics if the two were not ordered.
            cell.with(|_| ());
        }
        sets.join().unwrap();
    });
}

#[test]
fn an_attempt_knows_how_it_ended_and_whether_it_was_the_last() {
    model(|| {
        let control = AttemptControl::new(1, 0);
        assert!(control.is_last());
        assert!(control.finish() && !control.abandon());
        assert!(!control.is_cancelled());
        let control = AttemptControl::new(1, 1);
        assert!(!control.is_last());
        assert!(control.abandon() && !control.finish());
        assert!(control.is_cancelled() && !control.was_asked_to_stop());
        control.cancel();
        assert!(control.was_asked_to_stop());
    });
}

#[test]
fn an_attempt_ends_once_and_its_timer_hears_of_it() {
    model(|| {
        let control = Arc::new(AttemptControl::new(1, 0));
        let timer = {
            let control = Arc::clone(&control);
            thread::spawn(move || control.abandon())
        };
        let has_finished = control.finish();
        let was_abandoned = timer.join().unwrap();
        assert!(has_finished != was_abandoned);
        assert_eq!(control.is_abandoned(), was_abandoned);
        assert_eq!(control.is_cancelled(), was_abandoned);
        assert!(!control.was_asked_to_stop());
        // Whoever ended it, a waiter that comes only now goes on.
        block_on(control.ended());
    });
}

#[test]
fn a_timer_that_waits_is_woken_by_the_end() {
    model(|| {
        let control = Arc::new(AttemptControl::new(1, 0));
        let timer = {
            let control = Arc::clone(&control);
            thread::spawn(move || block_on(control.ended()))
        };
        assert!(control.finish());
        timer.join().unwrap();
    });
}

#[test]
fn what_follows_an_abandoned_attempt_is_decided_once() {
    model(|| {
        let control = Arc::new(AttemptControl::new(1, 0));
        assert!(control.abandon());
        let timer = {
            let control = Arc::clone(&control);
            thread::spawn(move || control.decided(|| Next("timer")))
        };
        let code = control.decided(|| Next("code"));
        assert_eq!(timer.join().unwrap(), code);
    });
}

#[test]
fn an_attempt_that_is_asked_to_stop_knows_that_it_was_asked() {
    model(|| {
        let control = Arc::new(AttemptControl::new(1, 0));
        let other = {
            let control = Arc::clone(&control);
            thread::spawn(move || control.cancel())
        };
        block_on(control.cancelled());
        assert!(control.is_cancelled() && control.was_asked_to_stop());
        other.join().unwrap();
    });
}

#[test]
fn rows_that_wait_learn_that_they_are_stopped() {
    model(|| {
        let stops = Arc::new(Stops::default());
        let waits = {
            let stops = Arc::clone(&stops);
            thread::spawn(move || {
                block_on(stops.stopped(2));
                assert!(stops.contains(2));
            })
        };
        stops.stop(1);
        assert!(stops.contains(1) && !stops.contains(2));
        stops.stop(2);
        waits.join().unwrap();
    });
}

#[test]
fn stops_of_two_threads_are_both_kept() {
    model(|| {
        let stops = Arc::new(Stops::default());
        let other = {
            let stops = Arc::clone(&stops);
            thread::spawn(move || stops.stop(1))
        };
        stops.stop_all();
        assert!(stops.contains(7));
        other.join().unwrap();
        assert!(stops.contains(1));
    });
}

#[test]
fn what_is_put_in_is_taken_out_once_and_in_order() {
    model(|| {
        let things = Arc::new(InTurn::default());
        let taken = Arc::new(loom::sync::Mutex::new(Vec::new()));
        let put = |first: u32| {
            let (things, taken) = (Arc::clone(&things), Arc::clone(&taken));
            move || {
                for thing in [first, first + 1] {
                    things.put([thing]);
                    things.take(|thing| taken.lock().unwrap().push(thing));
                }
            }
        };
        let other = thread::spawn(put(10));
        put(20)();
        other.join().unwrap();
        // Nothing is left behind, whoever had the turn last.
        let taken = taken.lock().unwrap();
        let of = |first: u32| taken.iter().filter(move |thing| **thing / 10 == first / 10);
        assert!(of(10).eq(&[10, 11]) && of(20).eq(&[20, 21]), "{taken:?}");
        assert_eq!(taken.len(), 4);
    });
}
