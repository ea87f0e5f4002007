//! The flow's end: a task runner that sends everything to a child process.

use std::collections::{HashMap, HashSet};
use std::io::BufReader;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flow_tests::seam::protocol::{FromChild, ToChild, read, write};
use flowcore::bridge::{
    EncodedValue, Feed, Home, RunEvent, RunReference, RunnerFuture, RunnerSession, TaskRunner, Work,
};
use flowcore::{Error, Result, StateName};
use tokio::sync::oneshot;

/// What went to the child.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) descriptors: AtomicUsize,
    pub(crate) fetches: AtomicUsize,
    pub(crate) cancels: AtomicUsize,
    /// How many descriptors each message held.
    batches: Mutex<Vec<usize>>,
}

type Pipe = Arc<Mutex<Option<ChildStdin>>>;

/// Each flow run has a child of its own.
#[derive(Clone, Debug)]
pub(crate) struct ChildProcessRunner {
    feed: Feed,
    counts: Arc<Counts>,
    /// The way to the last flow run's child.
    last: Arc<Mutex<Option<Pipe>>>,
    /// Every message of the control channel comes twice.
    repeats: bool,
}

impl ChildProcessRunner {
    pub(crate) fn new(feed: Feed) -> Self {
        Self {
            feed,
            counts: Arc::default(),
            last: Arc::default(),
            repeats: false,
        }
    }

    /// Delivers at least once.
    pub(crate) fn repeating(mut self) -> Self {
        self.repeats = true;
        self
    }

    /// Closes the child's stdin, as this process's end would.
    pub(crate) fn hang_up(&self) {
        if let Some(stdin) = &*lock(&self.last) {
            lock(stdin).take();
        }
    }

    /// How many descriptors each message held so far.
    pub(crate) fn batches(&self) -> MutexGuard<'_, Vec<usize>> {
        lock(&self.counts.batches)
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }
}

impl TaskRunner for ChildProcessRunner {
    fn name(&self) -> &'static str {
        "ChildProcessRunner"
    }

    fn start(&self, home: Home) -> RunnerFuture<Result<Arc<dyn RunnerSession>>> {
        let Self {
            feed,
            counts,
            last,
            repeats,
        } = self.clone();
        Box::pin(async move {
            // It ends when its stdin does, however this process ends.
            let mut child = Command::new(env!("CARGO_BIN_EXE_seam_child"))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            let stdin: Pipe = Arc::new(Mutex::new(child.stdin.take()));
            *lock(&last) = Some(Arc::clone(&stdin));
            let stdout = child.stdout.take().ok_or_else(|| Error::msg("no stdout"))?;
            let waiting = Arc::new(Mutex::new(Waiting::default()));
            let reader = {
                let (home, waiting) = (home.clone(), Arc::clone(&waiting));
                let stdin = Arc::clone(&stdin);
                std::thread::spawn(move || listen(stdout, &home, &waiting, &stdin, repeats))
            };
            drop(reader);
            let session: Arc<dyn RunnerSession> = Arc::new(Session {
                feed,
                counts,
                home,
                stdin,
                child: Mutex::new(child),
                waiting,
                next: AtomicU64::new(0),
            });
            Ok(session)
        })
    }
}

/// What the child owes.
#[derive(Default)]
struct Waiting {
    runs: HashSet<RunReference>,
    values: HashMap<u64, oneshot::Sender<Result<EncodedValue>>>,
    lengths: HashMap<u64, oneshot::Sender<Result<u32>>>,
    is_gone: bool,
}

struct Session {
    feed: Feed,
    counts: Arc<Counts>,
    home: Home,
    stdin: Pipe,
    child: Mutex<Child>,
    waiting: Arc<Mutex<Waiting>>,
    next: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn gone() -> Error {
    Error::msg("the child process is gone")
}

fn crashed(run: RunReference) -> RunEvent {
    RunEvent::Ended {
        run,
        state: StateName::Crashed,
        message: Some("The child process is gone.".to_owned()),
        error: gone(),
    }
}

/// Hears the child to its end.
fn listen(stdout: ChildStdout, home: &Home, waiting: &Mutex<Waiting>, stdin: &Pipe, repeats: bool) {
    let mut stdout = BufReader::new(stdout);
    while let Ok(Some(message)) = read(&mut stdout) {
        match message {
            FromChild::Event(event) => {
                if let RunEvent::Completed { run }
                | RunEvent::Cached { run }
                | RunEvent::Ended { run, .. } = &event
                {
                    lock(waiting).runs.remove(run);
                }
                home.report(event);
            }
            FromChild::Control(message) => {
                for _ in 0..=usize::from(repeats) {
                    let stdin = Arc::clone(stdin);
                    home.receive(message.clone(), move |answer| {
                        let answer = ToChild::Control(answer);
                        for _ in 0..=usize::from(repeats) {
                            say(&stdin, &answer);
                        }
                    });
                }
            }
            FromChild::Value(number, value) => {
                if let Some(answer) = lock(waiting).values.remove(&number) {
                    let _ = answer.send(value);
                }
            }
            FromChild::Length(number, length) => {
                if let Some(answer) = lock(waiting).lengths.remove(&number) {
                    let _ = answer.send(length);
                }
            }
        }
    }
    // Answers that will not come end with their senders.
    let runs = {
        let mut waiting = lock(waiting);
        waiting.is_gone = true;
        waiting.values.clear();
        waiting.lengths.clear();
        std::mem::take(&mut waiting.runs)
    };
    for run in runs {
        home.report(crashed(run));
    }
}

/// Errors show at the other end of the pipe: the child is gone.
fn say(stdin: &Pipe, message: &ToChild) {
    if let Some(stdin) = &mut *lock(stdin) {
        let _ = write(stdin, message);
    }
}

impl Session {
    fn say(&self, message: &ToChild) {
        say(&self.stdin, message);
    }

    /// Sends the descriptors together.
    fn send(&self, batch: &mut Vec<Vec<u8>>) {
        if !batch.is_empty() {
            lock(&self.counts.batches).push(batch.len());
            self.say(&ToChild::Work(std::mem::take(batch)));
        }
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

impl RunnerSession for Session {
    fn feed(&self) -> Feed {
        self.feed
    }

    /// One row in a message, unless the task says otherwise.
    fn submit(&self, work: Work) {
        let mut batch = Vec::new();
        for (run, descriptor) in work.describe() {
            let size = descriptor.as_ref().ok().and_then(|work| work.batch);
            let bytes = descriptor.and_then(|descriptor| descriptor.to_bytes());
            match bytes {
                Ok(bytes) => {
                    self.counts.descriptors.fetch_add(1, Ordering::Relaxed);
                    let is_gone = {
                        let mut waiting = lock(&self.waiting);
                        waiting.runs.insert(run);
                        waiting.is_gone
                    };
                    if is_gone {
                        self.home.report(crashed(run));
                    }
                    batch.push(bytes);
                    if batch.len() >= size.unwrap_or(1) as usize {
                        self.send(&mut batch);
                    }
                }
                Err(error) => self.home.report(RunEvent::Ended {
                    run,
                    state: StateName::Failed,
                    message: Some(error.to_string()),
                    error,
                }),
            }
        }
        self.send(&mut batch);
    }

    fn cancel(&self, run: RunReference) {
        self.counts.cancels.fetch_add(1, Ordering::Relaxed);
        self.say(&ToChild::Cancel(run));
    }

    fn fetch(&self, run: RunReference) -> RunnerFuture<Result<EncodedValue>> {
        self.counts.fetches.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        let number = self.number();
        let mut waiting = lock(&self.waiting);
        if !waiting.is_gone {
            waiting.values.insert(number, sender);
        }
        drop(waiting);
        self.say(&ToChild::Fetch(number, run));
        Box::pin(async move { receiver.await.map_err(|_| gone())? })
    }

    fn length(&self, run: RunReference) -> RunnerFuture<Result<u32>> {
        let (sender, receiver) = oneshot::channel();
        let number = self.number();
        let mut waiting = lock(&self.waiting);
        if !waiting.is_gone {
            waiting.lengths.insert(number, sender);
        }
        drop(waiting);
        self.say(&ToChild::Length(number, run));
        Box::pin(async move { receiver.await.map_err(|_| gone())? })
    }

    fn close(&self) -> RunnerFuture<()> {
        lock(&self.stdin).take();
        let ended = lock(&self.child).wait();
        Box::pin(async move {
            ended.expect("the child ends with its stdin");
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        lock(&self.stdin).take();
        let mut child = lock(&self.child);
        let _ = child.kill();
        let _ = child.wait();
    }
}
