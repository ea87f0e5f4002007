//! What options of tasks mean on a stock scheduler with two workers of ours.

use std::path::{Path, PathBuf};
use std::process::Command;

use flow_tests::dask::{PythonWorker, RustWorker, Scheduler};
use serde_json::{Value, json};

use crate::flows::Flow;
use crate::support::{call, wait_until};

/// A cluster, and a directory in which runs leave traces.
struct Stage {
    scheduler: Scheduler,
    workers: Vec<RustWorker>,
    directory: tempfile::TempDir,
}

impl Stage {
    fn with_workers(count: usize) -> Self {
        let mut stage = Self {
            scheduler: Scheduler::start().expect("a scheduler"),
            workers: Vec::new(),
            directory: tempfile::tempdir().expect("a directory"),
        };
        for _ in 0..count {
            stage.add_worker();
        }
        stage
    }

    fn add_worker(&mut self) {
        self.add_worker_with(|_| {});
    }

    fn add_worker_with(&mut self, change: impl FnOnce(&mut Command)) {
        let name = format!("worker-{}", self.workers.len());
        let program = Path::new(env!("CARGO_BIN_EXE_dask_semantics"));
        let mut command = RustWorker::command(program, self.scheduler.address(), &name);
        change(&mut command);
        let worker = RustWorker::spawn(&mut command);
        self.workers.push(worker.expect("a worker"));
    }

    /// A directory of this flow's own.
    fn path(&self, flow: &str) -> PathBuf {
        let path = self.directory.path().join(flow);
        std::fs::create_dir_all(&path).expect("a directory");
        path
    }

    fn flow(&self, flow: &str) -> Flow {
        self.flow_in(flow, flow)
    }

    /// With this directory.
    fn flow_in(&self, flow: &str, directory: &str) -> Flow {
        Flow::spawn(
            Command::new(env!("CARGO_BIN_EXE_dask_semantics"))
                .args([flow, self.scheduler.address()])
                .arg(self.path(directory)),
        )
    }

    fn wait_for(&self, flow: &str, file: &str) {
        let path = self.path(flow).join(file);
        wait_until(&path.to_string_lossy(), || path.exists());
    }

    fn leave(&self, flow: &str, file: &str) {
        std::fs::write(self.path(flow).join(file), "").expect("a file");
    }
}

#[test]
fn options_of_tasks_mean_the_same() {
    let mut stage = Stage::with_workers(2);
    assert_eq!(
        stage.flow("hooked").result(),
        json!([[2, 1, 1], 100, 100]),
        "at home, once for each run"
    );
    assert_eq!(
        stage.flow("timed").result(),
        json!([5, "TimedOut", ["Completed", "TimedOut", "Completed"]])
    );
    assert_eq!(
        stage.flow("ordered").result(),
        json!(["Completed", "NotReady", 4, ["2", "4"]])
    );
    assert_eq!(
        stage.flow("nested").result(),
        json!([true, false, true, false, true, true])
    );
    let workers: (usize, usize) =
        serde_json::from_value(stage.flow("limited").result()).expect("two counts");
    assert_eq!(workers, (2, 2), "both workers have worked, never at once");
    stage.add_worker_with(|command| {
        command
            .env("FLOW_WORKER_NTHREADS", "2")
            .env("FLOW_WORKER_RESOURCES", "GPU=1");
    });
    assert_eq!(stage.flow("resourced").result(), json!([1, 1]));
}

#[test]
fn what_one_flow_run_has_kept_the_next_finds() {
    let stage = Stage::with_workers(2);
    let sum = 10_000 + 10 * (0..40).sum::<i64>();
    assert_eq!(stage.flow("cached").result(), json!([["Completed"], sum]));
    let executed = stage.path("cached").join("executed");
    let lines = |path: &Path| {
        std::fs::read_to_string(path)
            .expect("a file")
            .lines()
            .count()
    };
    assert_eq!(lines(&executed), 41);
    assert_eq!(stage.flow("cached").result(), json!([["Cached"], sum]));
    assert_eq!(lines(&executed), 41, "nothing was executed again");
}

#[test]
fn dask_hears_of_tags_and_priorities() {
    let stage = Stage::with_workers(1);
    let flow = stage.flow("priorities");
    stage.wait_for("priorities", "waiting");
    // What was submitted takes a moment to get there.
    let known = || -> Vec<Value> { call(&stage.scheduler, "client.py", "annotated", &[]) };
    wait_until("four tasks there", || known().len() == 4);
    let wanted = [
        json!(["keeps_busy", 7, ["nightly", "people"], -7]),
        json!(["traced", -5, null, 5]),
        json!(["traced", 5, null, -5]),
        json!(["traced", null, null, 0]),
    ];
    assert_eq!(known(), wanted);
    let payload: String = call(&stage.scheduler, "client.py", "payload_of", &["traced"]);
    stage.leave("priorities", "go");
    assert_eq!(flow.result(), json!(["5", "0", "-5"]));

    // The same work, of a task that nobody knows.
    let error: String = call(
        &stage.scheduler,
        "worker.py",
        "unknown_task",
        &[&payload, "::traced", "::tricky"],
    );
    assert!(
        error.contains("has no task `dask_semantics::tricky`"),
        "{error}"
    );
    assert!(error.contains("this program (build "), "{error}");
    assert_eq!(stage.flow("hooked").result()[1], json!(100), "it goes on");
}

#[test]
fn a_run_that_dask_repeats_changes_its_state_no_more() {
    let mut stage = Stage::with_workers(1);
    let flow = stage.flow("repeated");
    stage.wait_for("repeated", "completed");
    stage.workers[0].kill().expect("an end");
    stage.add_worker();
    stage.leave("repeated", "killed");
    // Executed twice, and its result is that of the second time; heard of once.
    assert_eq!(flow.result(), json!([2, true, "Completed", 1, 1]));
}

#[test]
fn batches_survive_a_python_worker_that_takes_them_over() {
    let mut stage = Stage::with_workers(1);
    let _python = PythonWorker::start(&stage.scheduler, "python").expect("a worker");
    let flow = stage.flow("moved");
    stage.wait_for("moved", "completed");
    let arguments = ["2", "worker-0"];
    let left: Vec<String> = call(&stage.scheduler, "worker.py", "retire_one_of", &arguments);
    assert_eq!(left, ["python"]);
    stage.add_worker();
    stage.leave("moved", "moved");
    let told = (0..20).map(|x| {
        if x % 2 == 0 {
            x.to_string()
        } else {
            "bad".to_owned()
        }
    });
    let told: Vec<String> = told.collect();
    assert_eq!(flow.result(), json!([told, 4, true]));
}

#[test]
fn async_runs_wait_beside_the_slots_as_many_as_is_said() {
    let mut stage = Stage::with_workers(1);
    assert_eq!(
        stage.flow_in("interleaved", "wanted-20").result(),
        json!([20, 20, 1])
    );
    for (seats, most) in [("3", 4), ("0", 1)] {
        stage.workers.clear();
        stage.add_worker_with(|command| {
            command.env("FLOW_WORKER_ASYNC_RUNS", seats);
        });
        let flow = stage.flow_in("interleaved", &format!("wanted-{most}"));
        assert_eq!(flow.result(), json!([most, most, 1]));
    }
}
