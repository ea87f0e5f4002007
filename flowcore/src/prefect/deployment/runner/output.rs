//! What the process of a run writes: shown here, and kept as the run's log.
//!
//! A run never waits for the server: what does not fit is left out, and the log
//! says how much.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::console::TOLD;
use crate::prefect::deployment::farewell::Farewell;
use crate::prefect::deployment::server::Server;

/// Lines that wait to be sent.
const LONGEST_QUEUE: usize = 10_000;
/// Lines in one request: larger ones block a small server.
const BATCH: usize = 200;
/// A longer line is cut.
const LONGEST_LINE: u64 = 64 * 1024;
/// How often lines are sent.
const EVERY: Duration = Duration::from_secs(1);
/// How the server calls who writes them.
const LOGGER: &str = "prefect.flow_runs.output";

/// Python's numbers of levels.
const INFO: u8 = 20;
pub(super) const ERROR: u8 = 40;

/// The output of one run's process.
#[derive(Clone, Debug)]
pub(super) struct Output(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    run: Uuid,
    lines: Mutex<Lines>,
    farewell: Mutex<Option<Farewell>>,
    /// Pipes that have not ended.
    open: AtomicUsize,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Lines {
    waiting: Vec<Line>,
    left_out: usize,
    last: Option<Timestamp>,
}

#[derive(Debug)]
struct Line {
    at: Timestamp,
    level: u8,
    text: String,
}

impl Output {
    pub(super) fn new(run: Uuid) -> Self {
        Self(Arc::new(Shared {
            run,
            lines: Mutex::default(),
            farewell: Mutex::default(),
            open: AtomicUsize::new(0),
            changed: Notify::new(),
        }))
    }

    /// Reads a pipe to its end, on a thread of its own: nothing else may keep
    /// the process waiting.
    pub(super) fn read<W: Write + 'static>(
        &self,
        pipe: impl Read + Send + 'static,
        shown: fn() -> W,
    ) -> io::Result<()> {
        let output = self.clone();
        self.0.open.fetch_add(1, Ordering::AcqRel);
        let thread = std::thread::Builder::new().name("flow-output".to_owned());
        let reading = thread.spawn(move || {
            each_line(pipe, |line| {
                let text = String::from_utf8_lossy(line);
                let mut text = text.trim_end_matches(['\n', '\r']);
                if let Some((before, farewell)) = Farewell::heard(text) {
                    *output.0.farewell.lock() = Some(farewell);
                    text = before;
                } else if let Some(line) = text.strip_prefix(TOLD) {
                    // The server has it.
                    let _ = writeln!(shown(), "{line}");
                    return;
                } else {
                    // Nobody may look at it.
                    let _ = shown().write_all(line);
                }
                if !text.is_empty() {
                    output.say(INFO, text);
                }
            });
            output.0.open.fetch_sub(1, Ordering::AcqRel);
            output.0.changed.notify_waiters();
        });
        if let Err(error) = reading {
            self.0.open.fetch_sub(1, Ordering::AcqRel);
            return Err(error);
        }
        Ok(())
    }

    /// How the run ended, if its process has said so.
    pub(super) fn farewell(&self) -> Option<Farewell> {
        self.0.farewell.lock().take()
    }

    /// One more line of the run's log.
    pub(super) fn say(&self, level: u8, text: &str) {
        let mut lines = self.0.lines.lock();
        if lines.waiting.len() >= LONGEST_QUEUE {
            lines.left_out += 1;
            return;
        }
        // The server orders them by time.
        let mut at = Timestamp::now();
        if let Some(last) = lines.last.filter(|last| *last >= at) {
            at = last + Duration::from_micros(1);
        }
        lines.last = Some(at);
        let text = text.to_owned();
        lines.waiting.push(Line { at, level, text });
    }

    /// Waits until the process and all that have its pipes have closed them.
    pub(super) async fn ended(&self) {
        crate::notified::until(&self.0.changed, || self.0.open.load(Ordering::Acquire) == 0).await;
    }

    /// Sends lines again and again, until this is dropped.
    pub(super) async fn send_for_ever(&self, server: &Server) {
        loop {
            crate::runtime::sleep(EVERY).await;
            self.send(server).await;
        }
    }

    /// Sends all lines that there are.
    pub(super) async fn send(&self, server: &Server) {
        loop {
            let (batch, left_out) = {
                let mut lines = self.0.lines.lock();
                let count = lines.waiting.len().min(BATCH);
                let batch: Vec<_> = lines.waiting.drain(..count).collect();
                let is_last = lines.waiting.is_empty();
                let left_out = if is_last {
                    std::mem::take(&mut lines.left_out)
                } else {
                    0
                };
                (batch, left_out)
            };
            let mut bodies: Vec<_> = batch.iter().map(|line| self.body(line)).collect();
            if left_out > 0 {
                bodies.push(self.body(&Line {
                    at: Timestamp::now(),
                    level: 30,
                    text: format!("{left_out} lines of output came too fast, and are left out"),
                }));
            }
            if bodies.is_empty() {
                return;
            }
            if let Err(error) = server.log(&bodies).await {
                let count = bodies.len();
                tracing::warn!(
                    target: "flowcore::prefect",
                    "{count} lines of output of flow run {} are lost: {error}", self.0.run
                );
            }
        }
    }

    fn body(&self, line: &Line) -> Value {
        json!({
            "name": LOGGER,
            "level": line.level,
            "message": line.text,
            "timestamp": line.at,
            "flow_run_id": self.0.run,
        })
    }
}

/// Each line with its end; long ones in pieces.
fn each_line(pipe: impl Read, mut take: impl FnMut(&[u8])) {
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader
            .by_ref()
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)
        {
            Ok(0) | Err(_) => return,
            Ok(_) => take(&line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_and_texts_without_an_end_are_lines() {
        let mut lines = Vec::new();
        each_line(&b"a\n\nb\xff"[..], |line| lines.push(line.to_vec()));
        assert_eq!(lines, [b"a\n".to_vec(), b"\n".to_vec(), b"b\xff".to_vec()]);
        let long = vec![b'x'; 100_000];
        let mut lengths = Vec::new();
        each_line(&long[..], |line| lengths.push(line.len()));
        assert_eq!(lengths, [65_536, 34_464]);
    }

    #[test]
    fn a_flood_is_left_out_and_counted() {
        let output = Output::new(Uuid::nil());
        for _ in 0..LONGEST_QUEUE + 3 {
            output.say(INFO, "x");
        }
        let lines = output.0.lines.lock();
        assert_eq!((lines.waiting.len(), lines.left_out), (LONGEST_QUEUE, 3));
        let mut times = lines.waiting.windows(2);
        assert!(times.all(|pair| pair[0].at < pair[1].at));
    }
}
