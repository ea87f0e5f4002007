//! Slots of a Prefect server for runs whose tags it limits.
//!
//! Invariants: a run asks when it has its slots of this process, which it
//! keeps; meanwhile it is Pending to others, as in Python. The rows of a map ask
//! one after the other, in the name of the first one that waits. Who settles
//! first waits no longer.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use tokio::task::AbortHandle;
use uuid::Uuid;

use super::{FlowRun, Permit, Reply, RunReference, Shell, Waiting};
use crate::definition::TaskOptions;
use crate::engine::{MapId, RunId};
use crate::error::Error;
use crate::prefect::slots;

/// Rows of a map, in the order in which they ask.
pub(super) struct AskedRows {
    waiting: VecDeque<Asked>,
    asking: AbortHandle,
}

impl Drop for AskedRows {
    fn drop(&mut self) {
        self.asking.abort();
    }
}

struct Asked {
    rows: Range<u32>,
    /// Of this process, one for each row; none if it has no limits for them.
    permits: Option<VecDeque<Permit>>,
}

impl Asked {
    /// The permit of the first of these rows that still waits. `unused` gets
    /// those of rows that have settled.
    fn next(
        &mut self,
        shell: &mut Shell,
        id: MapId,
        unused: &mut Vec<Permit>,
    ) -> Option<(u32, Option<Permit>)> {
        let before = self.rows.start;
        let engine = &mut shell.engine;
        let admitted = engine.rows_admitted(id, &mut self.rows, 1, Waiting::Quiet);
        let passed = (self.rows.start - before) as usize;
        let mut permits: Vec<_> = match &mut self.permits {
            Some(permits) => permits.drain(..passed.min(permits.len())).collect(),
            None => Vec::new(),
        };
        let row = admitted.into_iter().flatten().next();
        let permit = row.and_then(|_| permits.pop());
        unused.append(&mut permits);
        Some((row?, permit))
    }
}

/// The limits that a server may have for runs with these options.
fn limits_of(options: &TaskOptions) -> Vec<String> {
    slots::limits_of_tags(options.all_tags())
}

/// Whether runs with these options may have to wait.
pub(super) fn may_limit(options: &TaskOptions) -> bool {
    !limits_of(options).is_empty()
}

fn limits_of_map(shell: &Shell, id: MapId) -> Vec<String> {
    let entry = shell.maps.get(id);
    let names = entry.map(|entry| limits_of(entry.job.options()));
    names.unwrap_or_default()
}

async fn take(
    names: Vec<String>,
    holder: impl FnOnce() -> Option<Uuid>,
) -> Result<Option<slots::ServerSlots>, Error> {
    Ok(slots::take_of_tags(names, holder).await?)
}

impl FlowRun {
    /// The run has its slots of this process, if it needs any; `false`: it
    /// waits for those of a server.
    pub(super) fn admit_run_on_server(
        self: &Arc<Self>,
        shell: &mut Shell,
        id: RunId,
        permit: Option<Permit>,
    ) -> bool {
        let entry = shell.jobs.get(id);
        let names = entry.map(|entry| limits_of(entry.options()));
        let names = names.unwrap_or_default();
        if names.is_empty() {
            shell.permits.hold(id.into(), permit);
            return true;
        }
        self.ask_for_run(shell, id, names, permit);
        shell.engine.run_awaits_slot(id, Waiting::Quiet);
        false
    }

    /// The run has waited for its slots of this process, and has them.
    pub(super) fn run_replied_before_server(self: &Arc<Self>, id: RunId, permits: Vec<Permit>) {
        let mut permits = permits;
        let asks = self.update(|shell, _| {
            let names = limits_of(shell.jobs.get(id)?.options());
            if names.is_empty() {
                return None;
            }
            shell.permits.waiting_runs.remove(&id);
            self.ask_for_run(shell, id, names, permits.pop());
            Some(())
        });
        if asks.is_none() {
            self.run_replied(id, Reply::Granted(permits), Waiting::Told);
        }
    }

    fn ask_for_run(
        self: &Arc<Self>,
        shell: &mut Shell,
        id: RunId,
        names: Vec<String>,
        permit: Option<Permit>,
    ) {
        let flow = Arc::clone(self);
        let asking = crate::runtime::process_service().spawn(async move {
            let holder = flow.task_run_id(id.into());
            let reply = match take(names, || Some(holder)).await {
                Ok(slots) => {
                    let permit = permit.unwrap_or_else(Permit::none);
                    Reply::Granted(vec![permit.and_on_server(slots)])
                }
                Err(error) => Reply::Refused(error),
            };
            flow.run_replied(id, reply, Waiting::Quiet);
        });
        shell.permits.asked.insert(id, asking.abort_handle());
    }

    /// The rows have their slots of this process, if they need any; gives
    /// those that do not wait for slots of a server.
    pub(super) fn admit_rows_on_server(
        self: &Arc<Self>,
        shell: &mut Shell,
        id: MapId,
        rows: Range<u32>,
        permits: Option<Vec<Permit>>,
    ) -> Range<u32> {
        let names = limits_of_map(shell, id);
        if rows.is_empty() || names.is_empty() {
            shell.permits.hold_rows(id, &rows, permits);
            return rows;
        }
        let waiting = rows.clone();
        shell.engine.rows_await_slots(id, waiting, Waiting::Quiet);
        let none = rows.start..rows.start;
        let permits = permits.map(VecDeque::from);
        self.ask_for_rows(shell, id, names, Asked { rows, permits });
        none
    }

    /// As many of these rows as there are permits have waited for their slots
    /// of this process, and have them.
    pub(super) fn rows_have_slots_here(
        self: &Arc<Self>,
        shell: &mut Shell,
        id: MapId,
        rows: &mut Range<u32>,
        permits: &mut Vec<Permit>,
    ) {
        let names = limits_of_map(shell, id);
        if names.is_empty() {
            return shell.admit_rows_with(id, rows, permits);
        }
        let count = u32::try_from(permits.len()).unwrap_or(u32::MAX);
        let first = rows.start..rows.end.min(rows.start.saturating_add(count));
        rows.start = first.end;
        let asked = Asked {
            rows: first,
            permits: Some(std::mem::take(permits).into()),
        };
        self.ask_for_rows(shell, id, names, asked);
    }

    fn ask_for_rows(
        self: &Arc<Self>,
        shell: &mut Shell,
        id: MapId,
        names: Vec<String>,
        asked: Asked,
    ) {
        if let Some(known) = shell.permits.asked_rows.get_mut(&id) {
            known.waiting.push_back(asked);
            return;
        }
        let flow = Arc::clone(self);
        let asking = crate::runtime::process_service().spawn(async move {
            loop {
                let holder = || flow.first_waiting_row(id);
                let reply = take(names.clone(), holder).await;
                if !flow.row_replied(id, reply) {
                    return;
                }
            }
        });
        let asked = AskedRows {
            waiting: VecDeque::from([asked]),
            asking: asking.abort_handle(),
        };
        shell.permits.asked_rows.insert(id, asked);
    }

    /// The row that gets the next slots, unless it settles before.
    fn first_waiting_row(&self, id: MapId) -> Option<Uuid> {
        let shell = self.shell.lock();
        let asked = shell.permits.asked_rows.get(&id)?;
        let mut waiting = asked.waiting.iter().flat_map(|asked| asked.rows.clone());
        let map = shell.engine.map(id)?;
        let row = waiting.find(|row| !map.states[*row as usize].is_settled())?;
        Some(self.task_run_id(RunReference::row(id, row)))
    }

    /// The next row goes on; `false` if no other waits.
    fn row_replied(
        self: &Arc<Self>,
        id: MapId,
        reply: Result<Option<slots::ServerSlots>, Error>,
    ) -> bool {
        // What is not needed any more is given back outside of the lock.
        let mut unused = Vec::new();
        self.update(|shell, now| {
            let Some(asked) = shell.permits.asked_rows.get_mut(&id) else {
                return false;
            };
            let mut waiting = std::mem::take(&mut asked.waiting);
            match reply {
                Ok(slots) => {
                    let mut next = None;
                    while let Some(first) = waiting.front_mut() {
                        next = first.next(shell, id, &mut unused);
                        if next.is_some() {
                            break;
                        }
                        waiting.pop_front();
                    }
                    let row = next.as_ref().map(|(row, _)| RunReference::row(id, *row));
                    let permit = next.and_then(|(_, permit)| permit);
                    let permit = permit.unwrap_or_else(Permit::none).and_on_server(slots);
                    match row {
                        Some(row) => shell.permits.hold(row, Some(permit)),
                        None => unused.push(permit),
                    }
                }
                Err(error) => {
                    for asked in waiting.drain(..) {
                        unused.extend(asked.permits.into_iter().flatten());
                        shell.refuse_rows(id, asked.rows, error.clone(), now);
                    }
                }
            }
            let goes_on = waiting.iter().any(|asked| !asked.rows.is_empty());
            if !goes_on {
                shell.permits.asked_rows.remove(&id);
            } else if let Some(asked) = shell.permits.asked_rows.get_mut(&id) {
                asked.waiting = waiting;
            }
            goes_on
        })
    }
}
