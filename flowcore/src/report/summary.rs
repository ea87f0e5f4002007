//! What a finished run's tasks did, as a table.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Table};

use super::record::{FlowRecord, Tally};
use crate::console::printable;
use crate::state::StateName;

/// The tasks of a flow run and of those inside it: how many runs, how they
/// ended, how long they took. Prints as a table.
///
/// ```
/// use flowcore::prelude::*;
///
/// #[task]
/// fn inc(x: i64) -> i64 { x + 1 }
///
/// #[flow]
/// async fn count() -> Result<usize> {
///     Ok(inc.map(0..100).await?.len())
/// }
/// # #[flowcore::main]
/// # async fn main() -> Result<()> {
/// let report = count().report().await;
/// let summary = report.summary();
/// println!("{summary}");
/// assert_eq!(summary.tasks()[0].runs(), 100);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Summary {
    tasks: Vec<TaskSummary>,
}

/// One task's runs.
#[derive(Clone, Debug)]
pub struct TaskSummary {
    name: Arc<str>,
    key: &'static str,
    tally: Tally,
    unsettled: u64,
}

impl Summary {
    pub(super) fn of(flows: &[FlowRecord]) -> Self {
        let mut tasks: Vec<TaskSummary> = Vec::new();
        for node in flows.iter().flat_map(|flow| &flow.nodes) {
            let known = tasks
                .iter()
                .position(|task| task.key == node.task.key && task.name == node.name);
            let place = known.unwrap_or_else(|| {
                tasks.push(TaskSummary {
                    name: Arc::clone(&node.name),
                    key: node.task.key,
                    tally: Tally::default(),
                    unsettled: 0,
                });
                tasks.len() - 1
            });
            tasks[place].tally.merge(&node.tally);
            tasks[place].unsettled += node.unsettled();
        }
        Self { tasks }
    }

    /// The tasks, in the order in which they were first submitted.
    #[must_use]
    pub fn tasks(&self) -> &[TaskSummary] {
        &self.tasks
    }
}

impl TaskSummary {
    /// The task's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The task's key.
    #[must_use]
    pub fn key(&self) -> &'static str {
        self.key
    }

    /// How many runs there were.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.tally.runs() + self.unsettled
    }

    /// How many runs ended in this state.
    #[must_use]
    pub fn count(&self, name: StateName) -> u64 {
        let mut ends = self.tally.ends();
        ends.find(|(known, _)| *known == name)
            .map_or(0, |(_, count)| count)
    }

    /// How many attempts followed a failed one.
    #[must_use]
    pub fn retries(&self) -> u64 {
        self.tally.retries
    }

    /// The mean time from a run's first attempt to its end; `None` if none
    /// ran.
    #[must_use]
    pub fn mean(&self) -> Option<Duration> {
        self.tally.durations.mean()
    }

    /// The time that 95 of 100 runs did not exceed, to 1.6 %.
    #[must_use]
    pub fn p95(&self) -> Option<Duration> {
        self.tally.durations.percentile(95)
    }

    /// The time of all runs together.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.tally.durations.total()
    }

    /// How much of 100 each state has.
    pub(super) fn shares(&self) -> impl Iterator<Item = (StateName, f64)> {
        let runs = self.runs().max(1) as f64;
        self.tally
            .ends()
            .map(move |(name, count)| (name, count as f64 / runs * 100.0))
    }

    /// `97 Completed, 3 Failed`.
    pub(super) fn states(&self) -> String {
        let ends = self.tally.ends();
        let open = (self.unsettled > 0).then_some((StateName::Pending, self.unsettled));
        let parts: Vec<_> = ends
            .chain(open)
            .map(|(name, count)| format!("{} {name}", grouped(count)))
            .collect();
        parts.join(", ")
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_preset(UTF8_FULL_CONDENSED);
        let heads = ["Task", "Runs", "States", "Mean", "p95", "Total", "Retries"];
        table.set_header(heads);
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        for task in &self.tasks {
            table.add_row([
                Cell::new(printable(&task.name)),
                right(grouped(task.runs())),
                Cell::new(task.states()),
                right(task.mean().map_or_else(|| "–".to_owned(), short)),
                right(task.p95().map_or_else(|| "–".to_owned(), short)),
                right(short(task.total())),
                right(grouped(task.retries())),
            ]);
        }
        write!(f, "{table}")
    }
}

/// `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three digits and a unit: `1.23 ms`, `2 h 05 min`.
pub(super) fn short(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let digits = |value: f64, unit: &str| {
        let decimals = if value >= 99.95 {
            0
        } else if value >= 9.995 {
            1
        } else {
            2
        };
        format!("{value:.decimals$} {unit}")
    };
    match duration.as_nanos() {
        0 => "0 s".to_owned(),
        nanoseconds @ 1..1_000 => format!("{nanoseconds} ns"),
        1_000..999_500 => digits(seconds * 1e6, "µs"),
        999_500..999_500_000 => digits(seconds * 1e3, "ms"),
        999_500_000..60_000_000_000 => digits(seconds, "s"),
        _ => {
            let minutes = duration.as_secs() / 60;
            match minutes / 60 {
                0 => format!("{minutes} min {:02} s", duration.as_secs() % 60),
                hours => format!("{hours} h {:02} min", minutes % 60),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        let shown = |nanoseconds| short(Duration::from_nanos(nanoseconds));
        assert_eq!(shown(0), "0 s");
        assert_eq!(shown(999), "999 ns");
        assert_eq!(shown(1_234), "1.23 µs");
        assert_eq!(shown(999_600), "1.00 ms");
        assert_eq!(shown(45_600_000), "45.6 ms");
        assert_eq!(shown(3_210_000_000), "3.21 s");
        assert_eq!(shown(61_000_000_000), "1 min 01 s");
        assert_eq!(shown(7_500_000_000_000), "2 h 05 min");
    }
}
