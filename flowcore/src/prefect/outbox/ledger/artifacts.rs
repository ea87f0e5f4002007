//! Artifacts: each is made once, in the order of their making, and an event
//! says so, whatever comes between the two; of the data that one shows later the
//! newest counts.

use std::collections::HashMap;

use serde_json::Value;
use uuid::Uuid;

use super::patience::Patience;
use super::weight::{self, Weight};
use super::{Ledger, Note, Reply, Step};
use crate::prefect::client::ApiError;
use crate::prefect::message::NewArtifact;

/// By their ids in this process.
#[derive(Debug, Default)]
pub(super) struct Artifacts {
    entries: HashMap<Uuid, Entry>,
    /// Nobody knows whether the one that is to be made next has been made.
    is_doubtful: bool,
    with_making: Patience,
    with_saying: Patience,
    with_changing: Patience,
}

#[derive(Debug)]
struct Entry {
    flow: Uuid,
    /// Its id on the server.
    server: Option<Uuid>,
    /// Until it is made, and an event says so.
    weight: Option<Weight>,
    /// The newest data that it shall show after its making, and the event that
    /// says so.
    newest: Option<(Value, Uuid)>,
    /// How often it got other data.
    changes: u64,
    sent: Option<Value>,
    /// An event has said so.
    is_said: bool,
}

/// What to ask of the server about an artifact.
#[derive(Clone, Debug)]
pub(crate) enum ArtifactCall {
    Make {
        new: Box<NewArtifact>,
        /// The flow run's id on the server.
        flow_run: Uuid,
        /// It may be there, and is none of these.
        unless_there: Option<Vec<Uuid>>,
    },
    /// It is there: the event that says so.
    Say { new: Box<NewArtifact>, server: Uuid },
    Change {
        artifact: Uuid,
        server: Uuid,
        data: Value,
    },
    /// It shows other data: the event that says so.
    SayChange {
        flow: Uuid,
        artifact: Uuid,
        server: Uuid,
        data: Value,
        event: Uuid,
    },
}

impl Artifacts {
    pub(super) fn call(&self, new: &NewArtifact, flow_run: Uuid) -> ArtifactCall {
        let new = Box::new(new.clone());
        if let Some(server) = self.entries.get(&new.id).and_then(|entry| entry.server) {
            return ArtifactCall::Say { new, server };
        }
        let of_flow = |entry: &Entry| (entry.flow == new.flow).then_some(entry.server).flatten();
        let unless_there = self
            .is_doubtful
            .then(|| self.entries.values().filter_map(of_flow).collect());
        ArtifactCall::Make {
            new,
            flow_run,
            unless_there,
        }
    }

    /// `None`: the server has no such artifact, or shows the newest data and has
    /// said so: each data is a step, and the first of several sends the newest.
    pub(super) fn data_call(&self, artifact: Uuid) -> Option<ArtifactCall> {
        let entry = self.entries.get(&artifact)?;
        let (data, event) = entry.newest.as_ref()?;
        let (server, data) = (entry.server?, data.clone());
        if entry.sent.as_ref() != Some(&data) {
            return Some(ArtifactCall::Change {
                artifact,
                server,
                data,
            });
        }
        (!entry.is_said).then_some(ArtifactCall::SayChange {
            flow: entry.flow,
            artifact,
            server,
            data,
            event: *event,
        })
    }

    /// The process is no more: the next one may have been made.
    pub(super) fn doubt(&mut self) {
        self.is_doubtful = true;
    }

    pub(super) fn not_now(&mut self, call: ArtifactCall, is_doubtful: bool) {
        if let ArtifactCall::Make { unless_there, .. } = call {
            // Once in doubt it stays so until it is known.
            self.is_doubtful = is_doubtful || unless_there.is_some();
        }
    }

    /// The server fails at this call and does others; whether it is given up.
    pub(super) fn gives_up(&mut self, call: &ArtifactCall) -> bool {
        self.patience_with(call).ends()
    }

    fn patience_with(&mut self, call: &ArtifactCall) -> &mut Patience {
        match call {
            ArtifactCall::Make { .. } => &mut self.with_making,
            ArtifactCall::Say { .. } | ArtifactCall::SayChange { .. } => &mut self.with_saying,
            ArtifactCall::Change { .. } => &mut self.with_changing,
        }
    }

    /// Nothing is to be said of its making any more.
    fn is_told(&mut self, artifact: Uuid) {
        if let Some(entry) = self.entries.get_mut(&artifact) {
            entry.weight = None;
        }
    }

    /// Its data as it was to be is there, or is given up.
    fn is_sent(&mut self, artifact: Uuid, data: Value) {
        if let Some(entry) = self.entries.get_mut(&artifact) {
            entry.sent = Some(data);
            entry.is_said = false;
        }
    }

    fn is_said(&mut self, artifact: Uuid) {
        if let Some(entry) = self.entries.get_mut(&artifact) {
            entry.is_said = true;
        }
    }

    /// The flow run is over.
    pub(super) fn forget(&mut self, flow: Uuid) {
        self.entries.retain(|_, entry| entry.flow != flow);
    }
}

impl Ledger {
    pub(super) fn artifact(&mut self, new: Box<NewArtifact>) {
        let flow = self.flows.get(&new.flow);
        let is_told = flow.is_some_and(|entry| !entry.is_refused());
        // From another process it may come twice.
        if !is_told || self.artifacts.entries.contains_key(&new.id) {
            return;
        }
        let entry = Entry {
            flow: new.flow,
            server: None,
            weight: Some(self.away.scale.weigh(weight::of_artifact(&new))),
            newest: None,
            changes: 0,
            sent: None,
            is_said: false,
        };
        self.artifacts.entries.insert(new.id, entry);
        self.step(new.flow, |_| Step::Artifact(new));
    }

    pub(super) fn artifact_data(&mut self, flow: Uuid, artifact: Uuid, data: Value) {
        let Some(entry) = self.artifacts.entries.get_mut(&artifact) else {
            return;
        };
        // The same when the same messages are taken in once more: what was said
        // already counts once.
        entry.changes += 1;
        let event = Uuid::from_u128(artifact.as_u128().wrapping_add(entry.changes.into()));
        entry.newest = Some((data, event));
        self.step(flow, |flow| Step::ArtifactData(flow, artifact));
    }

    /// The server has made an artifact. It has its data, which nobody needs any
    /// more.
    pub(super) fn artifact_is_made(&mut self, artifact: Uuid, server: Uuid) {
        let Some(entry) = self.artifacts.entries.get_mut(&artifact) else {
            return;
        };
        entry.server = Some(server);
        let new = self.steps.iter_mut().find_map(|step| match step {
            Step::Artifact(new) if new.id == artifact => Some(new),
            _ => None,
        });
        entry.weight = new.map(|new| {
            new.data = Value::Null;
            self.away.scale.weigh(weight::of_artifact(new))
        });
    }

    /// Whether nothing is left of the step.
    pub(super) fn artifact_done(&mut self, call: ArtifactCall, reply: &Reply) -> bool {
        self.artifacts.patience_with(&call).succeeded();
        match call {
            ArtifactCall::Make { new, .. } => {
                self.artifacts.is_doubtful = false;
                if let Reply::Made(server) = reply {
                    self.artifact_is_made(new.id, *server);
                    self.note(Note::Made(new.id, *server));
                    return false;
                }
            }
            ArtifactCall::Say { new, .. } => self.artifacts.is_told(new.id),
            ArtifactCall::Change { artifact, data, .. } => {
                self.artifacts.is_sent(artifact, data);
                return false;
            }
            ArtifactCall::SayChange { artifact, .. } => self.artifacts.is_said(artifact),
        }
        true
    }

    /// The server does not want it, or fails at it again and again.
    pub(super) fn artifact_refused(&mut self, call: ArtifactCall, error: &ApiError) {
        let is_news = self.artifacts.patience_with(&call).lost();
        match call {
            ArtifactCall::Make { new, .. } => {
                let name = name_of(&new);
                tracing::warn!(target: "flowcore::prefect", "{error}: {name} is lost");
                self.artifacts.is_doubtful = false;
                self.artifacts.entries.remove(&new.id);
            }
            ArtifactCall::Say { new, .. } => {
                let name = name_of(&new);
                lose_event(error, is_news, format_args!("that {name} was made"));
                self.artifacts.is_told(new.id);
            }
            ArtifactCall::Change {
                artifact,
                server,
                data,
            } => {
                tracing::warn!(
                    target: "flowcore::prefect",
                    "{error}: the artifact {server} does not show its newest data, {data}"
                );
                self.artifacts.is_sent(artifact, data);
                self.artifacts.is_said(artifact);
            }
            ArtifactCall::SayChange {
                artifact, server, ..
            } => {
                lose_event(
                    error,
                    is_news,
                    format_args!("that the artifact {server} shows other data"),
                );
                self.artifacts.is_said(artifact);
            }
        }
    }
}

fn name_of(new: &NewArtifact) -> String {
    match &new.key {
        Some(key) => format!("the artifact `{key}`"),
        None => format!("an artifact ({})", new.kind),
    }
}

/// The artifact is there; that nobody hears of it is no more than that.
fn lose_event(error: &ApiError, is_news: bool, what: std::fmt::Arguments<'_>) {
    if is_news {
        tracing::warn!(
            target: "flowcore::prefect",
            "{error}: no event says {what}, nor of other artifacts while that fails"
        );
    } else {
        tracing::debug!(target: "flowcore::prefect", "{error}: no event says {what}");
    }
}
