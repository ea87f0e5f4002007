//! A process that must not outlive the value that stands for it.

use std::io::{self, Read};
use std::ops::{Deref, DerefMut};
use std::process::{Child, ChildStderr, Command};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often it is looked whether a process has ended.
const PAUSE: Duration = Duration::from_millis(20);

/// How much of what a process says at its end is kept for an error.
const LAST_WORDS: usize = 4000;

/// A child process; dropping it kills it.
#[derive(Debug)]
pub(super) struct OwnedChild(Child);

impl OwnedChild {
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        command.spawn().map(Self)
    }

    /// Reads all that the process writes to its standard error, a pipe, so
    /// that it never waits for a reader, and gives the end of it.
    pub(super) fn last_words(&mut self) -> io::Result<JoinHandle<String>> {
        let stderr = self.stderr.take();
        thread::Builder::new()
            .name("flow-dask-log".to_owned())
            .spawn(move || stderr.map_or_else(String::new, end_of))
    }

    /// Lets it end by itself, as it does when its standard input has ended;
    /// whether it did in time. Else it is killed.
    pub(super) async fn leave(mut self, patience: Duration) -> bool {
        drop(self.stdin.take());
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            match self.try_wait() {
                Ok(None) => tokio::time::sleep(PAUSE).await,
                // Ended, or not ours to wait for.
                Ok(Some(_)) | Err(_) => return true,
            }
        }
        false
    }
}

impl Deref for OwnedChild {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for OwnedChild {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for OwnedChild {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn end_of(mut stderr: ChildStderr) -> String {
    let mut kept = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = stderr.read(&mut chunk) {
        kept.extend_from_slice(&chunk[..count]);
        let surplus = kept.len().saturating_sub(LAST_WORDS);
        kept.drain(..surplus);
    }
    String::from_utf8_lossy(&kept).into_owned()
}
