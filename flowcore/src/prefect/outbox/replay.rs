//! Files that processes left behind when they died: what is in them and not
//! on the server is told, once.
//!
//! A file is replayed under its lock, and what the server has learnt is added
//! to it: a replay that dies is gone on with. Nothing that others said of a
//! run in the meantime is overwritten.

use std::collections::{HashSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::Instant;
use uuid::Uuid;

use super::calls::MadeRun;
use super::events;
use super::file::{ENDING, Head, Record, WriteAhead};
use super::ledger::{KnownFlow, Ledger, Note, Seen};
use super::{Outbox, directory};
use crate::prefect::client::{ApiClient, ApiError};
use crate::prefect::mark::Mark;
use crate::prefect::message::Message;
use crate::prefect::on_server::TypeOnServer;
use crate::state::StateType;

/// What the server has in its queue shows within this time.
const STILL: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(1);
const PAGE: usize = 200;

/// What became of one file.
#[derive(Debug)]
pub(crate) enum Replay {
    /// Its process lives, or another replay has it.
    Busy,
    /// It is for another server, with this address.
    Elsewhere(String),
    /// It is not as we write it.
    Unreadable(String),
    Done(Told),
}

/// What was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Flow runs that were not told to their ends.
    pub(crate) flow_runs: usize,
    /// Of these: whose process died while they ran.
    pub(crate) crashed: usize,
    /// Task runs whose state the server did not have.
    pub(crate) task_runs: usize,
}

/// Files that were left behind, or are in use.
pub(crate) fn files() -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == ENDING) {
            files.push(path);
        }
    }
    // The names begin with times.
    files.sort();
    Ok(files)
}

/// Tells what is in a file and not on the server.
///
/// # Errors
///
/// If the server cannot be asked; the file stays.
pub(crate) async fn replay(client: &ApiClient, path: &Path) -> Result<Replay, ApiError> {
    let Some(file) = take(path) else {
        return Ok(Replay::Busy);
    };
    let (head, mut ledger) = match read(&file) {
        Ok(Some(read)) => read,
        Ok(None) => return Ok(Replay::Unreadable("it is of another version".to_owned())),
        Err(error) => return Ok(Replay::Unreadable(error.to_string())),
    };
    if head.server != client.settings().shown_url() {
        return Ok(Replay::Elsewhere(head.server));
    }
    let mark = head.mark;
    let mut ahead = match WriteAhead::resumed(file, path.to_owned(), head) {
        Ok(ahead) => ahead,
        Err(error) => return Ok(Replay::Unreadable(error.to_string())),
    };
    if ledger.is_idle() {
        ahead.clear();
        return Ok(Replay::Done(Told::default()));
    }
    let flow_runs = ledger.unfinished();
    let crashed = ledger.bury();
    let outbox = Outbox::with(client.clone(), ledger, ahead);
    look_at_flow_runs(&outbox, mark).await?;
    compare(&outbox).await?;
    // That took its time.
    look_at_flow_runs(&outbox, mark).await?;
    let task_runs = outbox.0.with(|ledger, _| ledger.unpark());
    outbox.wake();
    outbox.until(|ledger| ledger.is_idle().then_some(())).await;
    outbox.0.books.lock().ahead.clear();
    Ok(Replay::Done(Told {
        flow_runs,
        crashed,
        task_runs,
    }))
}

/// The file, if nobody else has it.
fn take(path: &Path) -> Option<File> {
    let file = OpenOptions::new().read(true).append(true).open(path).ok()?;
    file.try_lock().ok()?;
    // It may have been removed between the two.
    path.exists().then_some(file)
}

/// What the process knew. Its last line may be torn.
pub(super) fn read(file: &File) -> io::Result<Option<(Head, Ledger)>> {
    let mut lines = BufReader::new(file).split(b'\n');
    let head = match lines.next().transpose()? {
        Some(first) => serde_json::from_slice(&first).ok(),
        None => None,
    };
    let Some(Record::Head(head)) = head else {
        return Ok(None);
    };
    if !head.is_readable() {
        return Ok(None);
    }
    let mut ledger = Ledger::new(Uuid::now_v7).marked(head.mark);
    let mut away = VecDeque::new();
    for line in lines {
        match serde_json::from_slice(&line?) {
            Ok(Record::Message(message)) => {
                let now = time_of(&message);
                ledger.put(message, now);
            }
            Ok(Record::Later(message)) => away.push_back(message),
            Ok(Record::Note(Note::Back(count))) => {
                let back = away.drain(..count.min(away.len()));
                back.for_each(|message| come_back(&mut ledger, message));
            }
            Ok(Record::Note(note)) => ledger.learn(note),
            Ok(Record::Head(_)) | Err(_) => {}
        }
    }
    drop(ledger.take_notes());
    // That is noted: should this replay die too, it was before what comes.
    away.into_iter()
        .for_each(|message| come_back(&mut ledger, message));
    Ok(Some((head, ledger)))
}

fn come_back(ledger: &mut Ledger, message: Message) {
    let now = time_of(&message);
    ledger.is_back(message, now);
}

fn time_of(message: &Message) -> Timestamp {
    match message {
        Message::Log(line) => line.at,
        _ => Timestamp::UNIX_EPOCH,
    }
}

#[derive(Deserialize)]
struct Row {
    state_type: Option<TypeOnServer>,
    #[serde(flatten)]
    run: MadeRun,
}

/// Others may have said how flow runs go on, or execute them.
async fn look_at_flow_runs(outbox: &Outbox, mark: Option<Mark>) -> Result<(), ApiError> {
    let client = &outbox.0.client;
    for known in outbox.0.with(|ledger, _| ledger.known_flows()) {
        let (flow, server) = (known.flow, known.server);
        let row: Row = match client.get(&format!("/flow_runs/{server}")).await {
            Ok(row) => row,
            Err(ApiError::NotFound { .. }) => {
                outbox.0.with(|ledger, _| ledger.forget(flow));
                continue;
            }
            Err(error) => return Err(error),
        };
        let kind = row.state_type.map(|kind| kind.0);
        let is_decided = !matches!(
            kind,
            Some(StateType::Running | StateType::Pending | StateType::Cancelling) | None
        );
        let is_others = is_decided || executed_elsewhere(client, &known, mark).await?;
        outbox.0.with(|ledger, _| {
            if is_others {
                ledger.is_known(flow, |flow_name| row.run.of_flow(flow_name));
                ledger.leave_alone(flow);
            } else if kind == Some(StateType::Cancelling) {
                ledger.end_cancelled(flow);
            }
        });
    }
    Ok(())
}

/// Whether another process executes the flow run by now.
async fn executed_elsewhere(
    client: &ApiClient,
    known: &KnownFlow,
    mark: Option<Mark>,
) -> Result<bool, ApiError> {
    let Some(mark) = mark else {
        return Ok(false);
    };
    let path = format!("/flow_run_states/?flow_run_id={}", known.server);
    let states: Vec<MadeState> = client.get(&path).await?;
    Ok(is_with_others(&states, mark, known.since))
}

/// A state that a flow run had.
#[derive(Deserialize)]
pub(super) struct MadeState {
    #[serde(rename = "type")]
    pub(super) kind: TypeOnServer,
    pub(super) timestamp: Timestamp,
    #[serde(default)]
    pub(super) state_details: Map<String, Value>,
}

/// Whether another process than that of the mark was the last to take the run,
/// which was begun there at this time if others may have begun it before.
pub(super) fn is_with_others(states: &[MadeState], mark: Mark, since: Option<Timestamp>) -> bool {
    let mut is_ours = false;
    let mut is_others = false;
    for state in states {
        // Those that say nothing of their makers are the server's.
        match (state.kind.0, mark.has_made(&state.state_details)) {
            (_, Some(true)) => (is_ours, is_others) = (true, false),
            (StateType::Running, Some(false)) => is_others = true,
            // Whoever starts processes takes the run first.
            (StateType::Pending, Some(false)) => {
                is_others = is_ours || since.is_some_and(|since| state.timestamp > since);
            }
            _ => {}
        }
    }
    is_others
}

/// Finds out which task runs the server has, when its queue is empty.
async fn compare(outbox: &Outbox) -> Result<(), ApiError> {
    let mut since = Instant::now();
    loop {
        let parked = outbox.0.with(|ledger, _| ledger.parked());
        let mut there = HashSet::new();
        for page in parked.chunks(PAGE) {
            let ids: Vec<Uuid> = page.iter().map(|(id, _)| *id).collect();
            let rows = events::rows(&outbox.0.client, &ids).await?;
            outbox.0.with(|ledger, _| {
                there.extend(rows.iter().filter(|row| has(ledger, row)).map(|row| row.id));
            });
        }
        outbox.0.with(|ledger, _| ledger.has_recorded(&there));
        if there.len() == parked.len() {
            return Ok(());
        }
        if !there.is_empty() {
            since = Instant::now();
        } else if since.elapsed() >= STILL {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether a row is as the process knew it, or somebody has changed it since.
pub(super) fn has(ledger: &Ledger, row: &Seen) -> bool {
    /// Times of states that came at once are set a little later.
    const CLOSE: SignedDuration = SignedDuration::from_millis(1);
    let Some((name, at, is_guess)) = ledger.newest_of(row.id) else {
        return true;
    };
    let is_newer = row.at.is_some_and(|seen| seen.duration_since(at) > CLOSE);
    // Without a time a final state is taken for the newest.
    let is_last = row.is_final && (is_guess || row.at.is_none());
    row.state == name || is_newer || is_last
}
