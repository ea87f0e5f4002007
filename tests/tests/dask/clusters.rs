//! Clusters that classes of Python start.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use flow_tests::python::Environment;

use super::support::wait_until;

/// A flow's process; dropping it kills it.
struct Flow(Child);

impl Flow {
    /// All that the flow starts has `directory` for its temporary files.
    fn start(directory: &Path, class: &str, options: &str) -> Self {
        let report = directory.join("report.html");
        Self::of(
            directory,
            &["class", class, options, &report.to_string_lossy()],
        )
    }

    fn of(directory: &Path, arguments: &[&str]) -> Self {
        let environment = Environment::dask().expect("an environment with Dask");
        let child = Command::new(env!("CARGO_BIN_EXE_dask_bridge"))
            .args(arguments)
            .env("FLOWDASK_DASK", environment.command("dask"))
            .env("TMPDIR", directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Self(child.expect("the flow's program"))
    }

    fn output(mut self) -> (String, String) {
        use std::io::Read as _;
        let mut errors = self.0.stderr.take().expect("a pipe");
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            errors.read_to_string(&mut text).map(|_| text)
        });
        let mut output = String::new();
        let mut pipe = self.0.stdout.take().expect("a pipe");
        pipe.read_to_string(&mut output).expect("text");
        (output, errors.join().expect("no panic").expect("text"))
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How many processes live that have this directory for their temporary files.
fn processes_of(directory: &Path) -> usize {
    processes_that(|process| is_of(directory, process))
}

fn is_of(directory: &Path, process: &Path) -> bool {
    let variable = [b"TMPDIR=", directory.as_os_str().as_bytes()].concat();
    let environment = std::fs::read(process.join("environ")).unwrap_or_default();
    let mut entries = environment.split(|byte| *byte == 0);
    entries.any(|entry| entry == variable)
}

/// How many of them are workers of ours: the executable was copied there.
fn workers(directory: &Path) -> usize {
    let is_copy = |executable: PathBuf| executable.starts_with(directory);
    processes_that(|process| std::fs::read_link(process.join("exe")).is_ok_and(is_copy))
}

fn processes_that(are: impl Fn(&Path) -> bool) -> usize {
    let all = std::fs::read_dir("/proc").expect("a list of processes");
    all.flatten().filter(|process| are(&process.path())).count()
}

const LOCAL: &str = "distributed.LocalCluster";
const OPTIONS: &str = r#"{"n_workers": 2, "threads_per_worker": 1, "dashboard_address": null}"#;

#[test]
fn stock_workers_of_a_class_start_ours_and_all_end() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let flow = Flow::start(directory.path(), LOCAL, OPTIONS);
    let (output, errors) = flow.output();
    assert_eq!(output.trim(), "190", "{errors}");
    assert!(errors.contains("is odd"), "{errors}");
    let page = std::fs::read_to_string(directory.path().join("report.html")).expect("a report");
    assert!(page.contains("20 Completed"), "{page}");
    wait_until("the cluster has ended", || {
        processes_of(directory.path()) == 0
    });
}

#[test]
fn a_cluster_ends_with_a_flow_that_is_killed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut flow = Flow::start(directory.path(), LOCAL, OPTIONS);
    // The flow, Python, and a worker of it.
    wait_until("the cluster starts", || processes_of(directory.path()) >= 3);
    flow.0.kill().expect("a process");
    flow.0.wait().expect("a process");
    wait_until("the cluster has ended", || {
        processes_of(directory.path()) == 0
    });
}

/// The processes of the flow's cluster whose command line contains this.
fn commands(directory: &Path, word: &str) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").expect("a list of processes");
    all.flatten()
        .filter(|process| is_of(directory, &process.path()))
        .filter(|process| {
            let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(word)
        })
        .filter_map(|process| process.file_name().to_str()?.parse().ok())
        .collect()
}

/// A process of a cluster is killed in mid-flow: the flow ends with an error that
/// says so, and nothing stays.
fn killed_in_mid_flow(class: &str, word: &str) -> String {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path();
    let flow = Flow::of(path, &["waiting", class, OPTIONS, &path.to_string_lossy()]);
    let waits = path.join("go-waited-for");
    wait_until("the cluster works", || waits.exists());
    let processes = commands(path, word);
    let [process] = processes[..] else {
        panic!("{processes:?} with {word}");
    };
    let killed = Command::new("kill")
        .args(["-9", &process.to_string()])
        .status();
    assert!(killed.expect("a command").success());
    let (output, errors) = flow.output();
    assert_eq!(output, "", "{errors}");
    std::fs::write(path.join("go"), "").expect("a file");
    wait_until("nothing stays", || processes_of(path) == 0);
    errors
}

#[test]
fn a_python_process_that_is_killed_ends_the_flow() {
    // Its arguments say which class it is to start.
    let errors = killed_in_mid_flow(LOCAL, r#"{"class":"distributed.LocalCluster""#);
    assert!(
        errors.contains("the link to the Dask scheduler at tcp://"),
        "{errors}"
    );
    assert!(
        errors.contains("nobody closes the cluster any more"),
        "{errors}"
    );
}

#[test]
fn a_scheduler_of_a_class_that_is_killed_ends_the_flow() {
    let class = "distributed.deploy.subprocess.SubprocessCluster";
    let errors = killed_in_mid_flow(class, "distributed.Scheduler");
    assert!(
        errors.contains("the link to the Dask scheduler at tcp://"),
        "{errors}"
    );
}

#[test]
fn a_cluster_grows_with_the_work_and_shrinks_without() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path();
    let flow = Flow::of(path, &["adapting", &path.to_string_lossy()]);
    wait_until("it grows", || workers(path) == 3);
    std::fs::write(path.join("go"), "").expect("a file");
    wait_until("it shrinks", || workers(path) == 1);
    std::fs::write(path.join("end"), "").expect("a file");
    let (output, errors) = flow.output();
    assert_eq!(output.trim(), "785", "{errors}");
    wait_until("the cluster has ended", || processes_of(path) == 0);
}

#[test]
fn what_is_wrong_with_a_class_is_told() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let cases = [
        ("nowhere.Cluster", "{}", "its module cannot be imported"),
        ("distributed.NoCluster", "{}", "there is no such class"),
        ("LocalCluster", "{}", "there is no such class"),
        (
            LOCAL,
            r#"{"scheduler_file": 3, "n_workers": "two"}"#,
            "`distributed.LocalCluster` did not start",
        ),
        (
            "distributed.Semaphore",
            r#"{"nothing": 1}"#,
            "it refuses its options",
        ),
        ("os._exit", r#"{"status": 3}"#, "its process ended"),
    ];
    let flows = cases.map(|(class, options, _)| Flow::start(directory.path(), class, options));
    for (flow, (class, _, wanted)) in flows.into_iter().zip(cases) {
        let (_, errors) = flow.output();
        assert!(errors.contains(wanted), "{class}: {errors}");
    }
    wait_until("nothing stays", || processes_of(directory.path()) == 0);
}
