//! Ours against a yardstick, in turn.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::child;
use crate::memory::Peak;
use crate::statistics::median;

/// Which of the two a child measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// This project.
    Ours,
    /// What it is compared with.
    Yardstick,
}

/// What one child measured.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Measurement {
    /// How long it took.
    pub seconds: f64,
    /// The peak of memory above what was resident before; missing where the
    /// operating system does not tell.
    pub bytes: Option<u64>,
}

impl Measurement {
    /// Measures some work in this process.
    ///
    /// # Errors
    ///
    /// Those of the work.
    pub fn take<Answer, Error>(
        work: impl FnOnce() -> Result<Answer, Error>,
    ) -> Result<(Answer, Self), Error> {
        let peak = Peak::start();
        let start = Instant::now();
        let answer = work()?;
        let seconds = start.elapsed().as_secs_f64();
        let bytes = peak.bytes_above_start();
        Ok((answer, Self { seconds, bytes }))
    }
}

/// A flow that gave something else was not the flow to measure.
///
/// # Errors
///
/// It did.
pub fn check_sum(sum: i64, expected: i64) -> Result<(), String> {
    if sum == expected {
        return Ok(());
    }
    Err(format!("the sum is {sum} and should be {expected}"))
}

/// The medians of both sides, per task run.
#[derive(Debug, Clone, Copy)]
pub struct Comparison {
    ours: PerRun,
    yardstick: PerRun,
}

#[derive(Debug, Clone, Copy)]
struct PerRun {
    nanoseconds: f64,
    bytes: Option<f64>,
}

impl Comparison {
    /// The heads of the columns that [`cells`](Self::cells) fills.
    pub const COLUMNS: [&str; 6] = [
        "ours, ns/run",
        "tokio, ns/run",
        "ratio",
        "ours, B/run",
        "tokio, B/run",
        "ratio",
    ];

    /// Measures both sides in turn, so that whatever else the machine does
    /// meets both, and each in a child process of its own. `case` describes a
    /// side's measurement to the child.
    ///
    /// # Errors
    ///
    /// If a child fails.
    pub fn measure<Case: Serialize>(
        times: u32,
        task_runs: usize,
        case: impl Fn(Side) -> Case,
    ) -> Result<Self, child::Error> {
        let mut ours = Vec::new();
        let mut yardstick = Vec::new();
        for _ in 0..times {
            ours.push(child::measure(&case(Side::Ours))?);
            yardstick.push(child::measure(&case(Side::Yardstick))?);
        }
        Ok(Self {
            ours: PerRun::new(&ours, task_runs),
            yardstick: PerRun::new(&yardstick, task_runs),
        })
    }

    /// The figures as cells of a table.
    #[must_use]
    pub fn cells(&self) -> [String; 6] {
        let (ours, yardstick) = (self.ours, self.yardstick);
        let ratio = ours
            .bytes
            .zip(yardstick.bytes)
            .map(|(ours, yardstick)| ours / yardstick);
        [
            format!("{:.0}", ours.nanoseconds),
            format!("{:.0}", yardstick.nanoseconds),
            format!("{:.2}", ours.nanoseconds / yardstick.nanoseconds),
            or_unknown(ours.bytes, 0),
            or_unknown(yardstick.bytes, 0),
            or_unknown(ratio, 2),
        ]
    }
}

impl PerRun {
    fn new(measurements: &[Measurement], task_runs: usize) -> Self {
        let seconds: Vec<f64> = measurements.iter().map(|run| run.seconds).collect();
        let bytes: Option<Vec<u64>> = measurements.iter().map(|run| run.bytes).collect();
        let task_runs = task_runs as f64;
        Self {
            nanoseconds: median(&seconds) * 1e9 / task_runs,
            bytes: bytes.map(|bytes| median(&bytes) as f64 / task_runs),
        }
    }
}

fn or_unknown(figure: Option<f64>, decimals: usize) -> String {
    figure.map_or_else(|| "?".to_owned(), |figure| format!("{figure:.decimals$}"))
}
