//! What handles ask of a flow run: states, lengths, and to be woken.

use std::ops::Range;
use std::task::{Context, Poll, Waker};

use super::{FlowRun, Shell, end, note};
use crate::clock::Timestamp;
use crate::definition::Failure;
use crate::engine::{Map, MapId, RunView, next_attempt};
use crate::error::{Error, Result};
use crate::flow::symbolic;
use crate::runner::RunReference;
use crate::runtime::now;
use crate::state::{State, StateName, StateOutcome};
use crate::value::StoredValue;

impl FlowRun {
    pub(crate) fn map_length(&self, id: MapId) -> Option<u32> {
        self.shell.lock().engine.map(id)?.length
    }

    /// Looks at a map as it stands.
    pub(crate) fn with_map<R>(&self, id: MapId, look: impl FnOnce(&Map) -> R) -> Option<R> {
        self.shell.lock().engine.map(id).map(look)
    }

    pub(crate) fn view(&self, run: RunReference) -> Option<RunView> {
        let shell = self.shell.lock();
        shell.view(run).or_else(|| shell.missing_row(run))
    }

    /// The numbers of attempts, of those that are not the first: of these rows
    /// of the run's map, or of the run alone.
    pub(crate) fn attempts_under_way(
        &self,
        run: RunReference,
        rows: Option<Range<u32>>,
    ) -> Vec<(RunReference, u32)> {
        let shell = self.shell.lock();
        let attempt = |run| {
            let view = shell.view(run)?;
            let attempt = next_attempt(view.name, view.attempt);
            // One that has ended and is executed once more has all its retries.
            (attempt > 1 && !view.name.is_settled()).then_some((run, attempt))
        };
        match (run, rows) {
            (RunReference::Row(map, _), Some(rows)) => rows
                .filter_map(|row| attempt(RunReference::Row(map, row)))
                .collect(),
            (run, _) => attempt(run).into_iter().collect(),
        }
    }

    /// The settled run, or a note to wake the caller when it is.
    pub(crate) fn poll_settled(&self, run: RunReference, waker: &Waker) -> Poll<RunView> {
        let mut shell = self.shell.lock();
        let is_leaving = shell.is_leaving(run) || shell.hooks.holds(run);
        match shell.view(run).or_else(|| shell.missing_row(run)) {
            Some(view) if view.name.is_settled() && !is_leaving => Poll::Ready(view),
            _ => {
                shell.note_waker(run, waker);
                Poll::Pending
            }
        }
    }

    /// If the flow run was asked to stop, lets others go first, once: among them
    /// who drops its code, which might handle the error of a stopped run, go on,
    /// and never wait for anything again.
    pub(crate) fn poll_yield_if_stopping(
        &self,
        has_yielded: &mut bool,
        context: &Context<'_>,
    ) -> Poll<()> {
        if *has_yielded || !self.stopping().is_set() {
            return Poll::Ready(());
        }
        *has_yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }

    pub(crate) async fn yield_if_stopping(&self) {
        let mut has_yielded = false;
        std::future::poll_fn(|context| self.poll_yield_if_stopping(&mut has_yielded, context))
            .await;
    }

    /// Ready when a map (or a part of its rows) has settled.
    pub(crate) fn poll_map_settled(
        &self,
        id: MapId,
        rows: Option<&Range<u32>>,
        waker: &Waker,
    ) -> Poll<()> {
        let mut shell = self.shell.lock();
        let settled = shell.is_map_settled(id, rows);
        if settled {
            return Poll::Ready(());
        }
        note(&mut shell.map_wakers, id, waker);
        Poll::Pending
    }

    /// Whether a map's length is known, or it ended without one.
    pub(crate) fn poll_length(&self, id: MapId, waker: &Waker) -> Poll<Result<u32>> {
        let mut shell = self.shell.lock();
        match shell.engine.map(id) {
            Some(map) if map.length.is_some() => Poll::Ready(Ok(map.length.unwrap_or(0))),
            Some(map) if map.ended_whole.is_some() => {
                let view = map.view(0);
                Poll::Ready(Err(view.map_or_else(
                    || Error::invalid("the map ended without rows"),
                    |view| view.error(),
                )))
            }
            None => Poll::Ready(Err(Error::invalid("the map is gone"))),
            Some(_) => {
                note(&mut shell.map_wakers, id, waker);
                Poll::Pending
            }
        }
    }

    /// How these rows of a settled map ended: the first that did not complete
    /// stands for all.
    pub(in crate::flow) fn rows_end(
        &self,
        id: MapId,
        rows: Option<&Range<u32>>,
    ) -> (StateName, Option<Failure>) {
        let end = self.with_map(id, |map| {
            if map.ended_whole.is_some() {
                return map.view(0);
            }
            let failed = map.failures.keys();
            let first = failed
                .filter(|row| rows.is_none_or(|rows| rows.contains(row)))
                .min()?;
            map.view(*first)
        });
        match end.flatten() {
            Some(view) => (view.name, view.failure),
            None => (StateName::Completed, None),
        }
    }
}

impl Shell {
    fn is_map_settled(&self, id: MapId, rows: Option<&Range<u32>>) -> bool {
        match (self.engine.map(id), rows) {
            _ if self.leaving.contains(&id) || self.hooks.holds_rows(id, rows) => false,
            (None, _) => true,
            (Some(map), None) => map.is_settled(),
            (Some(map), Some(rows)) => {
                map.is_settled()
                    || (map.length.is_some() && map.settled_in(rows) as usize == rows.len())
            }
        }
    }
}

/// The state of a run as handles show it.
pub(crate) fn state_of<T>(view: &RunView, value: impl FnOnce() -> StoredValue<T>) -> State<T> {
    let (message, outcome) = match (view.name, &view.failure) {
        (name, _) if name.is_completed() => {
            (end::state_message(view), StateOutcome::Value(value()))
        }
        (name, Some(_)) if name.is_settled() => (
            end::state_message(view),
            StateOutcome::Error(end::error_of(view)),
        ),
        _ => (None, StateOutcome::Open),
    };
    let timestamp = [view.ended, view.started]
        .into_iter()
        .find(|time| time.is_some())
        .unwrap_or_else(now);
    State::new(view.name, message, timestamp, outcome)
}

impl RunView {
    /// What a reader of a row gets that a map turned out not to have.
    pub(super) fn missing_row(row: u32, length: u32) -> Self {
        let failure = Failure::missing_row(row, length);
        Self {
            name: failure.0.name,
            attempt: 0,
            started: Timestamp::NONE,
            ended: Timestamp::NONE,
            failure: Some(failure),
        }
    }

    /// The state's message.
    pub(crate) fn message(&self) -> Option<String> {
        end::state_message(self).map(|message| message.to_string())
    }

    /// Why the run did not complete, for its readers.
    pub(crate) fn error(&self) -> Error {
        let error = end::error_of(self);
        symbolic::note_asked_for(&error);
        error
    }
}
