//! Tasks that do nothing, through a stock Dask scheduler: what a run costs
//! there, beside a Python client with Python workers on the same scheduler.
//!
//! From the first submission to the last outcome, all results kept; each
//! worker is a process with one thread.

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use flow_benches::statistics::median;
use flow_benches::table::Table;
use flow_tests::dask::{PythonWorker, RustWorker, Scheduler, Script};
use flowcore::prelude::*;
use flowdask::{Client, DaskTaskRunner};

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

/// All outcomes, not the values.
#[flow]
async fn outcomes(tasks: u32) -> Result<f64> {
    let start = Instant::now();
    let rows = nothing.map(0..tasks);
    flowcore::wait([&rows], None).await;
    Ok(start.elapsed().as_secs_f64())
}

fn main() -> ExitCode {
    // The workers are this program, too.
    flowcore::init();
    match compare(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(options: &Options) -> Result<(), Box<dyn Error>> {
    let scheduler = Scheduler::start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let program = std::env::current_exe()?;
    let (mut ours, mut python) = (Vec::new(), Vec::new());
    for round in 0..options.times {
        let names = |side: &str| -> Vec<String> {
            (0..options.workers)
                .map(|worker| format!("{side}-{round}-{worker}"))
                .collect()
        };
        {
            let _workers: Vec<RustWorker> = names("rust")
                .iter()
                .map(|name| RustWorker::start(&program, scheduler.address(), name))
                .collect::<Result<_, _>>()?;
            runtime.block_on(workers_are_there(&scheduler, options.workers))?;
            let runner = DaskTaskRunner::address(scheduler.address());
            let flow = outcomes.with_options(|o| o.task_runner(runner));
            let seconds = runtime.block_on(flow(options.tasks).into_future())?;
            ours.push(f64::from(options.tasks) / seconds);
        }
        let _workers: Vec<PythonWorker> = names("python")
            .iter()
            .map(|name| PythonWorker::start(&scheduler, name))
            .collect::<Result<_, _>>()?;
        let seconds: f64 = Script::new(&scheduler, "time_of_nothing")
            .argument(&options.tasks.to_string())
            .run()?;
        python.push(f64::from(options.tasks) / seconds);
    }
    let (ours, python) = (median(&ours), median(&python));
    let mut table = Table::new("tasks", ["ours, tasks/s", "Python, tasks/s", "ratio"]);
    table.row(
        options.tasks,
        [
            format!("{ours:.0}"),
            format!("{python:.0}"),
            format!("{:.1}", ours / python),
        ],
    );
    println!(
        "{} workers of one thread, medians of {}.\n\n{table}",
        options.workers, options.times
    );
    Ok(())
}

async fn workers_are_there(scheduler: &Scheduler, count: usize) -> Result<(), Box<dyn Error>> {
    let client = Client::connect(scheduler.address()).await?;
    while client.ncores().await?.len() < count {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    client.close().await;
    Ok(())
}
