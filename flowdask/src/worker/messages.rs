//! The stream's messages: what the scheduler says, read, and what we say to
//! it, written (protocol, sections 7.3 to 7.5).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::state::{Message, Peer, Priority, Remote, Resources};
use super::store::Description;
use crate::wire::{FieldError, Fields, Key, Pickled, Serialized, Value};

/// When something was done, as dashboards want to know it (`startstops`).
#[derive(Clone, Debug)]
pub(super) struct StartStop {
    action: &'static str,
    /// Seconds since 1970 on this machine's clock.
    start: f64,
    stop: f64,
    /// Where a transfer came from.
    source: Option<Peer>,
}

impl StartStop {
    /// An execution that began then and ends now.
    pub(super) fn compute(start: f64) -> Self {
        Self {
            action: "compute",
            start,
            stop: now(),
            source: None,
        }
    }

    /// A transfer that began then and ends now.
    pub(super) fn transfer(start: f64, source: Peer) -> Self {
        Self {
            action: "transfer",
            start,
            stop: now(),
            source: Some(source),
        }
    }

    fn to_value(&self, clock_offset: f64) -> Value {
        let mut entries: Vec<(Value, Value)> = vec![
            ("action".into(), self.action.into()),
            ("start".into(), (self.start + clock_offset).into()),
            ("stop".into(), (self.stop + clock_offset).into()),
        ];
        if let Some(source) = &self.source {
            entries.push(("source".into(), (&**source).into()));
        }
        Value::Map(entries)
    }
}

/// How an execution went.
#[derive(Clone, Debug, Default)]
pub(super) struct Ran {
    pub(super) startstops: Vec<StartStop>,
    pub(super) thread: u64,
}

/// Seconds since 1970.
pub(super) fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |elapsed| elapsed.as_secs_f64())
}

/// A name for what we start, as logs of the scheduler show it.
pub(super) fn stimulus_id(what: &str) -> Value {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{what}-{}", NEXT.fetch_add(1, Ordering::Relaxed)).into()
}

/// A `compute-task`, before its task specification is read.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) key: Key,
    pub(super) run_id: i64,
    pub(super) priority: Priority,
    pub(super) resources: Resources,
    pub(super) dependencies: Vec<Remote>,
    pub(super) run_spec: Pickled,
    pub(super) annotations: Value,
    pub(super) is_actor: bool,
}

impl Order {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, FieldError> {
        let priority = fields
            .list("priority")?
            .iter()
            .map(|element| number("priority", element))
            .collect::<Result<Vec<_>, _>>()?;
        let resources = match fields.optional("resource_restrictions") {
            None => Resources::new(),
            Some(Value::Map(entries)) => entries
                .iter()
                .map(|(name, amount)| {
                    let amount = number("resource_restrictions", amount)?;
                    Ok((Arc::from(name.as_str().unwrap_or_default()), amount))
                })
                .collect::<Result<_, FieldError>>()?,
            Some(other) => return Err(kind("resource_restrictions", "a map", &other)),
        };
        Ok(Self {
            key: fields.key("key")?,
            run_id: fields.integer("run_id")?,
            priority: Priority::new(priority),
            resources,
            dependencies: remotes(fields)?,
            run_spec: fields.pickled("run_spec")?,
            annotations: fields
                .optional("annotations")
                .unwrap_or_else(|| Value::map([])),
            is_actor: fields.optional("actor") == Some(true.into()),
        })
    }
}

#[allow(clippy::cast_precision_loss)]
fn number(member: &str, value: &Value) -> Result<f64, FieldError> {
    match value {
        Value::Float(number) => Ok(*number),
        Value::Integer(number) => Ok(*number as f64),
        other => Err(kind(member, "a number", other)),
    }
}

fn kind(member: &str, wanted: &'static str, found: &Value) -> FieldError {
    FieldError::kind("compute-task", member, wanted, found)
}

/// `who_has`, with the sizes in `nbytes` if they are there.
pub(super) fn remotes(fields: &mut Fields) -> Result<Vec<Remote>, FieldError> {
    let who_has = fields.who_has("who_has")?;
    let mut sizes: HashMap<Key, u64> = match fields.optional("nbytes") {
        Some(Value::Map(entries)) => entries
            .into_iter()
            .filter_map(|(key, size)| match size {
                Value::Integer(size) => Some((key.try_into().ok()?, size.try_into().ok()?)),
                _ => None,
            })
            .collect(),
        _ => HashMap::new(),
    };
    Ok(who_has
        .into_iter()
        .map(|(key, addresses)| Remote {
            peers: addresses.into_iter().map(Peer::from).collect(),
            nbytes: sizes.remove(&key).unwrap_or_default(),
            key,
        })
        .collect())
}

/// A run ended with a value that is here.
pub(super) fn task_finished(
    key: &Key,
    run_id: i64,
    value: Description,
    ran: &Ran,
    clock_offset: f64,
) -> Value {
    Value::map([
        ("op", "task-finished".into()),
        ("status", "OK".into()),
        ("key", key.into()),
        ("run_id", run_id.into()),
        ("nbytes", value.nbytes.into()),
        ("type", value.pickled_type.into()),
        ("typename", (&*value.type_name).into()),
        ("metadata", Value::map([])),
        ("thread", ran.thread.into()),
        ("startstops", startstops(ran, clock_offset)),
        ("stimulus_id", stimulus_id("task-finished")),
    ])
}

/// A run ended with an error: its pickle for clients, its text for logs.
pub(super) fn task_erred(
    key: &Key,
    run_id: i64,
    exception: Serialized,
    text: &str,
    ran: &Ran,
    clock_offset: f64,
) -> Value {
    Value::map([
        ("op", "task-erred".into()),
        ("status", "error".into()),
        ("key", key.into()),
        ("run_id", run_id.into()),
        ("exception", exception.into()),
        ("traceback", Value::Nil),
        ("exception_text", text.into()),
        ("traceback_text", "".into()),
        ("thread", ran.thread.into()),
        ("startstops", startstops(ran, clock_offset)),
        ("stimulus_id", stimulus_id("task-erred")),
    ])
}

fn startstops(ran: &Ran, clock_offset: f64) -> Value {
    ran.startstops
        .iter()
        .map(|startstop| startstop.to_value(clock_offset))
        .collect()
}

/// A run gave its slot back after so many seconds. Older releases refuse the
/// `run_id`.
pub(super) fn long_running(key: &Key, run_id: Option<i64>, seconds: f64) -> Value {
    let mut entries: Vec<(Value, Value)> = vec![
        ("op".into(), "long-running".into()),
        ("key".into(), key.into()),
        ("compute_duration".into(), seconds.into()),
        ("stimulus_id".into(), stimulus_id("secede")),
    ];
    if let Some(run_id) = run_id {
        entries.push(("run_id".into(), run_id.into()));
    }
    Value::Map(entries)
}

/// The messages that say all they have to by themselves; none for those above.
pub(super) fn plain(message: &Message) -> Option<Value> {
    Some(match message {
        Message::Reschedule { key } => reschedule(key),
        Message::AddKeys(keys) => Value::map([
            ("op", "add-keys".into()),
            ("keys", keys.iter().collect()),
            ("stimulus_id", stimulus_id("add-keys")),
        ]),
        Message::ReleaseWorkerData(key) => Value::map([
            ("op", "release-worker-data".into()),
            ("key", key.into()),
            ("stimulus_id", stimulus_id("release-worker-data")),
        ]),
        Message::StealResponse {
            key,
            state,
            stimulus_id,
        } => Value::map([
            ("op", "steal-response".into()),
            ("key", key.into()),
            ("state", (*state).into()),
            ("stimulus_id", stimulus_id.as_str().into()),
        ]),
        Message::RequestRefreshWhoHas(keys) => Value::map([
            ("op", "request-refresh-who-has".into()),
            ("keys", keys.iter().collect()),
            ("stimulus_id", stimulus_id("request-refresh-who-has")),
        ]),
        Message::StatusChange(status) => Value::map([
            ("op", "worker-status-change".into()),
            ("status", status.as_str().into()),
            ("stimulus_id", stimulus_id("worker-status-change")),
        ]),
        Message::TaskFinished { .. } | Message::TaskErred { .. } | Message::LongRunning { .. } => {
            return None;
        }
    })
}

/// Gives a task back: it is sent again, to somebody.
pub(super) fn reschedule(key: &Key) -> Value {
    Value::map([
        ("op", "reschedule".into()),
        ("key", key.into()),
        ("stimulus_id", stimulus_id("reschedule")),
    ])
}
