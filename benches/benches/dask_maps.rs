//! Large maps through a stock Dask scheduler, in batches: how long they take,
//! and what they leave behind.
//!
//! The time goes from the submission to the last row's outcome. What a Python
//! client takes stands beside it, which calls the same function on the same rows
//! with as many tasks of lists, cut by hand: without states, retries and failures of
//! single rows. Memory of repeated maps has no yardstick: many are compared with one.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

use clap::Parser;
use flow_benches::dask::{self, Workers};
use flow_benches::memory;
use flow_benches::statistics::median;
use flow_benches::table::Table;
use flow_tests::dask::{Scheduler, Script};
use flowcore::prelude::*;
use flowdask::DaskTaskRunner;
use tokio::runtime::Runtime;

/// Measures large maps through a stock scheduler.
#[derive(Debug, Parser)]
struct Options {
    /// The number of rows of the map that is timed
    #[arg(long, default_value_t = 1_000_000)]
    rows: u32,

    /// The number of workers on each side
    #[arg(long, default_value_t = 2)]
    workers: usize,

    /// How often each side is timed, in turn; the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    times: u32,

    /// The number of maps after each other whose memory is measured
    #[arg(long, default_value_t = 20)]
    maps: u32,

    /// The number of rows of each of those
    #[arg(long, default_value_t = 100_000)]
    map_rows: u32,

    /// Passed by `cargo bench`; without effect
    #[arg(long, hide = true)]
    bench: bool,
}

#[task]
fn double(x: i64) -> i64 {
    x * 2
}

#[task]
fn sum_all(z: Vec<i64>) -> i64 {
    z.iter().sum()
}

/// How long it takes until all outcomes are known, and until all values are here.
#[flow]
async fn one_map(rows: i64) -> Result<(f64, f64)> {
    let start = Instant::now();
    let doubled = double.map(0..rows);
    flowcore::wait([&doubled], None).await;
    let outcomes = start.elapsed();
    let sum: i64 = doubled.await?.iter().sum();
    assert_eq!(sum, rows * (rows - 1), "what it gives is right");
    Ok((outcomes.as_secs_f64(), start.elapsed().as_secs_f64()))
}

/// Maps after each other, each added up by a worker.
#[flow]
async fn many_maps(maps: u32, rows: i64) -> Result<()> {
    for _ in 0..maps {
        let sum = sum_all.submit(double.map(0..rows)).await?;
        assert_eq!(sum, rows * (rows - 1), "what it gives is right");
        if let Ok(mut measure) = AFTER_EACH.lock() {
            measure.iter_mut().for_each(|measure| measure());
        }
    }
    Ok(())
}

/// What is done after each of many maps; the parameters of a flow are data.
static AFTER_EACH: Mutex<Option<Box<dyn FnMut() + Send>>> = Mutex::new(None);

fn main() -> ExitCode {
    // The workers are this program, too.
    flowcore::init();
    flow_benches::exit_code(compare(&Options::parse()))
}

fn compare(options: &Options) -> Result<(), Box<dyn Error>> {
    let scheduler = Scheduler::start()?;
    let runtime = dask::runtime()?;
    times(options, &runtime, &scheduler)?;
    drop(scheduler);
    memories(options, &runtime, &Scheduler::start()?)
}

/// So many tasks does the runner make of a large map for each thread.
const BATCHES_PER_THREAD: usize = 32;

fn times(
    options: &Options,
    runtime: &Runtime,
    scheduler: &Scheduler,
) -> Result<(), Box<dyn Error>> {
    let (mut outcomes, mut values, mut python) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.times {
        {
            let _workers = Workers::rust(runtime, scheduler, options.workers)?;
            let runner = DaskTaskRunner::address(scheduler.address());
            let flow = one_map.with_options(|o| o.task_runner(runner));
            let taken = runtime.block_on(flow(options.rows.into()).into_future())?;
            outcomes.push(taken.0);
            values.push(taken.1);
        }
        let _workers = Workers::python(runtime, scheduler, options.workers)?;
        let batches = options.workers * BATCHES_PER_THREAD;
        let (seconds, _): (f64, f64) = Script::new(scheduler, "time_of_batches")
            .argument(&options.rows.to_string())
            .argument(&batches.to_string())
            .run()?;
        python.push(seconds);
    }
    let mut table = Table::new(
        "rows",
        ["outcomes, s", "with values, s", "lists by hand, s"],
    );
    let seconds = |times: &[f64]| format!("{:.2}", median(times));
    table.row(
        options.rows,
        [seconds(&outcomes), seconds(&values), seconds(&python)],
    );
    println!(
        "One map on {} workers of one thread, medians of {}.\n\n{table}",
        options.workers, options.times
    );
    Ok(())
}

/// Bytes of memory after one of the maps.
#[derive(Clone, Copy)]
struct Memory {
    flow: Option<u64>,
    scheduler: Option<u64>,
    worker: Option<u64>,
}

fn memories(
    options: &Options,
    runtime: &Runtime,
    scheduler: &Scheduler,
) -> Result<(), Box<dyn Error>> {
    let workers = Workers::rust(runtime, scheduler, options.workers)?;
    let (scheduler_id, own) = (scheduler.id(), std::process::id());
    let (sender, measured) = std::sync::mpsc::channel();
    let measure = move || {
        let memory = Memory {
            flow: memory::resident_bytes(own),
            scheduler: memory::resident_bytes(scheduler_id),
            worker: workers.resident_bytes(),
        };
        // The receiver lives as long as the flow.
        let _ = sender.send(memory);
    };
    *AFTER_EACH.lock()? = Some(Box::new(measure));
    let runner = DaskTaskRunner::address(scheduler.address());
    let flow = many_maps.with_options(|o| o.task_runner(runner));
    let start = Instant::now();
    runtime.block_on(flow(options.maps, options.map_rows.into()).into_future())?;
    let seconds = start.elapsed().as_secs_f64();
    // With it the workers end.
    *AFTER_EACH.lock()? = None;

    let measured: Vec<Memory> = measured.iter().collect();
    let columns = ["scheduler, kB", "a worker, kB", "the flow, kB"];
    let mut table = Table::new("maps", columns);
    let some = measured.iter().enumerate().filter(|(index, _)| {
        let maps = index + 1;
        maps <= 2 || maps % 5 == 0 || maps == measured.len()
    });
    for (index, memory) in some {
        let cell = |bytes: Option<u64>| bytes.map_or("?".to_owned(), kilobytes);
        table.row(
            index + 1,
            [memory.scheduler, memory.worker, memory.flow].map(cell),
        );
    }
    println!(
        "Maps of {} rows after each other in one flow run, {:.2} s each; resident memory after some \
         of them, of the worker that has the most.\n\n{table}",
        options.map_rows,
        seconds / f64::from(options.maps)
    );
    Ok(())
}

fn kilobytes(bytes: u64) -> String {
    (bytes / 1024).to_string()
}
