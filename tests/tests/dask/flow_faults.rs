//! Flows on clusters in which something goes wrong: the result is right all the
//! same, or an error says what to do.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use flow_tests::dask::{PythonWorker, RustWorker, Scheduler, Tls};
use serde_json::json;

use crate::flows::{Cluster, Flow};
use crate::support::{call, wait_until};

/// The flows of these tests, and their workers.
pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_dask_faults"))
}

pub(crate) fn worker(scheduler: &Scheduler, name: &str) -> RustWorker {
    RustWorker::start(program(), scheduler.address(), name).expect("a worker")
}

/// A flow of `dask_faults`.
pub(crate) fn flow(scheduler: &Scheduler, name: &str, arguments: &[&str]) -> Flow {
    Flow::spawn(&mut command(scheduler, name, arguments))
}

fn command(scheduler: &Scheduler, name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args([name, scheduler.address()]).args(arguments);
    command
}

/// The flow `spread`, and the traces of its rows.
struct Spread {
    flow: Flow,
    rows: usize,
    directory: tempfile::TempDir,
}

impl Spread {
    /// So many rows of so many milliseconds.
    fn start(scheduler: &Scheduler, rows: usize, milliseconds: u64) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let arguments = [
            &rows.to_string(),
            directory.path().to_str().expect("text"),
            &milliseconds.to_string(),
        ];
        Self {
            flow: flow(scheduler, "spread", &arguments),
            rows,
            directory,
        }
    }

    /// The rows that have begun, and the processes in which they did.
    fn traces(&self) -> (BTreeSet<u64>, BTreeSet<u32>) {
        let files = std::fs::read_dir(self.directory.path()).expect("a directory");
        files
            .map(|file| {
                let name = file.expect("a file").file_name().into_string();
                let name = name.expect("text");
                let (row, process) = name.split_once('-').expect("a row and a process");
                (row.parse::<u64>().unwrap(), process.parse::<u32>().unwrap())
            })
            .unzip()
    }

    fn wait_for_rows(&self, rows: usize) {
        wait_until(&format!("{rows} rows"), || self.traces().0.len() >= rows);
    }

    /// How many rows each process gave, when all are there.
    fn result(self) -> BTreeMap<u32, usize> {
        let counts: BTreeMap<u32, usize> =
            serde_json::from_value(self.flow.result()).expect("counts");
        assert_eq!(counts.values().sum::<usize>(), self.rows, "{counts:?}");
        counts
    }
}

/// Some of its rows have been executed, and both workers are dead.
fn spread_without_workers(scheduler: &Scheduler) -> Spread {
    let mut workers = ["one", "two"].map(|name| worker(scheduler, name));
    let spread = Spread::start(scheduler, 20, 100);
    spread.wait_for_rows(4);
    for worker in &mut workers {
        worker.kill().expect("an end");
    }
    spread
}

#[test]
fn when_all_workers_are_killed_new_ones_go_on() {
    let scheduler = Scheduler::start().expect("a scheduler");
    let spread = spread_without_workers(&scheduler);
    let second = ["three", "four"].map(|name| worker(&scheduler, name));
    let processes: BTreeSet<u32> = spread.result().into_keys().collect();
    // What the dead ones held is made again.
    let second: BTreeSet<u32> = second.iter().map(RustWorker::id).collect();
    assert!(processes.is_subset(&second), "{processes:?} {second:?}");
}

#[test]
fn when_all_workers_are_killed_and_none_comes_the_flow_ends() {
    let scheduler = Scheduler::start().expect("a scheduler");
    let spread = spread_without_workers(&scheduler);
    let (output, errors) = spread.flow.end();
    assert!(output.is_empty(), "{output}");
    assert!(errors.contains("has 0 workers"), "{errors}");
    assert!(errors.contains("FLOW_WORKER="), "{errors}");
}

#[test]
fn attempts_are_counted_at_home() {
    for is_mapped in ["0", "1"] {
        let scheduler = Scheduler::start().expect("a scheduler");
        let _workers = ["one", "two"].map(|name| worker(&scheduler, name));
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().to_str().expect("text");
        let ended = flow(&scheduler, "counted", &[is_mapped, path]).result();
        // The second attempt killed a worker, began anew as if it were the first,
        // and was made with its number; then there was one more.
        let text = "Failed: Task run encountered an exception Error: time 5";
        assert_eq!(ended, json!([5, 3, text]), "{is_mapped}");
    }
}

#[test]
fn a_worker_that_stops_and_goes_on_loses_nothing() {
    let scheduler = Scheduler::start().expect("a scheduler");
    let workers = ["one", "two"].map(|name| worker(&scheduler, name));
    let spread = Spread::start(&scheduler, 20, 50);
    spread.wait_for_rows(4);
    workers[0].signal("STOP");
    // The other one does what it can.
    std::thread::sleep(Duration::from_millis(1500));
    workers[0].signal("CONT");
    spread.result();
}

#[test]
fn a_worker_that_comes_late_takes_work_over() {
    let scheduler = Scheduler::start().expect("a scheduler");
    let _first = worker(&scheduler, "one");
    let spread = Spread::start(&scheduler, 60, 50);
    spread.wait_for_rows(2);
    let late = worker(&scheduler, "late");
    let counts = spread.result();
    assert!(counts.contains_key(&late.id()), "{counts:?}");
}

#[test]
fn each_of_two_builds_gets_its_own_runs() {
    let mut cluster = Cluster::on(Scheduler::start().expect("a scheduler"), 1);
    let ours = worker(&cluster.scheduler, "other-build");
    let _python = PythonWorker::start(&cluster.scheduler, "python").expect("a worker");
    let spread = Spread::start(&cluster.scheduler, 10, 20);
    let mapped = cluster.flow("mapped");
    assert_eq!(mapped.result(), json!(14950));
    let (_, processes) = spread.traces();
    let counts = spread.result();
    assert_eq!(counts.into_keys().collect::<Vec<_>>(), [ours.id()]);
    assert!(processes.is_subset(&[ours.id()].into()), "{processes:?}");

    // And only those of the other build are left.
    drop(ours);
    cluster.add_worker();
    let spread = Spread::start(&cluster.scheduler, 1, 0);
    let (output, errors) = spread.flow.end();
    assert_eq!(output, "", "{errors}");
    assert!(errors.contains("of the builds FLOW-"), "{errors}");
    assert!(errors.contains("FLOW_WORKER"), "{errors}");
}

#[test]
fn a_result_that_cannot_travel_fails_its_run() {
    let scheduler = Scheduler::start().expect("a scheduler");
    let _worker = worker(&scheduler, "one");
    let (state, error): (String, String) =
        serde_json::from_value(flow(&scheduler, "unspeakable", &[]).result()).expect("texts");
    assert_eq!(state, "Failed", "{error}");
    assert!(
        error.contains("result of task `dask_faults::keep_silent`"),
        "{error}"
    );
    assert!(error.contains("dask_faults::Unspeakable"), "{error}");
    assert!(error.contains("it has no words"), "{error}");
}

#[test]
#[ignore = "slow lane: 4 GB of memory"]
fn a_result_of_more_than_four_gibibytes_fails_its_run() {
    let scheduler = Scheduler::start().expect("a scheduler");
    let _worker = worker(&scheduler, "one");
    let length = (4_u64 << 30).to_string();
    let (state, error): (String, String) =
        serde_json::from_value(flow(&scheduler, "voluminous", &[&length]).result()).expect("texts");
    assert_eq!(state, "Failed", "{error}");
    assert!(error.contains("`dask_faults::give_bytes`"), "{error}");
    assert!(error.contains("longer than the 4 GiB"), "{error}");
}

#[test]
fn a_worker_of_flows_refuses_what_is_no_run() {
    let cluster = Cluster::on(Scheduler::start().expect("a scheduler"), 1);
    let errors: Vec<String> = call(&cluster.scheduler, "worker.py", "nonsense", &[]);
    assert_eq!(errors.len(), 3);
    for error in errors {
        let is_refusal = error.contains("another version of this program")
            || error.contains("payload cannot be read");
        assert!(is_refusal, "{error}");
    }
    assert_eq!(cluster.flow("mapped").result(), json!(14950));
}

#[test]
fn flows_and_their_workers_talk_by_tls_and_say_when_certificates_do_not_fit() {
    let directory = tempfile::tempdir().expect("a directory");
    let tls = Tls::make(directory.path());
    let scheduler = Scheduler::with_tls(tls.clone()).expect("a scheduler");
    let mut command = RustWorker::command(program(), scheduler.address(), "secret");
    command
        .env("FLOW_WORKER_TLS_CA_FILE", &tls.authority)
        .env("FLOW_WORKER_TLS_CERT", &tls.certificate)
        .env("FLOW_WORKER_TLS_KEY", &tls.key);
    let worker = RustWorker::spawn(&mut command).expect("a worker");
    let traces = tempfile::tempdir().expect("a directory");
    let traces = traces.path().to_str().expect("text");
    let flow = |certificates: Option<&Path>| {
        let mut command = self::command(&scheduler, "spread", &["4", traces, "0"]);
        if let Some(certificates) = certificates {
            command.env("FLOW_TEST_TLS", certificates);
        }
        Flow::spawn(&mut command)
    };
    let counts = flow(Some(directory.path())).result();
    assert_eq!(counts, json!({ worker.id().to_string(): 4 }));
    // And a stock client sees the worker.
    let names: Vec<String> = call(&scheduler, "client.py", "worker_names", &[]);
    assert_eq!(names, ["secret"]);

    let elsewhere = tempfile::tempdir().expect("a directory");
    let _wrong = Tls::make(elsewhere.path());
    let (output, errors) = flow(Some(elsewhere.path())).end();
    assert_eq!(output, "", "{errors}");
    assert!(errors.contains("cluster's authority"), "{errors}");
    let (output, errors) = flow(None).end();
    assert_eq!(output, "", "{errors}");
    assert!(errors.contains("give a `Security`"), "{errors}");
}

/// The same flow again and again leaves neither keys nor memory behind.
fn repeated_maps(maps: u64, rows: u64) {
    let scheduler = Scheduler::start().expect("a scheduler");
    let _workers = ["one", "two"].map(|name| worker(&scheduler, name));
    let memory = || -> BTreeMap<String, u64> { call(&scheduler, "worker.py", "memory", &[]) };
    let run = |maps: u64| {
        let arguments = [maps.to_string(), rows.to_string()];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let sum = flow(&scheduler, "repeated", &arguments).result();
        assert_eq!(sum, json!(maps * rows));
    };
    run(2);
    let before = memory();
    run(maps);
    let after = memory();
    println!("{maps} maps of {rows} rows: {before:?}, then {after:?}");
    assert_eq!(after["tasks"], 0, "{after:?}");
    for (name, before) in &before {
        // What a map of this size takes once is no growth.
        let limit = before + before / 4 + (32 << 20);
        assert!(
            after[name] <= limit,
            "{name}: {before} became {}",
            after[name]
        );
    }
}

#[test]
fn repeated_maps_leave_no_memory_behind() {
    repeated_maps(3, 300);
}

#[test]
#[ignore = "slow lane: 20 maps of 10,000 rows"]
fn many_repeated_maps_leave_no_memory_behind() {
    repeated_maps(20, 10_000);
}
