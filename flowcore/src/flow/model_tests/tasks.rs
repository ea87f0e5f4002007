//! The tasks of the programs, and what they give.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::{run_info, task};

/// What a task's code does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Code {
    Gives,
    /// Attempts up to this one fail.
    FailsUntil(u32),
    Panics,
}

/// What an attempt of a run with these inputs gives; -1 stands for an input
/// that failed and may.
pub(super) fn result(code: Code, attempt: u32, x: i64, y: i64) -> Result<i64, String> {
    match code {
        Code::FailsUntil(last) if attempt <= last => Err(format!("attempt {attempt}")),
        Code::Panics => Err("a panic".to_owned()),
        Code::Gives | Code::FailsUntil(_) => Ok((x * 31 + y * 17 + 5) % 1009),
    }
}

fn run(code: Code, x: i64, y: i64) -> Result<i64, String> {
    let attempt = run_info().map_or(0, |run| run.attempt);
    let result = result(code, attempt, x, y);
    if let (Code::Panics, Err(text)) = (code, &result) {
        panic!("{text}");
    }
    result
}

#[task(local)]
pub(super) fn mix(code: Code, x: i64, y: i64) -> Result<i64, String> {
    run(code, x, y)
}

#[task(cache = INPUTS)]
pub(super) fn mix_once(code: Code, x: i64, y: i64) -> Result<i64, String> {
    run(code, x, y)
}

#[task(local)]
pub(super) fn mix_anyway(code: Code, x: Result<i64>, y: i64) -> Result<i64, String> {
    run(code, x.unwrap_or(-1), y)
}

#[task(local)]
pub(super) fn total(rows: Vec<i64>) -> i64 {
    rows.iter().sum::<i64>() % 1009
}
