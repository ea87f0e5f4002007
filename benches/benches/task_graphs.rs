//! Single tasks with dependencies, beside the same graphs written by hand.
//!
//! Chains, a tree and diamonds, about as many tasks in each.

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use flow_benches::child;
use flow_benches::table::Table;
use flow_benches::versus::{Comparison, Measurement, Side, check_sum};
use flow_benches::yardsticks::{self, task_graphs as yardstick};
use serde::{Deserialize, Serialize};

/// Measures graphs of single tasks beside the same graphs written by hand with tokio.
#[derive(Debug, Parser)]
struct Options {
    /// The numbers of tasks to measure, of each shape
    #[arg(long, value_delimiter = ',', default_value = "100000")]
    tasks: Vec<usize>,

    /// The shapes to measure
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "chains,tree,diamonds",
        value_enum
    )]
    shapes: Vec<Shape>,

    /// How often each graph is measured; the median counts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    times: u32,

    /// Passed by `cargo bench`; without effect
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, ValueEnum)]
enum Shape {
    /// Chains of ten tasks
    Chains,
    /// One tree of pairs
    Tree,
    /// Diamonds of four tasks
    Diamonds,
}

/// The tasks of one chain.
const CHAIN: usize = 10;

/// One measurement, made in a child process.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Case {
    side: Side,
    shape: Shape,
    tasks: usize,
}

/// Enough tasks for a first graph that starts the threads, and so few that what
/// it leaves behind is nothing beside the figures.
const WARM_UP_TASKS: usize = 100;

fn main() -> ExitCode {
    child::main(answer, || compare(&Options::parse()))
}

fn compare(options: &Options) -> Result<(), Box<dyn Error>> {
    let mut table = Table::new("graph", Comparison::COLUMNS);
    for &tasks in &options.tasks {
        for &shape in &options.shapes {
            let figures = Comparison::measure(options.times, shape.task_runs(tasks), |side| {
                Case { side, shape, tasks }
            })?;
            let what = format!("{} {}", shape.task_runs(tasks), shape.name());
            table.row(what, figures.cells());
        }
    }
    println!(
        "Graphs of single tasks: time and peak memory per task run, medians of {}, two workers.\n\n\
         {table}",
        options.times
    );
    Ok(())
}

/// The child's part.
fn answer(case: Case) -> Result<(), Box<dyn Error>> {
    let measurement = match case.side {
        Side::Ours => {
            let runtime = tokio::runtime::Builder::new_current_thread().build()?;
            time(case, |shape, size| {
                Ok(runtime.block_on(async {
                    match shape {
                        Shape::Chains => ours::chains(size, CHAIN).await,
                        Shape::Tree => ours::tree(size).await,
                        Shape::Diamonds => ours::diamonds(size).await,
                    }
                })?)
            })
        }
        Side::Yardstick => {
            let runtime = yardsticks::runtime()?;
            time(case, |shape, size| {
                Ok(runtime.block_on(async {
                    match shape {
                        Shape::Chains => yardstick::chains(size, CHAIN).await,
                        Shape::Tree => yardstick::tree(size).await,
                        Shape::Diamonds => yardstick::diamonds(size).await,
                    }
                })?)
            })
        }
    }?;
    Ok(child::answer(&measurement)?)
}

fn time(
    case: Case,
    flow: impl Fn(Shape, usize) -> Result<i64, Box<dyn Error>>,
) -> Result<Measurement, Box<dyn Error>> {
    let Case { shape, tasks, .. } = case;
    flow(shape, shape.size(WARM_UP_TASKS))?;
    let size = shape.size(tasks);
    let (sum, measurement) = Measurement::take(|| flow(shape, size))?;
    check_sum(sum, shape.expected(size)?)?;
    Ok(measurement)
}

impl Shape {
    fn name(self) -> &'static str {
        match self {
            Self::Chains => "in chains of ten",
            Self::Tree => "in a tree",
            Self::Diamonds => "in diamonds",
        }
    }

    /// How many chains, leaves or diamonds make about so many tasks.
    fn size(self, tasks: usize) -> usize {
        match self {
            Self::Chains => tasks / CHAIN,
            Self::Tree => tasks.div_ceil(2),
            Self::Diamonds => tasks / 4,
        }
    }

    /// How many tasks run.
    fn task_runs(self, tasks: usize) -> usize {
        match self {
            Self::Chains => self.size(tasks) * CHAIN,
            Self::Tree => 2 * self.size(tasks) - 1,
            Self::Diamonds => self.size(tasks) * 4,
        }
    }

    /// What a graph of this size gives.
    fn expected(self, size: usize) -> Result<i64, Box<dyn Error>> {
        let numbers = 0..i64::try_from(size)?;
        let chain = i64::try_from(CHAIN)?;
        Ok(match self {
            Self::Chains => numbers.map(|number| number + chain).sum(),
            Self::Tree => numbers.map(|number| number + 1).sum(),
            Self::Diamonds => numbers.map(|number| 3 * (number + 1) + 1).sum(),
        })
    }
}

mod ours {
    //! As a user writes them: every task is submitted, futures are arguments.

    use flowcore::prelude::*;

    #[task]
    fn inc(x: i64) -> i64 {
        x + 1
    }

    #[task]
    fn double(x: i64) -> i64 {
        x * 2
    }

    #[task]
    fn add(x: i64, y: i64) -> i64 {
        x + y
    }

    #[flow]
    pub(super) async fn chains(count: usize, length: usize) -> Result<i64> {
        let ends: Vec<_> = (0..)
            .take(count)
            .map(|number| (1..length).fold(inc.submit(number), |before, _| inc.submit(before)))
            .collect();
        sum(ends).await
    }

    #[flow]
    pub(super) async fn tree(leaves: usize) -> Result<i64> {
        let mut level: Vec<_> = (0..)
            .take(leaves)
            .map(|number| inc.submit(number))
            .collect();
        while level.len() > 1 {
            let mut above = Vec::with_capacity(level.len().div_ceil(2));
            let mut below = level.into_iter();
            while let Some(x) = below.next() {
                above.push(match below.next() {
                    Some(y) => add.submit(x, y),
                    None => x,
                });
            }
            level = above;
        }
        sum(level).await
    }

    #[flow]
    pub(super) async fn diamonds(count: usize) -> Result<i64> {
        let ends: Vec<_> = (0..)
            .take(count)
            .map(|number| {
                let top = inc.submit(number);
                let left = inc.submit(&top);
                let right = double.submit(top);
                add.submit(left, right)
            })
            .collect();
        sum(ends).await
    }

    async fn sum(futures: Vec<TaskFuture<i64>>) -> Result<i64> {
        let mut sum = 0;
        for future in futures {
            sum += future.await?;
        }
        Ok(sum)
    }
}
