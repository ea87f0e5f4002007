//! The end of the channel in the process that executes: requests on their way
//! and who waits for each answer.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::messages::{Answer, LogRecord, Request, RequestId, ToHome};
use crate::error::{Error, ErrorKind, Result};
use crate::runner::worker::WorkerLink;
use crate::runner::{RunReference, note_waiting};
use crate::state::shorten;

/// All lines of a worker.
pub(crate) struct Lines {
    pub(crate) link: Box<dyn WorkerLink>,
    open: Mutex<HashMap<RequestId, oneshot::Sender<Answer>>>,
    next: AtomicU64,
}

impl Lines {
    pub(crate) fn new(link: Box<dyn WorkerLink>) -> Self {
        // Far apart for every process.
        let (_, random) = uuid::Uuid::new_v4().as_u64_pair();
        Self {
            link,
            open: Mutex::default(),
            next: AtomicU64::new(random),
        }
    }

    /// An answer has come; one that comes again finds nobody.
    pub(crate) fn answered(&self, id: RequestId, answer: Answer) {
        let waiter = self.open.lock().remove(&id);
        if let Some(waiter) = waiter {
            // It may have stopped waiting.
            let _ = waiter.send(answer);
        }
    }

    /// No answer will come any more.
    pub(crate) fn hang_up(&self) {
        let open = std::mem::take(&mut *self.open.lock());
        drop(open);
    }
}

/// The line of one execution.
pub(crate) struct Line {
    lines: Arc<Lines>,
    flow_run: u128,
    run: RunReference,
    execution: u64,
    asked: AtomicU64,
    /// Home wants to hear the name that the run's template gives it.
    owes_name: AtomicBool,
}

/// A line of a log that goes to another process has about so many bytes at
/// most; what is cut off is counted at its end. A message with it stays below
/// the 16 kB that schedulers are glad to keep a thousand of.
const LONGEST_LINE: usize = 12 << 10;

impl Line {
    pub(crate) fn new(
        lines: &Arc<Lines>,
        flow_run: u128,
        run: RunReference,
        owes_name: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            lines: Arc::clone(lines),
            flow_run,
            run,
            execution: lines.next.fetch_add(1, Ordering::Relaxed),
            asked: AtomicU64::new(0),
            owes_name: AtomicBool::new(owes_name),
        })
    }

    /// The run that is executed.
    pub(crate) fn run(&self) -> RunReference {
        self.run
    }

    /// Tells executions of one run apart.
    pub(crate) fn execution(&self) -> u64 {
        self.execution
    }

    pub(crate) fn log(&self, mut record: LogRecord) {
        record.run = Some(self.run);
        if record.message.len() > LONGEST_LINE {
            record.message = shorten(&record.message, LONGEST_LINE).into_owned();
        }
        self.send(ToHome::Log(record));
    }

    /// The run's value lies in a record that says this of itself.
    pub(crate) fn record(&self, metadata: &serde_json::Value) {
        self.send(ToHome::Record {
            run: self.run,
            metadata: metadata.to_string(),
        });
    }

    /// The run's template gave it this name, the same in each attempt.
    pub(crate) fn name(&self, name: &str) {
        if self.owes_name.swap(false, Ordering::Relaxed) {
            let (run, name) = (self.run, name.to_owned());
            self.send(ToHome::Name { run, name });
        }
    }

    pub(crate) fn ask(self: &Arc<Self>, request: Request) -> Asking {
        let id = RequestId {
            run: self.run,
            execution: self.execution,
            number: self.asked.fetch_add(1, Ordering::Relaxed),
        };
        let (sender, answer) = oneshot::channel();
        self.lines.open.lock().insert(id, sender);
        self.send(ToHome::Request(id, request));
        Asking {
            line: Arc::clone(self),
            id,
            answer,
            is_needed: false,
        }
    }

    /// Nothing of the execution runs any more.
    pub(crate) fn end(&self) {
        if self.asked.load(Ordering::Relaxed) > 0 {
            self.send(ToHome::Ended {
                run: self.run,
                execution: self.execution,
            });
        }
    }

    fn send(&self, message: ToHome) {
        self.lines.link.send(self.flow_run, message);
    }
}

/// A request on its way. Dropped, it is dismissed: unanswered it is given up,
/// answered it needs to be kept at home no longer.
pub(crate) struct Asking {
    line: Arc<Line>,
    id: RequestId,
    answer: oneshot::Receiver<Answer>,
    /// The slots that were asked for are held.
    is_needed: bool,
}

impl Future for Asking {
    type Output = Result<Answer>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Poll::Ready(answer) = Pin::new(&mut self.answer).poll(context) else {
            note_waiting();
            return Poll::Pending;
        };
        Poll::Ready(answer.map_err(|_| {
            let text = "the flow's process is gone";
            Error::build(ErrorKind::Crashed, text).finish()
        }))
    }
}

impl Asking {
    /// Asks once more, as the message or its answer may be lost; it is served
    /// once all the same.
    pub(crate) fn again(&self, request: Request) {
        self.line.send(ToHome::Request(self.id, request));
    }

    /// Ends when the slots are taken.
    pub(crate) async fn slots(mut self) -> Result<SlotsElsewhere> {
        match (&mut self).await? {
            Answer::Slots(taken) => {
                self.is_needed = taken.is_ok();
                taken.map(|()| SlotsElsewhere {
                    line: Arc::clone(&self.line),
                    id: self.id,
                })
            }
            _ => Err(Error::invalid("slots were asked for, and nothing else")),
        }
    }

    /// What the server says.
    #[cfg(feature = "prefect")]
    pub(crate) async fn server(self) -> Result<String> {
        match self.await? {
            Answer::Server(answer) => answer,
            _ => Err(Error::invalid("the server was asked, and nothing else")),
        }
    }

    /// The numbers of attempts that are not the first.
    pub(crate) async fn attempts(&mut self) -> Result<Vec<(RunReference, u32)>> {
        match self.await? {
            Answer::Attempts(attempts) => Ok(attempts),
            _ => Err(Error::invalid("attempts were asked for, and nothing else")),
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if !self.is_needed {
            self.line.lines.open.lock().remove(&self.id);
            self.line.send(ToHome::Dismiss(self.id));
        }
    }
}

/// Slots that the flow's process holds for code here, until this is dropped.
pub(crate) struct SlotsElsewhere {
    line: Arc<Line>,
    id: RequestId,
}

impl fmt::Debug for SlotsElsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SlotsElsewhere").field(&self.id).finish()
    }
}

impl Drop for SlotsElsewhere {
    fn drop(&mut self) {
        self.line.send(ToHome::Dismiss(self.id));
    }
}
