//! The flows of the tests in which something goes wrong, and, with
//! `FLOW_WORKER` set, their worker. Its tasks are others than those of
//! `dask_flow`, so it is another build.
//!
//! Arguments: a flow's name, a scheduler's address, and what the flow takes. The
//! result is printed as one line of JSON. `FLOW_TEST_TLS` names a directory with
//! certificates.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use flow_tests::programs::{Step, program, restless, steps};
use flowcore::prelude::*;
use flowdask::DaskTaskRunner;
use flowdask::wire::Security;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A row that leaves a file named after itself and its process, and takes a
/// while.
#[task(batch = 1)]
fn leave_trace(row: u64, directory: String, milliseconds: u64) -> Result<u32> {
    let process = std::process::id();
    std::fs::write(Path::new(&directory).join(format!("{row}-{process}")), "")?;
    std::thread::sleep(Duration::from_millis(milliseconds));
    Ok(process)
}

/// How many rows each process has executed.
#[flow]
async fn spread(rows: u64, directory: String, milliseconds: u64) -> Result<BTreeMap<u32, usize>> {
    let milliseconds = unmapped(milliseconds);
    let processes = leave_trace.map(0..rows, unmapped(directory), milliseconds);
    let mut counts = BTreeMap::new();
    for process in processes.await? {
        *counts.entry(process).or_default() += 1;
    }
    Ok(counts)
}

/// A value that no codec takes.
#[derive(Clone, Debug, Deserialize)]
struct Unspeakable;

impl Serialize for Unspeakable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("it has no words"))
    }
}

#[task]
fn keep_silent() -> Unspeakable {
    Unspeakable
}

#[task]
fn give_bytes(length: u64) -> Result<Vec<u8>> {
    Ok(vec![7; usize::try_from(length)?])
}

/// The state of a run whose result cannot travel, and what is said of it.
#[flow]
async fn unspeakable() -> (String, String) {
    end_of(keep_silent.submit()).await
}

/// The same of a run whose result has so many bytes.
#[flow]
async fn voluminous(length: u64) -> (String, String) {
    end_of(give_bytes.submit(length)).await
}

async fn end_of<T: Send + Sync + 'static>(run: TaskFuture<T>) -> (String, String) {
    flowcore::wait([&run], None).await;
    let state = run.state();
    let error = state.error();
    (
        state.name().to_string(),
        error.map_or_else(String::new, chain),
    )
}

fn chain(error: &Error) -> String {
    let first: &(dyn std::error::Error + 'static) = &**error;
    let chain = std::iter::successors(Some(first), |error| error.source());
    let texts: Vec<String> = chain.map(ToString::to_string).collect();
    texts.join(": ")
}

/// Row 1 leaves a trace each time and fails, but that the second time it kills
/// its process, once the flow says so.
#[task(retries = 2, batch = 2)]
fn fail_and_die(row: u64, directory: String) -> Result<u64> {
    if row == 0 {
        return Ok(row);
    }
    let directory = Path::new(&directory);
    let time = std::fs::read_dir(directory)?.count() + 1;
    std::fs::write(directory.join(time.to_string()), "")?;
    if time == 2 {
        while !directory.join("go").exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
        std::fs::remove_file(directory.join("go"))?;
        std::process::abort();
    }
    Err(Error::msg(format!("time {time}")))
}

/// How often a row was executed whose second attempt killed its worker, its
/// attempts, and how it ended.
#[flow]
async fn counted(is_mapped: bool, directory: String) -> Result<(usize, u32, String)> {
    let row = if is_mapped {
        fail_and_die.map(0..2, unmapped(&directory)).get(1)
    } else {
        fail_and_die.submit(1, &directory)
    };
    // Home has heard of the attempt that is to kill the worker.
    while row.state().name() != flowcore::StateName::Retrying {
        if row.state().is_settled() {
            return Err(Error::msg("it has ended too early"));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    std::fs::write(Path::new(&directory).join("go"), "")?;
    flowcore::wait([&row], None).await;
    let times = std::fs::read_dir(&directory)?.count();
    let end = row.state();
    let text = format!("{}: {}", end.name(), end.message().unwrap_or_default());
    Ok((times, row.run_count(), text))
}

#[task(batch = 100)]
fn nothing(x: u64) -> u64 {
    x
}

/// A map whose results are released when it ends.
#[flow]
async fn one_map(rows: u64) -> Result<u64> {
    let rows = nothing.map(0..rows).await?;
    Ok(rows.len() as u64)
}

/// The program that a seed stands for.
fn steps_of(seed: u64, has_cancellations: bool) -> Vec<Step> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let tree = steps(has_cancellations).new_tree(&mut runner);
    tree.expect("nothing is filtered").current()
}

/// How long one program may take, beside several compilers and while workers
/// are killed.
const PATIENCE: Duration = Duration::from_mins(2);

/// Runs the programs of seeds from this one on for a while: how many there were.
async fn soak(first: u64, time: Duration, runner: DaskTaskRunner) -> Result<u64> {
    let start = Instant::now();
    let mut seed = first;
    loop {
        eprintln!("seed {seed}");
        let runner = runner.clone();
        let run = async {
            if seed % 4 == 3 {
                let gives_up = seed % 8 == 7;
                let flow = restless.with_options(|o| o.task_runner(runner));
                match flow(steps_of(seed, true), gives_up).await {
                    Err(_) if gives_up => Ok(()),
                    ended => ended,
                }
            } else {
                let flow = program.with_options(|o| o.task_runner(runner));
                flow(steps_of(seed, false)).await
            }
        };
        let again = format!("run it again with `dask_faults soak ADDRESS {seed} 0`");
        match tokio::time::timeout(PATIENCE, run).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let text = chain(&error);
                return Err(Error::msg(format!("seed {seed} fails; {again}: {text}")));
            }
            Err(_) => return Err(Error::msg(format!("seed {seed} hangs; {again}"))),
        }
        seed += 1;
        if start.elapsed() >= time {
            return Ok(seed - first);
        }
    }
}

async fn run(flow: &str, arguments: &[String], runner: DaskTaskRunner) -> Result<Value> {
    let number = |place: usize| -> Result<u64> {
        let argument = arguments.get(place);
        let argument = argument.ok_or_else(|| Error::msg("an argument is missing"))?;
        Ok(argument.parse()?)
    };
    Ok(match flow {
        "spread" => {
            let directory = arguments.get(1).cloned().unwrap_or_default();
            let flow = spread.with_options(|o| o.task_runner(runner));
            json!(flow(number(0)?, directory, number(2)?).await?)
        }
        "unspeakable" => json!(unspeakable.with_options(|o| o.task_runner(runner))().await?),
        "voluminous" => {
            let flow = voluminous.with_options(|o| o.task_runner(runner));
            json!(flow(number(0)?).await?)
        }
        "counted" => {
            let directory = arguments.get(1).cloned().unwrap_or_default();
            let flow = counted.with_options(|o| o.task_runner(runner));
            json!(flow(number(0)? == 1, directory).await?)
        }
        "repeated" => {
            let (maps, rows) = (number(0)?, number(1)?);
            let mut sum = 0;
            for _ in 0..maps {
                let runner = runner.clone();
                sum += one_map.with_options(|o| o.task_runner(runner))(rows).await?;
            }
            json!(sum)
        }
        "soak" => json!(soak(number(0)?, Duration::from_secs(number(1)?), runner).await?),
        _ => return Err(Error::msg(format!("no flow is called `{flow}`"))),
    })
}

#[flowcore::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [flow, address, arguments @ ..] = &arguments[..] else {
        return Err(Error::msg("usage: dask_faults FLOW ADDRESS ARGUMENT.."));
    };
    let mut runner = DaskTaskRunner::address(address).worker_timeout(Duration::from_secs(5));
    if let Some(directory) = std::env::var_os("FLOW_TEST_TLS") {
        let file = |name: &str| Path::new(&directory).join(name);
        let security = Security::tls_files(file("ca.pem"), file("node.pem"), file("node-key.pem"))?;
        runner = runner.security(security);
    }
    println!("{}", run(flow, arguments, runner).await?);
    Ok(())
}
