//! How the process of a run ended, in Prefect's words.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exit {
    /// As Python counts: a signal's number below zero.
    pub(super) status: i32,
    /// The system has ended processes meanwhile because memory ran out.
    pub(super) memory_ran_out: bool,
}

impl Exit {
    pub(super) fn new(status: ExitStatus, memory_ran_out: bool) -> Self {
        Self {
            status: number(status),
            memory_ran_out,
        }
    }

    /// The message of the state Crashed, for a run that left no final one.
    pub(super) fn message(self) -> String {
        let status = self.status;
        if status == 0 {
            return "Process exited with status code: 0, and left the flow run without a final \
                    state."
                .to_owned();
        }
        let explanation = match status {
            -9 if self.memory_ran_out => {
                "Process exited due to a SIGKILL signal: the operating system ended it because \
                 memory ran out."
            }
            -9 => {
                "Process exited due to a SIGKILL signal. Typically caused by the operating system \
                 terminating the process for exceeding memory limits, or by manual cancellation."
            }
            -15 => {
                "Process exited due to a SIGTERM signal. Typically caused by graceful shutdown or \
                 manual cancellation."
            }
            -6 => {
                "Process exited due to a SIGABRT signal. Typically caused by a stack overflow, a \
                 panic while panicking, or a failed check of native code."
            }
            -7 => "Process exited due to a SIGBUS signal, an error in native code.",
            -11 => "Process exited due to a SIGSEGV signal, an error in native code.",
            1 => "Process exited with a general error.",
            101 => "Process exited because its main thread panicked.",
            126 => "Command found but not executable (permission denied).",
            127 => "Command not found.",
            137 => "Process was killed, likely due to an out-of-memory (OOM) condition.",
            143 => "Process received SIGTERM.",
            _ if status < 0 => "Process exited due to a signal.",
            _ => "Process exited with an unexpected status code.",
        };
        format!("Process exited with status code: {status}. {explanation}")
    }
}

#[cfg(unix)]
fn number(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    match status.signal() {
        Some(signal) => -signal,
        None => status.code().unwrap_or(-1),
    }
}

#[cfg(not(unix))]
fn number(status: ExitStatus) -> i32 {
    status.code().unwrap_or(-1)
}

/// How many processes the system has ended because memory ran out, among those
/// that share a limit with this one (a run's process does), or else on the
/// whole machine; `None` if it does not say.
pub(super) fn ended_for_memory() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let files = groups.lines().filter_map(counter_of);
    let mut files = files.chain([PathBuf::from("/proc/vmstat")]);
    files.find_map(|file| counted(&std::fs::read_to_string(file).ok()?))
}

/// Where a control group counts, if it is one of memory.
fn counter_of(group: &str) -> Option<PathBuf> {
    let mut parts = group.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
    let (root, file) = match controllers {
        // The second version of control groups has one tree.
        "" => ("/sys/fs/cgroup", "memory.events"),
        _ if controllers.split(',').any(|name| name == "memory") => {
            ("/sys/fs/cgroup/memory", "memory.oom_control")
        }
        _ => return None,
    };
    Some(Path::new(root).join(path).join(file))
}

fn counted(counters: &str) -> Option<u64> {
    let mut lines = counters.lines();
    let count = lines.find_map(|line| line.strip_prefix("oom_kill "))?;
    count.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_status_and_reason() {
        let message = |status, memory_ran_out| {
            Exit {
                status,
                memory_ran_out,
            }
            .message()
        };
        assert!(message(-9, false).starts_with("Process exited with status code: -9. Process"));
        assert!(message(-9, true).contains("memory ran out"));
        assert!(!message(3, true).contains("memory"));
        assert_eq!(
            message(3, false),
            "Process exited with status code: 3. Process exited with an unexpected status code."
        );
        assert!(message(0, false).contains("without a final state"));
    }

    #[test]
    fn groups_and_the_machine_count_who_was_ended_for_memory() {
        let file = |group| counter_of(group).map(|file| file.to_string_lossy().into_owned());
        let unified = file("0::/user.slice/a").unwrap();
        assert_eq!(unified, "/sys/fs/cgroup/user.slice/a/memory.events");
        let older = file("4:hugetlb,memory:/docker/x:y").unwrap();
        assert_eq!(older, "/sys/fs/cgroup/memory/docker/x:y/memory.oom_control");
        assert_eq!(file("3:cpuset:/"), None);
        assert_eq!(
            counted("low 0\noom 4\noom_kill 3\noom_group_kill 1\n"),
            Some(3)
        );
        assert_eq!(
            counted("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
            Some(2)
        );
        assert_eq!(counted("low 0\n"), None);
    }

    #[cfg(unix)]
    #[test]
    fn signals_are_numbers_below_zero() {
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(number(ExitStatus::from_raw(9)), -9);
        assert_eq!(number(ExitStatus::from_raw(3 << 8)), 3);
    }
}
