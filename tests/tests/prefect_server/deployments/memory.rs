//! Runs that the system ends because memory runs out.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use flow_tests::prefect::Server;
use serde_json::json;

use super::*;

/// A control group below that of this process whose processes have only so much
/// memory; it goes with this.
struct Group(PathBuf);

impl Group {
    /// `None` if nobody lets us make one: that takes rights.
    fn make(bytes: u64) -> Option<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        let parents = groups.lines().filter_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
            let (root, limit) = match controllers {
                "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
                "" => ("/sys/fs/cgroup", "memory.max"),
                _ => return None,
            };
            Some((PathBuf::from(root).join(path), limit))
        });
        for (parent, limit) in parents {
            let group = Self(parent.join(format!("flow-test-{}", std::process::id())));
            let is_made = fs::create_dir(&group.0).is_ok();
            if is_made && fs::write(group.0.join(limit), bytes.to_string()).is_ok() {
                return Some(group);
            }
        }
        None
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // As soon as the last of its processes is gone.
        for _ in 0..50 {
            if fs::remove_dir(&self.0).is_ok() || !self.0.exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

#[test]
fn a_run_whose_memory_runs_out_is_crashed_with_that_reason() {
    let Some(group) = Group::make(400 << 20) else {
        eprintln!("nobody may limit memory here: not tested");
        return;
    };
    let server = Server::shared();
    let script = r#"echo $$ > "$0/cgroup.procs" && exec "$@""#;
    let place = group.0.to_str().expect("text");
    let flows = env!("CARGO_BIN_EXE_served_flows");
    let arguments = [
        "-c",
        script,
        place,
        flows,
        "serve",
        "greedy",
        "served_death",
    ];
    let serving = Serving::of(server, "sh", &arguments);
    let deployment = deployment(server, "served-death", "greedy");
    for (how, expected) in [
        (
            "memory",
            "SIGKILL signal: the operating system ended it because memory ran out.",
        ),
        // It is not said of others later.
        (
            "killed",
            "Typically caused by the operating system terminating the process",
        ),
    ] {
        let run = start_run(server, &deployment, &json!({"how": how}));
        let ended = wait_for_end(server, &run);
        assert_eq!(ended["state_type"], "CRASHED", "{ended}");
        let message = message(&ended);
        assert!(
            message.starts_with("Process exited with status code: -9. "),
            "{message}"
        );
        assert!(message.contains(expected), "{message}");
        let lines = logs(server, &run);
        assert!(
            lines.iter().any(|line| line.contains(expected)),
            "{lines:?}"
        );
    }
    drop(serving);
}
