//! Flows that show what options of tasks mean on Dask, and, with `FLOW_WORKER`
//! set, their worker. Each says what it saw.
//!
//! Arguments: a flow's name, a scheduler's address, and a directory that runs
//! leave traces in. The result is printed as one line of JSON.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flowcore::prelude::*;
use flowcore::{RunInfo, StateName, TaskInfo};
use flowdask::DaskTaskRunner;
use serde_json::{Value, json};

/// Appends a line to a file of the directory.
fn trace(directory: &str, file: &str, line: impl std::fmt::Display) -> Result<()> {
    let path = Path::new(directory).join(file);
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    Ok(file.write_all(format!("{line}\n").as_bytes())?)
}

/// The lines that runs have left there.
fn traces(directory: &str, file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(Path::new(directory).join(file)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[task]
fn traced(x: i64, directory: String) -> Result<i64> {
    trace(&directory, "order", x)?;
    Ok(x)
}

/// Keeps the worker's thread until the file `go` is there.
#[task(tags = ["nightly", "people"], priority = 7)]
fn keeps_busy(directory: String) {
    while !Path::new(&directory).join("go").exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs of several priorities wait for the only thread; the order in which they
/// begin. The file `waiting` says when all are with the scheduler.
#[flow]
async fn priorities(directory: String) -> Result<Vec<String>> {
    let busy = keeps_busy.submit(directory.clone());
    while busy.state().name() != StateName::Running {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let with = |priority: i32| traced.with_options(|o| o.priority(priority));
    let runs = [
        with(0).submit(0, &directory),
        with(-5).submit(-5, &directory),
        with(5).submit(5, &directory),
    ];
    trace(&directory, "waiting", "all are submitted")?;
    for run in runs {
        run.await?;
    }
    busy.await?;
    Ok(traces(&directory, "order"))
}

static HOOKS: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];

fn count_running(_: &TaskInfo, _: &RunInfo, _: &State) {
    HOOKS[0].fetch_add(1, Ordering::Relaxed);
}

fn count_completed(_: &TaskInfo, _: &RunInfo, _: &State) {
    HOOKS[1].fetch_add(1, Ordering::Relaxed);
}

fn count_failed(_: &TaskInfo, _: &RunInfo, _: &State) {
    HOOKS[2].fetch_add(1, Ordering::Relaxed);
}

/// How often each hook was called in this process since it was asked last.
fn hooks() -> [usize; 3] {
    HOOKS
        .each_ref()
        .map(|count| count.swap(0, Ordering::Relaxed))
}

#[task(on_running = count_running, on_completion = count_completed, on_failure = count_failed)]
fn even(x: i64) -> Result<i64> {
    match x % 2 {
        0 => Ok(x),
        _ => Err(Error::msg(format!("{x} is odd"))),
    }
}

/// How often hooks are called at home, for single runs and for rows of batches.
#[flow]
async fn hooked() -> Result<Value> {
    let runs = [even.submit(2), even.submit(3)];
    flowcore::wait(&runs, None).await;
    let single = hooks();
    let rows = even.with_options(|o| o.batch(50)).map(0..200);
    rows.wait(None).await;
    let [_, completed, failed] = hooks();
    Ok(json!([single, completed, failed]))
}

#[task(cache = INPUTS)]
fn expensive(x: i64, directory: String) -> Result<i64> {
    trace(&directory, "executed", x)?;
    Ok(x * 10)
}

/// Single runs and rows of batches whose results are kept in a store that all
/// processes share. Gives the states, and the sum.
#[flow]
async fn cached(directory: String) -> Result<Value> {
    let store = Path::new(&directory).join("store").display().to_string();
    let kept = expensive.with_options(|o| o.result_store(store).batch(10));
    let one = kept.submit(1000, &directory);
    let rows = kept.map(0..40, unmapped(directory.clone()));
    one.wait(None).await;
    rows.wait(None).await;
    let names: Vec<String> = std::iter::once(one.state().name())
        .chain(rows.states())
        .map(|name| name.to_string())
        .collect();
    let states: BTreeSet<String> = names.into_iter().collect();
    let sum = one.await? + rows.await?.iter().sum::<i64>();
    Ok(json!([states, sum]))
}

/// Fails if another run is here at the same time.
#[task(tags = ["alone"])]
fn alone(directory: String) -> Result<u32> {
    alone_in(&directory, "tagged")
}

#[task]
async fn alone_in_part(directory: String) -> Result<u32> {
    let _slot = flowcore::concurrency("part", 1).await?;
    alone_in(&directory, "part")
}

fn alone_in(directory: &str, name: &str) -> Result<u32> {
    let path = PathBuf::from(directory).join(name);
    let file = OpenOptions::new().create_new(true).write(true).open(&path);
    file.map_err(|error| Error::msg(format!("somebody else is here: {error}")))?;
    std::thread::sleep(Duration::from_millis(20));
    std::fs::remove_file(&path)?;
    Ok(std::process::id())
}

/// Limits of this process hold for runs on all workers: those of a tag, and
/// those that code asks for. Gives on how many workers runs were.
#[flow]
async fn limited(directory: String) -> Result<(usize, usize)> {
    flowcore::limits().set("tag:alone", 1);
    flowcore::limits().set("part", 1);
    let directories = vec![directory; 12];
    let tagged = alone.map(&directories);
    let part = alone_in_part.map(&directories);
    let tagged: BTreeSet<u32> = tagged.await?.into_iter().collect();
    let part: BTreeSet<u32> = part.await?.into_iter().collect();
    Ok((tagged.len(), part.len()))
}

/// Too slow unless the file is there, and makes it. Its second attempt is in
/// time.
#[task(timeout = "200ms", retries = 1)]
async fn slow_at_first(directory: String) -> Result<i64> {
    let path = Path::new(&directory).join("tried");
    if !path.exists() {
        std::fs::write(path, "")?;
        std::future::pending::<()>().await;
    }
    Ok(5)
}

#[task(timeout = "50ms")]
fn slow_sync(x: i64) -> i64 {
    let is_slow = x == 1;
    std::thread::sleep(Duration::from_millis(if is_slow { 300 } else { 0 }));
    x
}

/// Timeouts of sync and async runs, of rows in batches, and with retries.
#[flow]
async fn timed(directory: String) -> Result<Value> {
    let again = slow_at_first.submit(&directory);
    let sync = slow_sync.submit(1);
    let rows = slow_sync.with_options(|o| o.batch(3)).map(0..3);
    flowcore::wait([&sync], None).await;
    rows.wait(None).await;
    let rows: Vec<String> = rows.states().iter().map(ToString::to_string).collect();
    let sync = sync.state().name().to_string();
    Ok(json!([again.await?, sync, rows]))
}

#[task]
fn odd(x: i64) -> Result<i64> {
    even.func(x)
        .map_or(Ok(x), |x| Err(Error::msg(format!("{x} is even"))))
}

/// Order without data: after one that takes a while, and after a failure, which
/// holds its followers back unless they allow it.
#[flow]
async fn ordered(directory: String) -> Result<Value> {
    let first = keeps_busy.submit(&directory);
    let second = traced.after(&first).submit(2, &directory);
    trace(&directory, "go", "")?;
    second.await?;
    let is_first = first.state().name().to_string();
    let failed = odd.submit(2);
    let held_back = traced.after(&failed).submit(3, &directory);
    let allowed = traced.after(allow_failure(&failed)).submit(4, &directory);
    held_back.wait(None).await;
    let held_back = held_back.state().name().to_string();
    Ok(json!([
        is_first,
        held_back,
        allowed.await?,
        traces(&directory, "order")
    ]))
}

/// How many runs are at one place at once, and the most that ever were. Each
/// process has its own.
struct Place {
    here: AtomicUsize,
    most: AtomicUsize,
}

impl Place {
    const fn new() -> Self {
        Self {
            here: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        }
    }

    fn come(&self) {
        let here = self.here.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(here, Ordering::Relaxed);
    }

    fn go(&self) -> usize {
        self.here.fetch_sub(1, Ordering::Relaxed);
        self.most()
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }
}

static PLACES: [Place; 4] = [const { Place::new() }; 4];

/// Stays until so many were here at once, though not for ever.
#[task]
async fn meets(_row: usize, place: usize, wanted: usize) -> usize {
    let place = &PLACES[place];
    place.come();
    for _ in 0..3000 {
        if place.most() >= wanted {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Who comes too much is here as well.
    tokio::time::sleep(Duration::from_millis(20)).await;
    place.go()
}

#[task(batch = 1)]
fn meets_in_sync_code(_row: usize) -> usize {
    let place = &PLACES[2];
    place.come();
    std::thread::sleep(Duration::from_millis(10));
    place.go()
}

/// How many async rows of one batch, async single runs and sync runs a worker
/// has at once, if so many async ones wait for each other.
#[flow]
async fn interleaved(wanted: usize) -> Result<Vec<usize>> {
    let batch = meets.with_options(|o| o.batch(20));
    let single = meets.with_options(|o| o.batch(1));
    let batch = batch.map(0..20, unmapped(0), unmapped(wanted)).await?;
    let single = single.map(0..20, unmapped(1), unmapped(wanted)).await?;
    let sync = meets_in_sync_code.map(0..6).await?;
    let most = [batch, single, sync].map(|most| most.into_iter().max().unwrap_or_default());
    Ok(most.to_vec())
}

#[task(resources = [GPU = 1])]
fn computes(_row: usize) -> (u32, usize) {
    PLACES[3].come();
    std::thread::sleep(Duration::from_millis(10));
    (std::process::id(), PLACES[3].go())
}

/// On how many workers runs are that need what only one has, and how many at
/// once.
#[flow]
async fn resourced() -> Result<(usize, usize)> {
    let seen = computes.map(0..10).await?;
    let processes: BTreeSet<u32> = seen.iter().map(|(id, _)| *id).collect();
    let most = seen.into_iter().map(|(_, most)| most).max();
    Ok((processes.len(), most.unwrap_or_default()))
}

#[task]
fn process() -> u32 {
    std::process::id()
}

#[task(local)]
fn home_process(_row: u32) -> u32 {
    std::process::id()
}

/// In which processes its runs were: the flow's, and the task's.
#[flow]
async fn child() -> Result<(u32, u32)> {
    Ok((std::process::id(), process.submit().await?))
}

/// A task that calls a flow where it runs.
#[task]
async fn calls_a_flow() -> Result<(u32, u32)> {
    child().await
}

/// Subflows stay in the process of who calls them: with a task runner of their
/// own, with the default one, and from a task on a worker. Local tasks stay at
/// home, also rows of theirs.
#[flow]
async fn nested(address: String) -> Result<Value> {
    let own = std::process::id();
    let on_dask = child.with_options(|o| o.task_runner(DaskTaskRunner::address(address)));
    let (there, its_task) = on_dask().await?;
    let plain = child().await?;
    let (from_task, its_task_too) = calls_a_flow.submit().await?;
    let rows = home_process.map(0..200).await?;
    Ok(json!([
        there == own,
        its_task == own,
        plain == (own, own),
        from_task == own,
        its_task_too == from_task,
        rows.iter().all(|row| *row == own),
    ]))
}

#[task(on_running = count_running, on_completion = count_completed)]
fn made(directory: String) -> Result<u32> {
    let own = std::process::id();
    trace(&directory, "made", own)?;
    Ok(own)
}

#[task]
fn read(made_by: u32) -> u32 {
    made_by
}

/// A run completes, its worker dies, and another run reads its result. Gives how
/// often it was executed, and how often its hooks were called.
#[flow]
async fn repeated(directory: String) -> Result<Value> {
    let once = made.submit(&directory);
    once.wait(None).await;
    trace(&directory, "completed", "")?;
    while !Path::new(&directory).join("killed").exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let is_another = read.submit(&once).await?;
    let lines = traces(&directory, "made");
    let [running, completed, _] = hooks();
    let state = once.state().name().to_string();
    Ok(json!([
        lines.len(),
        lines.last() == Some(&is_another.to_string()),
        state,
        running,
        completed,
    ]))
}

#[task(batch = 10)]
fn told(x: Result<i64>) -> String {
    x.map_or_else(|_| "bad".to_owned(), |x| x.to_string())
}

/// Batches whose only copy comes to lie with a Python worker: read at home, and
/// by rows of other batches.
#[flow]
async fn moved(directory: String) -> Result<Value> {
    let rows = even.with_options(|o| o.batch(10)).map(0..20);
    rows.wait(None).await;
    trace(&directory, "completed", "")?;
    while !Path::new(&directory).join("moved").exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let texts = told.map(allow_failure(&rows)).await?;
    let failure = rows.get(3).await.unwrap_err().to_string();
    Ok(json!([
        texts,
        rows.get(4).await?,
        failure.contains("3 is odd")
    ]))
}

#[flowcore::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [flow, address, directory] = &arguments[..] else {
        return Err(Error::msg("usage: dask_semantics FLOW ADDRESS DIRECTORY"));
    };
    let runner = DaskTaskRunner::address(address).worker_timeout(Duration::from_secs(20));
    let directory = directory.clone();
    let seen = match flow.as_str() {
        "priorities" => json!(priorities.with_options(|o| o.task_runner(runner))(directory).await?),
        "hooked" => hooked.with_options(|o| o.task_runner(runner))().await?,
        "cached" => cached.with_options(|o| o.task_runner(runner))(directory).await?,
        "interleaved" => {
            let wanted = directory.rsplit('-').next().unwrap_or_default().parse()?;
            json!(interleaved.with_options(|o| o.task_runner(runner))(wanted).await?)
        }
        "limited" => json!(limited.with_options(|o| o.task_runner(runner))(directory).await?),
        "timed" => timed.with_options(|o| o.task_runner(runner))(directory).await?,
        "ordered" => ordered.with_options(|o| o.task_runner(runner))(directory).await?,
        "resourced" => json!(resourced.with_options(|o| o.task_runner(runner))().await?),
        "moved" => moved.with_options(|o| o.task_runner(runner))(directory).await?,
        "nested" => nested.with_options(|o| o.task_runner(runner))(address.clone()).await?,
        "repeated" => repeated.with_options(|o| o.task_runner(runner))(directory).await?,
        _ => return Err(Error::msg(format!("no flow is called `{flow}`"))),
    };
    println!("{seen}");
    Ok(())
}
