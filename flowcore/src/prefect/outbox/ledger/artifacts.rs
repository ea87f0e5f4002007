//! Artifacts: each is made once, in the order of their making, and an event
//! says so, whatever comes between the two; of the data that one shows later the
//! newest counts.

use std::collections::HashMap;

use serde_json::Value;
use uuid::Uuid;

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
}

#[derive(Debug)]
struct Entry {
    flow: Uuid,
    /// Its id on the server.
    server: Option<Uuid>,
    /// Until it is made.
    weight: Option<Weight>,
    /// The newest data that it shall show after its making, and the event that
    /// says so.
    newest: Option<(Value, Uuid)>,
    sent: Option<Value>,
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

    /// `None`: the server has no such artifact, or shows the newest data: each
    /// data is a step, and the first of several sends the newest.
    pub(super) fn data_call(&self, artifact: Uuid) -> Option<ArtifactCall> {
        let entry = self.entries.get(&artifact)?;
        let (data, event) = entry.newest.as_ref()?;
        if entry.sent.as_ref() == Some(data) {
            return None;
        }
        Some(ArtifactCall::Change {
            flow: entry.flow,
            artifact,
            server: entry.server?,
            data: data.clone(),
            event: *event,
        })
    }

    /// The server has made an artifact.
    pub(super) fn is_made(&mut self, artifact: Uuid, server: Uuid) {
        if let Some(entry) = self.entries.get_mut(&artifact) {
            entry.server = Some(server);
            entry.weight = None;
        }
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
            sent: None,
        };
        self.artifacts.entries.insert(new.id, entry);
        self.step(new.flow, |_| Step::Artifact(new));
    }

    pub(super) fn artifact_data(&mut self, flow: Uuid, artifact: Uuid, data: Value) {
        let event = (self.new_id)();
        let Some(entry) = self.artifacts.entries.get_mut(&artifact) else {
            return;
        };
        entry.newest = Some((data, event));
        self.step(flow, |flow| Step::ArtifactData(flow, artifact));
    }

    /// Whether nothing is left of the step.
    pub(super) fn artifact_done(&mut self, call: ArtifactCall, reply: &Reply) -> bool {
        match call {
            ArtifactCall::Make { new, .. } => {
                self.artifacts.is_doubtful = false;
                if let Reply::Made(server) = reply {
                    self.artifacts.is_made(new.id, *server);
                    self.note(Note::Made(new.id, *server));
                    return false;
                }
            }
            ArtifactCall::Say { .. } => {}
            ArtifactCall::Change { artifact, data, .. } => {
                if let Some(entry) = self.artifacts.entries.get_mut(&artifact) {
                    entry.sent = Some(data);
                }
            }
        }
        true
    }

    pub(super) fn artifact_refused(&mut self, call: ArtifactCall, error: &ApiError) {
        match call {
            ArtifactCall::Make { new, .. } => {
                tracing::warn!(target: "flowcore::prefect", "{error}: the artifact is lost");
                self.artifacts.is_doubtful = false;
                self.artifacts.entries.remove(&new.id);
            }
            ArtifactCall::Say { .. } => {
                lose_event(error);
            }
            change @ ArtifactCall::Change { .. } => {
                tracing::warn!(
                    target: "flowcore::prefect",
                    "{error}: what an artifact shows is not the newest"
                );
                self.artifact_done(change, &Reply::Done);
            }
        }
    }
}

/// The artifact is there; that nobody hears of it is no more than that.
pub(in crate::prefect::outbox) fn lose_event(error: &ApiError) {
    tracing::debug!(target: "flowcore::prefect", "{error}: an event of an artifact is lost");
}
