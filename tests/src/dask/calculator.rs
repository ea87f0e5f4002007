//! A small executor for Rust workers: a task is a line of text.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use flowdask::wire::pickle::{self, Object};
use flowdask::wire::{Key, Serialized, Value};
use flowdask::worker::{Assignment, Executor, Outcome, Slot, Stored};

/// Adds integers, sleeps, fails and panics.
#[derive(Debug, Default)]
pub struct Calculator {
    /// The keys whose executions were cancelled.
    cancelled: Mutex<Vec<Key>>,
    /// The lines that were executed.
    executed: Mutex<Vec<String>>,
}

impl Calculator {
    /// An executor for one worker or several.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The keys whose executions were cancelled.
    pub fn cancelled(&self) -> Vec<Key> {
        lock(&self.cancelled).clone()
    }

    /// The lines that were executed.
    pub fn executed(&self) -> Vec<String> {
        lock(&self.executed).clone()
    }
}

/// What a panic leaves behind is whole: single pushes.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Executor for Calculator {
    fn execute(&self, assignment: &Assignment, slot: &Slot) -> Outcome {
        let line = String::from_utf8_lossy(&assignment.payload).into_owned();
        lock(&self.executed).push(line.clone());
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let number = || rest.parse::<i64>().unwrap();
        match word {
            "add" => {
                let sum: i64 = assignment
                    .inputs
                    .iter()
                    .map(|(_, value)| integer(value))
                    .sum();
                Outcome::Finished(stored(sum + number()))
            }
            "sleep" => {
                thread::sleep(Duration::from_millis(number().unsigned_abs()));
                Outcome::Finished(stored(1))
            }
            "lend" => {
                slot.lend();
                thread::sleep(Duration::from_millis(number().unsigned_abs()));
                Outcome::Finished(stored(1))
            }
            "bytes" => Outcome::Finished(blob(number().unsigned_abs() as usize)),
            "length" => {
                let length: usize = assignment
                    .inputs
                    .iter()
                    .map(|(_, value)| value.value.size())
                    .sum();
                Outcome::Finished(stored(i64::try_from(length).unwrap()))
            }
            "log" => {
                slot.stream().log_event(rest, Value::from("hello")).unwrap();
                Outcome::Finished(stored(1))
            }
            "fail" => Outcome::Erred {
                text: rest.to_owned(),
            },
            "panic" => panic!("{rest}"),
            other => Outcome::Erred {
                text: format!("`{other}` is unknown"),
            },
        }
    }

    fn cancel(&self, key: &Key) {
        lock(&self.cancelled).push(key.clone());
    }

    fn order(&self, body: Bytes) -> Bytes {
        body.iter().rev().copied().collect()
    }
}

fn integer(value: &Stored) -> i64 {
    let payloads = value.value.payloads().unwrap();
    match pickle::read(&payloads[0]).unwrap() {
        Object::Integer(number) => number,
        other => panic!("{other:?} is no integer"),
    }
}

fn stored(number: i64) -> Stored {
    let mut writer = pickle::Writer::new();
    writer.integer(number);
    let header = vec![
        ("serializer".into(), "pickle".into()),
        ("writeable".into(), Value::List(Vec::new())),
    ];
    let value = Serialized::new(header, vec![writer.finish().into()]);
    of_type("int", value)
}

fn blob(length: usize) -> Stored {
    let header = vec![
        ("serializer".into(), "dask".into()),
        ("type".into(), "bytes".into()),
        ("type-serialized".into(), class("bytes").into()),
        ("sub-header".into(), Value::map([])),
    ];
    let value = Serialized::new(header, vec![vec![7; length].into()]);
    of_type("bytes", value)
}

fn of_type(name: &str, value: Serialized) -> Stored {
    Stored {
        value,
        type_name: name.into(),
        pickled_type: class(name),
        typed: None,
    }
}

fn class(name: &str) -> Bytes {
    let mut writer = pickle::Writer::new();
    writer.global("builtins", name);
    writer.finish().into()
}
