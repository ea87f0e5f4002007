//! Flows with a `DaskTaskRunner` on a stock scheduler.

use std::path::Path;
use std::process::{Command, Stdio};

use flow_tests::dask::{PythonWorker, RustWorker, Scheduler};
use flow_tests::python::Environment;
use serde_json::{Value, json};

use crate::support::{call, wait_until};

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_dask_flow"))
}

/// A cluster with workers of our own.
pub(crate) struct Cluster {
    pub(crate) scheduler: Scheduler,
    workers: Vec<RustWorker>,
}

impl Cluster {
    fn start(workers: usize) -> Self {
        Self::on(Scheduler::start().expect("a scheduler"), workers)
    }

    /// With this scheduler.
    pub(crate) fn on(scheduler: Scheduler, workers: usize) -> Self {
        let mut cluster = Self {
            scheduler,
            workers: Vec::new(),
        };
        for _ in 0..workers {
            cluster.add_worker();
        }
        cluster
    }

    pub(crate) fn add_worker(&mut self) {
        let name = format!("rust-{}", self.workers.len());
        let worker = RustWorker::start(program(), self.scheduler.address(), &name);
        self.workers.push(worker.expect("a worker"));
    }

    /// What the scheduler keeps.
    pub(crate) fn keys(&self) -> Vec<String> {
        call(&self.scheduler, "client.py", "keys", &[])
    }

    pub(crate) fn flow(&self, name: &str) -> Flow {
        Flow::start(name, self.scheduler.address())
    }
}

/// A flow's process; dropping it kills it.
pub(crate) struct Flow {
    child: std::process::Child,
    /// Reads what it says from the beginning: it says a lot, and would wait
    /// for a reader.
    errors: Option<std::thread::JoinHandle<std::io::Result<String>>>,
}

impl Flow {
    fn start(name: &str, place: &str) -> Self {
        let environment = Environment::dask().expect("an environment with Dask");
        Self::spawn(
            Command::new(program())
                .args([name, place])
                .env("FLOWDASK_DASK", environment.command("dask")),
        )
    }

    /// Another program that prints what its flow gave.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the flow's program");
        let errors = child.stderr.take().expect("a pipe");
        let errors = std::thread::spawn(move || std::io::read_to_string(errors));
        Self {
            child,
            errors: Some(errors),
        }
    }

    /// What the flow gave.
    pub(crate) fn result(self) -> Value {
        let (output, errors) = self.end();
        serde_json::from_str(&output).unwrap_or_else(|_| panic!("{output}\n{errors}"))
    }

    pub(crate) fn end(mut self) -> (String, String) {
        let pipe = self.child.stdout.take().expect("a pipe");
        let output = std::io::read_to_string(pipe).expect("text");
        let errors = self.errors.take().expect("a reader until the end");
        let errors = errors.join().expect("no panic").expect("text");
        (output, errors)
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_local_cluster_is_started_and_ended() {
    assert_eq!(Flow::start("mapped", "local").result(), json!(14950));
    assert_eq!(Flow::start("places", "local").result(), json!([true, true]));
}

#[test]
fn a_local_cluster_of_processes_is_started_and_ended() {
    assert_eq!(Flow::start("mapped", "processes").result(), json!(14950));
    assert_eq!(
        Flow::start("places", "processes").result(),
        json!([false, true])
    );
}

#[test]
fn results_that_nobody_holds_are_released() {
    let cluster = Cluster::start(2);
    assert_eq!(cluster.flow("forgetful").result(), json!(1));
}

#[test]
fn large_rows_travel_apart_and_lists_stay_where_they_are() {
    let cluster = Cluster::start(2);
    let sums = json!([100 * 200_000 + 4950, 3_000_000, 140]);
    assert_eq!(cluster.flow("large").result(), sums);
}

#[test]
fn a_large_value_that_all_rows_read_travels_once() {
    let cluster = Cluster::start(2);
    let sum = 2000 * 1999 / 2 + 7;
    assert_eq!(cluster.flow("shared_value").result(), json!([sum, 1]));
    assert_eq!(cluster.keys(), Vec::<String>::new());
}

#[test]
fn a_large_value_survives_all_workers() {
    let mut cluster = Cluster::start(2);
    let flow = cluster.flow("shared_value_slowly");
    wait_until("a worker has the value", || {
        cluster.keys().iter().any(|key| key.contains("value-"))
    });
    for worker in &mut cluster.workers {
        worker.kill().unwrap();
    }
    cluster.add_worker();
    let sum = 200 * 199 / 2 + 7;
    assert_eq!(flow.result(), json!([sum, 1]));
}

#[test]
fn what_runs_say_travels_in_few_messages_of_a_bounded_size() {
    let cluster = Cluster::start(1);
    let (output, errors) = cluster.flow("talkative").end();
    let said: Value = serde_json::from_str(&output).unwrap_or_else(|_| panic!("{errors}"));
    assert_eq!(said[0], json!(100_000));
    let refusal = said[1].to_string();
    let wanted = "the run of task `dask_flow::length_of` cannot be submitted: it takes 200";
    assert!(refusal.contains(wanted), "{refusal}");
    let lines = errors.lines().filter_map(|line| {
        let (_, line) = line.split_once("this is line ")?;
        line.split(' ').next()?.parse::<usize>().ok()
    });
    assert!(lines.eq(0..3000), "{errors}");
    let (count, largest): (usize, usize) =
        call(&cluster.scheduler, "client.py", "messages_of_runs", &[]);
    assert!((10..500).contains(&count), "{count} messages");
    assert!(largest <= 16_000, "{largest} bytes");
}

#[test]
fn flows_give_the_same_as_in_one_process() {
    let cluster = Cluster::start(2);
    assert_eq!(cluster.flow("mapped").result(), json!(14950));
    assert_eq!(cluster.flow("places").result(), json!([false, true]));
    assert_eq!(cluster.flow("retried").result(), json!("at last"));
    assert_eq!(cluster.flow("kinds").result(), json!([3, [0, 255], true]));
    assert_eq!(cluster.flow("nested").result(), json!([10, 20, 30, 40]));
    // Flows that have ended leave nothing behind.
    assert_eq!(cluster.keys(), Vec::<String>::new());
}

#[test]
fn failures_are_what_they_are_elsewhere() {
    let cluster = Cluster::start(1);
    let failures = cluster.flow("failures").result();
    assert_eq!(failures["good"], 1);
    assert_eq!(failures["dependent"], "NotReady");
    assert_eq!(failures["also_allowed"], "1");
    assert!(
        failures["allowed"]
            .as_str()
            .unwrap()
            .contains("row 3 is bad"),
        "{failures}"
    );
    assert_eq!(
        failures["states"],
        json!(["Failed", "Completed", "Completed", "Failed", "Completed"])
    );
    let error = failures["error"].as_array().unwrap();
    assert!(
        error
            .iter()
            .any(|text| text == "invalid digit found in string"),
        "{failures}"
    );

    let ends = cluster.flow("ends").result();
    assert_eq!(ends[0], "Failed");
    assert!(ends[1].as_str().unwrap().contains("at the disco"), "{ends}");
    assert_eq!(ends[2], "TimedOut");
    assert_eq!(cluster.flow("cancelled").result(), json!("Cancelled"));
}

#[test]
fn a_killed_worker_costs_no_result() {
    let mut cluster = Cluster::start(2);
    let flow = cluster.flow("slow");
    std::thread::sleep(std::time::Duration::from_millis(1500));
    cluster.workers[0].kill().unwrap();
    cluster.add_worker();
    assert_eq!(flow.result(), json!(780));
}

#[test]
fn rows_in_batches_do_what_they_do_in_one_process() {
    let cluster = Cluster::start(2);
    let embedded = Flow::start("batched", "embedded").result();
    assert_eq!(embedded["some"]["Failed"], 166);
    assert_eq!(embedded["dependents"]["NotReady"], 166);
    assert_eq!(cluster.flow("batched").result(), embedded);
    assert_eq!(cluster.keys(), Vec::<String>::new());
}

#[test]
fn rows_of_running_batches_are_cancelled() {
    let cluster = Cluster::start(2);
    assert_eq!(
        cluster.flow("cancelled_rows").result(),
        json!([199, "Cancelled", "Cancelled", true])
    );
}

#[test]
fn a_worker_that_is_killed_in_a_batch_costs_no_row() {
    let mut cluster = Cluster::start(2);
    let flow = cluster.flow("many");
    std::thread::sleep(std::time::Duration::from_millis(1500));
    cluster.workers[0].kill().unwrap();
    cluster.add_worker();
    assert_eq!(flow.result(), json!(19900));
}

#[test]
#[ignore = "slow lane: three million runs"]
fn a_million_rows_are_mapped() {
    let cluster = Cluster::start(2);
    assert_eq!(
        cluster.flow("million").result(),
        json!(1_499_999_500_000_i64)
    );
}

#[test]
fn a_run_that_kills_its_worker_runs_on_the_next() {
    let cluster = Cluster::start(2);
    assert_eq!(cluster.flow("killer").result(), json!("alive"));
}

#[test]
fn a_run_that_kills_every_worker_crashes_and_is_named() {
    let cluster = Cluster::start(5);
    let poison = cluster.flow("poison").result();
    assert_eq!(poison[0], "Crashed");
    assert!(
        poison[1].as_str().unwrap().contains("always_dies"),
        "{poison}"
    );
}

#[test]
fn a_killed_scheduler_ends_the_flow() {
    let mut cluster = Cluster::start(1);
    let flow = cluster.flow("slow");
    std::thread::sleep(std::time::Duration::from_millis(1500));
    cluster.scheduler.kill().unwrap();
    let (output, errors) = flow.end();
    assert_eq!(output, "", "{errors}");
    assert!(errors.contains("scheduler"), "{errors}");
}

#[test]
fn without_a_worker_of_this_build_the_flow_ends() {
    let cluster = Cluster::start(0);
    let _python = PythonWorker::start(&cluster.scheduler, "python").expect("a worker");
    let (output, errors) = cluster.flow("mapped").end();
    assert_eq!(output, "", "{errors}");
    assert!(errors.contains("FLOW_WORKER"), "{errors}");
    assert!(
        errors.contains("none of them a worker of this kind"),
        "{errors}"
    );
}
