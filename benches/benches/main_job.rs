//! The main job, beside Python Dask: generate and persist, group by, describe.
//!
//! Ours runs in a child process, so that its peak of memory is its own; Dask
//! runs once with its threaded scheduler and once on a `LocalCluster`, in a
//! virtual environment under the target directory. The faster of the two is
//! what ours is compared with.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use flow_benches::child;
use flow_benches::memory;
use flow_benches::processor;
use flow_benches::statistics::median;
use flow_benches::table::Table;
use flow_tests::python::Environment;
use flowdask::dataframe::{self, datasets, max, sum};
use serde::{Deserialize, Serialize};

/// Measures the main job beside Python Dask.
#[derive(Debug, Parser)]
struct Options {
    #[command(flatten)]
    job: Job,

    /// How often each side runs; the median of each step counts
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    times: u32,

    /// Passed by `cargo bench`; without effect
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is generated; described to the child as it is here.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
struct Job {
    /// Where the timeseries starts
    #[arg(long, default_value = "2000")]
    start: String,

    /// Where it ends
    #[arg(long, default_value = "2005")]
    end: String,

    /// How much time one partition holds
    #[arg(long, default_value = "2w")]
    partition_freq: String,
}

/// What one side answers. Python Dask gives the same.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Outcome {
    seconds: Steps,
    /// How long the processors worked; missing where the operating system does
    /// not tell.
    processor_seconds: Option<Steps>,
    rows: u64,
    partitions: u64,
    groups: u64,
    columns: Vec<String>,
    /// What the persisted frame holds.
    frame_bytes: u64,
    /// After persist and group-by; missing where the operating system does not
    /// tell.
    peak_bytes: Option<u64>,
    peak_bytes_with_describe: Option<u64>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Steps {
    persist: f64,
    group_by: f64,
    describe: f64,
}

/// What both sides must have generated, all of it in memory.
const COLUMNS: [&str; 5] = ["timestamp", "name", "id", "x", "y"];

/// As many workers on both sides as ours takes by default.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// A full-size job takes Dask about a minute; slower machines get time.
const DASK_LIMIT: Duration = Duration::from_mins(30);

fn main() -> ExitCode {
    child::main(|job| answer(&job), || compare(&Options::parse()))
}

fn compare(options: &Options) -> Result<(), Box<dyn Error>> {
    let environment = Environment::dask()?;
    let (mut ours, mut threads, mut cluster) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.times {
        ours.push(child::measure(&options.job)?);
        threads.push(dask(&environment, "threads", &options.job)?);
        cluster.push(dask(&environment, "cluster", &options.job)?);
    }
    check_alike(ours.iter().chain(&threads).chain(&cluster))?;
    print(options, &[ours, threads, cluster]);
    Ok(())
}

fn dask(environment: &Environment, engine: &str, job: &Job) -> Result<Outcome, Box<dyn Error>> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/main_job.py");
    let outcome = environment
        .program(program)
        .argument(engine)
        .argument(&job.start)
        .argument(&job.end)
        .argument(&job.partition_freq)
        .argument(workers().to_string())
        .limit(DASK_LIMIT)
        .run_json()?;
    Ok(outcome)
}

/// Figures of different work would compare nothing.
fn check_alike<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> Result<(), Box<dyn Error>> {
    let mut sizes = Vec::new();
    for outcome in outcomes {
        if outcome.columns != COLUMNS {
            return Err(format!("{:?} were generated and not {COLUMNS:?}", outcome.columns).into());
        }
        sizes.push((outcome.rows, outcome.partitions, outcome.groups));
    }
    sizes.dedup();
    match sizes.len() {
        1 => Ok(()),
        _ => Err(format!("rows, partitions and groups differ: {sizes:?}").into()),
    }
}

fn print(options: &Options, sides: &[Vec<Outcome>; 3]) {
    let first = &sides[0][0];
    let threads = "Dask, threads".to_owned();
    let cluster = format!("Dask, cluster of {}", workers());
    let mut table = Table::new("", ["ours", &threads, &cluster, "ratio"]);
    for (step, seconds) in STEPS {
        table.row(
            step,
            cells(sides, |outcome| Some(seconds(&outcome.seconds)), "s"),
        );
    }
    for (step, seconds) in STEPS {
        let processors = |outcome: &Outcome| outcome.processor_seconds.as_ref().map(seconds);
        table.row(
            format!("processor time, {}", step.replace('*', "")),
            cells(sides, processors, "s"),
        );
    }
    for (what, bytes) in MEMORY {
        let gigabytes = |outcome: &Outcome| bytes(outcome).map(|bytes| bytes as f64 / 1e9);
        table.row(what, cells(sides, gigabytes, "GB"));
    }
    println!(
        "Main job: {} rows in {} partitions, {} threads, medians of {}.\n\
         The ratio is the better of Dask's two figures divided by ours.\n\n{table}",
        first.rows,
        first.partitions,
        workers(),
        options.times
    );
}

/// The medians of a figure, and the better one of Dask's two divided by ours.
fn cells(
    sides: &[Vec<Outcome>; 3],
    figure: impl Fn(&Outcome) -> Option<f64>,
    unit: &str,
) -> [String; 4] {
    let [ours, threads, cluster] = sides.each_ref().map(|outcomes| {
        let figures: Option<Vec<f64>> = outcomes.iter().map(&figure).collect();
        figures.map(|figures| median(&figures))
    });
    let better = threads
        .zip(cluster)
        .map(|(threads, cluster)| threads.min(cluster));
    let ratio = better.zip(ours).map(|(better, ours)| better / ours);
    let [ours, threads, cluster] = [ours, threads, cluster]
        .map(|figure| figure.map_or_else(unknown, |figure| format!("{figure:.2} {unit}")));
    let ratio = ratio.map_or_else(unknown, |ratio| format!("{ratio:.1}"));
    [ours, threads, cluster, ratio]
}

type Seconds = fn(&Steps) -> f64;

const STEPS: [(&str, Seconds); 4] = [
    ("persist", |steps| steps.persist),
    ("group-by", |steps| steps.group_by),
    ("**main job: both**", |steps| steps.persist + steps.group_by),
    ("**describe**", |steps| steps.describe),
];

type Bytes = fn(&Outcome) -> Option<u64>;

const MEMORY: [(&str, Bytes); 3] = [
    ("the persisted frame", |outcome| Some(outcome.frame_bytes)),
    ("peak memory, main job", |outcome| outcome.peak_bytes),
    ("peak memory, with describe", |outcome| {
        outcome.peak_bytes_with_describe
    }),
];

fn unknown() -> String {
    "?".to_owned()
}

/// The child's part: the same steps as `python/main_job.py`.
fn answer(job: &Job) -> Result<(), Box<dyn Error>> {
    // Threads and caches that the first computation would pay for.
    main_job(&Job {
        start: "2000-01-01".to_owned(),
        end: "2000-01-15".to_owned(),
        partition_freq: "1w".to_owned(),
    })?;
    Ok(child::answer(&main_job(job)?)?)
}

fn main_job(job: &Job) -> Result<Outcome, Box<dyn Error>> {
    let (frame, persist) = timed(|| {
        datasets::timeseries(&job.start, &job.end)
            .partition_freq(&job.partition_freq)
            .build()?
            .persist_blocking()
    })?;
    let (summary, group_by) = timed(|| {
        frame
            .groupby(["name"])
            .agg([sum("x"), max("y")])?
            .compute_blocking()
    })?;
    let peak_bytes = memory::peak_bytes();
    let (_, describe) = timed(|| frame.describe()?.compute_blocking())?;

    let steps = |of: fn(&Times) -> Option<f64>| {
        Some(Steps {
            persist: of(&persist)?,
            group_by: of(&group_by)?,
            describe: of(&describe)?,
        })
    };
    Ok(Outcome {
        seconds: steps(|times| Some(times.seconds)).ok_or("a clock is missing")?,
        processor_seconds: steps(|times| times.processor_seconds),
        rows: frame.len_blocking()?,
        partitions: frame.npartitions() as u64,
        groups: summary.num_rows() as u64,
        columns: frame.columns(),
        frame_bytes: frame.memory_usage().ok_or("the frame is not in memory")?,
        peak_bytes,
        peak_bytes_with_describe: memory::peak_bytes(),
    })
}

/// How long one step took.
struct Times {
    seconds: f64,
    processor_seconds: Option<f64>,
}

fn timed<Answer>(
    work: impl FnOnce() -> dataframe::Result<Answer>,
) -> dataframe::Result<(Answer, Times)> {
    let worked = processor::seconds();
    let start = Instant::now();
    let answer = work()?;
    let seconds = start.elapsed().as_secs_f64();
    let processor_seconds = processor::seconds()
        .zip(worked)
        .map(|(after, before)| after - before);
    let times = Times {
        seconds,
        processor_seconds,
    };
    Ok((answer, times))
}
