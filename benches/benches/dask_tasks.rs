//! Tasks that do nothing, through a stock Dask scheduler: what a run costs
//! there, beside a Python client with Python workers on the same scheduler.
//!
//! From the first submission to the last outcome, all results kept, the states
//! of each run delivered home; each worker is a process with one thread. Beside
//! the time on the clock it is counted what each process worked.

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use flow_benches::dask::{self, Workers};
use flow_benches::processor;
use flow_benches::statistics::median;
use flow_benches::table::Table;
use flow_tests::dask::{Scheduler, Script};
use flowcore::prelude::*;
use flowdask::DaskTaskRunner;
use tokio::runtime::Runtime;

/// Measures tasks per second through a stock scheduler.
#[derive(Debug, Parser)]
struct Options {
    /// The number of tasks
    #[arg(long, default_value_t = 10_000)]
    tasks: u32,

    /// The number of workers on each side
    #[arg(long, default_value_t = 2)]
    workers: usize,

    /// How often each side is measured, in turn; the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    times: u32,

    /// Passed by `cargo bench`; without effect
    #[arg(long, hide = true)]
    bench: bool,
}

#[task(batch = 1)]
fn nothing(x: u32) -> u32 {
    x
}

/// All outcomes, not the values. How long it took: on the clock, and of this
/// process's processor time.
#[flow]
async fn outcomes(tasks: u32) -> Result<(f64, f64)> {
    let (start, worked) = (Instant::now(), processor::seconds());
    let rows = nothing.map(0..tasks);
    flowcore::wait([&rows], None).await;
    let worked = processor::seconds().zip(worked);
    let worked = worked.map_or(f64::NAN, |(after, before)| after - before);
    Ok((start.elapsed().as_secs_f64(), worked))
}

fn main() -> ExitCode {
    // The workers are this program, too.
    flowcore::init();
    flow_benches::exit_code(compare(&Options::parse()))
}

/// What one side took, in seconds: on the clock, and of processor time.
#[derive(Clone, Copy)]
struct Taken {
    clock: f64,
    client: f64,
    scheduler: f64,
    workers: f64,
}

impl Taken {
    /// Measures one side; the work gives the clock's and the client's part.
    fn by(
        scheduler: &Scheduler,
        workers: &Workers,
        work: impl FnOnce() -> Result<(f64, f64), Box<dyn Error>>,
    ) -> Result<Self, Box<dyn Error>> {
        let worked = || {
            let scheduler = processor::seconds_of(scheduler.id());
            let all = scheduler.zip(workers.seconds());
            all.unwrap_or((f64::NAN, f64::NAN))
        };
        let before = worked();
        let (clock, client) = work()?;
        let after = worked();
        Ok(Self {
            clock,
            client,
            scheduler: after.0 - before.0,
            workers: after.1 - before.1,
        })
    }
}

fn compare(options: &Options) -> Result<(), Box<dyn Error>> {
    let scheduler = Scheduler::start()?;
    let runtime = dask::runtime()?;
    let (mut ours, mut python) = (Vec::new(), Vec::new());
    for _ in 0..options.times {
        ours.push(our_side(options, &runtime, &scheduler)?);
        python.push(python_side(options, &runtime, &scheduler)?);
    }

    let tasks = f64::from(options.tasks);
    let median_of = |side: &[Taken], part: fn(&Taken) -> f64| {
        let parts: Vec<f64> = side.iter().map(part).collect();
        median(&parts)
    };
    let mut table = Table::new("", ["ours", "Python", "ratio"]);
    let clock = |side| median_of(side, |taken| taken.clock);
    let (fast, slow) = (tasks / clock(&ours), tasks / clock(&python));
    let ratio = format!("{:.1}", fast / slow);
    table.row(
        "tasks per second",
        [format!("{fast:.0}"), format!("{slow:.0}"), ratio],
    );
    let mut part = |what, part: fn(&Taken) -> f64| {
        let each = |side| median_of(side, part) * 1e6 / tasks;
        let (ours, python) = (each(&ours), each(&python));
        let ratio = format!("{:.1}", python / ours);
        table.row(
            format!("processor time of {what}, µs per task"),
            [format!("{ours:.0}"), format!("{python:.0}"), ratio],
        );
    };
    part("the client", |taken| taken.client);
    part("the scheduler", |taken| taken.scheduler);
    part("the workers", |taken| taken.workers);
    part("all", |taken| {
        taken.client + taken.scheduler + taken.workers
    });
    println!(
        "{} tasks, {} workers of one thread, medians of {}.\n\n{table}",
        options.tasks, options.workers, options.times
    );
    Ok(())
}

fn our_side(
    options: &Options,
    runtime: &Runtime,
    scheduler: &Scheduler,
) -> Result<Taken, Box<dyn Error>> {
    let workers = Workers::rust(runtime, scheduler, options.workers)?;
    let runner = DaskTaskRunner::address(scheduler.address());
    let flow = outcomes.with_options(|o| o.task_runner(runner));
    Taken::by(scheduler, &workers, || {
        Ok(runtime.block_on(flow(options.tasks).into_future())?)
    })
}

fn python_side(
    options: &Options,
    runtime: &Runtime,
    scheduler: &Scheduler,
) -> Result<Taken, Box<dyn Error>> {
    let workers = Workers::python(runtime, scheduler, options.workers)?;
    let script = Script::new(scheduler, "time_of_nothing").argument(&options.tasks.to_string());
    Taken::by(scheduler, &workers, || Ok(script.run()?))
}
