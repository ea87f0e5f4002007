//! Permits of a flow run's runs: asked for when a run is ready, before any
//! runner hears of it, and given back when the run has settled.
//!
//! Invariants: a run under a limit is dispatched only while its permit is
//! here; a permit goes with its run, however that ends. A flow run without
//! limited tasks has nothing here. Slots of this process come first, then, with
//! them, those of a server (`on_server`).

#[cfg(feature = "prefect")]
mod on_server;
#[cfg(not(feature = "prefect"))]
#[path = "permits/without_server.rs"]
mod on_server;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use tokio::task::AbortHandle;

use super::moment::Moment;
use super::{FlowRun, RunEntry, Shell, end};
use crate::clock::Timestamp;
use crate::definition::TaskOptions;
use crate::engine::{End, MapId, RunId, Slots, Ticket, Waiting};
use crate::error::{Error, Result};
use crate::limits::{self, Permit, Reply};
use crate::runner::{AttemptControl, Line, Request, RunReference};

#[derive(Default)]
pub(super) struct Permits {
    held: HashMap<RunReference, Permit>,
    /// Of sync calls that were left behind, until they return.
    late: HashMap<RunReference, Permit>,
    waiting_runs: HashMap<RunId, Ticket>,
    waiting_rows: HashMap<MapId, HashMap<Ticket, Range<u32>>>,
    /// Runs for which others are asked: a server, or, if their flow is in
    /// another process, that one.
    asked: HashMap<RunId, AbortHandle>,
    asked_rows: HashMap<MapId, on_server::AskedRows>,
}

impl Permits {
    /// The run has settled: it gives back what it holds and waits no longer.
    /// Says whether others are to be told.
    pub(super) fn run_settled(&mut self, id: RunId) -> bool {
        // Without limits nothing is hashed.
        if self.waiting_runs.is_empty() && self.asked.is_empty() && self.held.is_empty() {
            return false;
        }
        if let Some(ticket) = self.waiting_runs.remove(&id) {
            limits::forget(ticket);
            return true;
        }
        if let Some(asking) = self.asked.remove(&id) {
            asking.abort();
        }
        self.settled(id.into())
    }

    /// These rows have settled.
    pub(super) fn rows_settled(&mut self, id: MapId, rows: &Range<u32>) -> bool {
        let mut tell = false;
        if !self.held.is_empty() {
            for row in rows.clone() {
                tell |= self.settled(RunReference::row(id, row));
            }
        }
        tell
    }

    fn settled(&mut self, run: RunReference) -> bool {
        let permit = self.held.remove(&run);
        permit.map(Permit::give_back).is_some()
    }

    /// All rows have settled, and none wait any longer.
    pub(super) fn map_settled(&mut self, id: MapId) -> bool {
        self.asked_rows.remove(&id);
        let tickets = self.waiting_rows.remove(&id).unwrap_or_default();
        let tell = !tickets.is_empty();
        tickets.into_keys().for_each(limits::forget);
        tell
    }
}

impl Permits {
    fn hold(&mut self, run: RunReference, permit: Option<Permit>) {
        if let Some(permit) = permit {
            self.held.insert(run, permit);
        }
    }

    fn hold_rows(&mut self, id: MapId, rows: &Range<u32>, permits: Option<Vec<Permit>>) {
        for (row, permit) in rows.clone().zip(permits.into_iter().flatten()) {
            self.held.insert(RunReference::row(id, row), permit);
        }
    }
}

impl Shell {
    /// These rows never get their slots.
    fn refuse_rows(&mut self, id: MapId, rows: Range<u32>, error: Error, now: Timestamp) {
        let key = self.maps.get(id).map_or("", |entry| entry.job.info().key);
        let failure = end::refused(key, error);
        for row in rows {
            let end = End::Ended(failure.clone());
            self.engine.row_settled(id, row, end, now);
        }
    }

    /// As many of these rows as there are permits are dispatched again with
    /// one each, which are taken.
    fn admit_rows_with(&mut self, id: MapId, rows: &mut Range<u32>, permits: &mut Vec<Permit>) {
        let count = permits.len();
        let admitted = self.engine.rows_admitted(id, rows, count, Waiting::Told);
        for row in admitted.into_iter().flatten() {
            self.permits.hold(RunReference::row(id, row), permits.pop());
        }
    }
}

impl FlowRun {
    /// The slots that runs with these options take, if there are limits.
    ///
    /// # Errors
    ///
    /// The runner never has what they need.
    pub(in crate::flow) fn slots_for(&self, options: &TaskOptions) -> Result<Option<Slots>> {
        let mut slots = limits::slots_of_tags(options.all_tags());
        if !options.resources.is_empty()
            && let Some(offered) = self.session().and_then(|session| session.resources())
        {
            slots.extend(offered.slots(&options.resources)?);
        }
        Ok((!slots.is_empty()).then(|| slots.into()))
    }

    /// Whether runs with these options may have to wait for slots.
    ///
    /// # Errors
    ///
    /// As [`slots_for`](Self::slots_for).
    pub(in crate::flow) fn may_wait_for_slots(&self, options: &TaskOptions) -> Result<bool> {
        Ok(self.slots_for(options)?.is_some() || on_server::may_limit(options))
    }

    /// A ready run asks for its permit; `false`: it waits, or it has settled.
    pub(super) fn admit_run(
        self: &Arc<Self>,
        shell: &mut Shell,
        id: RunId,
        moment: &Moment,
    ) -> bool {
        let run = RunReference::from(id);
        let Some(entry) = shell.jobs.get(id) else {
            return true;
        };
        if let Some(values) = self.symbolic() {
            // Who calls in place ends the run there.
            if let RunEntry::Job(job) = entry {
                let end = values.end(job.info(), job.has_output());
                shell.engine.run_settled(id, end, moment.now());
            }
            return false;
        }
        let options = entry.options();
        if let Some(line) = self.line() {
            return self.admit_through(line, shell, id);
        }
        if shell.permits.held.contains_key(&run) {
            return true;
        }
        // That the runner has what is needed was seen when it was submitted.
        let Ok(Some(slots)) = self.slots_for(options) else {
            return self.admit_run_on_server(shell, id, None);
        };
        let waiter = || {
            let flow = Arc::clone(self);
            Arc::new(move |_, reply| flow.run_replied_here(id, reply)) as _
        };
        match limits::request(&slots, 1, options.priority, waiter) {
            Err(error) => {
                let failure = end::refused(entry.info().key, error);
                shell
                    .engine
                    .run_settled(id, End::Ended(failure), moment.now());
                false
            }
            Ok(requested) => {
                if let Some(ticket) = requested.ticket {
                    shell.permits.waiting_runs.insert(id, ticket);
                    shell.engine.run_awaits_slot(id, Waiting::Told);
                    return false;
                }
                let permit = requested.granted.into_iter().next();
                self.admit_run_on_server(shell, id, permit)
            }
        }
    }

    fn run_replied_here(self: &Arc<Self>, id: RunId, reply: Reply) {
        match reply {
            Reply::Granted(permits) => self.run_replied_before_server(id, permits),
            reply => self.run_replied(id, reply, Waiting::Told),
        }
    }

    /// A run in this process of a flow in another one: that one is asked. What
    /// is submitted is asked for there anyway.
    fn admit_through(self: &Arc<Self>, line: &Arc<Line>, shell: &mut Shell, id: RunId) -> bool {
        let Some(entry) = shell.jobs.get(id).filter(|entry| entry.is_local()) else {
            return true;
        };
        let names: Vec<_> = limits::names_of_tags(entry.options().all_tags()).collect();
        if names.is_empty() || shell.permits.held.contains_key(&id.into()) {
            return true;
        }
        let asked = line.ask(Request::Slots {
            names,
            occupy: 1,
            is_rate: false,
            is_strict: false,
            is_quiet: true,
        });
        let flow = Arc::clone(self);
        let asking = crate::runtime::service().spawn(async move {
            let reply = match asked.slots().await {
                Ok(slots) => Reply::Granted(vec![Permit::elsewhere(slots)]),
                Err(error) => Reply::Refused(error),
            };
            flow.run_replied(id, reply, Waiting::Told);
        });
        shell.permits.asked.insert(id, asking.abort_handle());
        shell.engine.run_awaits_slot(id, Waiting::Told);
        false
    }

    fn run_replied(self: &Arc<Self>, id: RunId, reply: Reply, waiting: Waiting) {
        // What is not needed any more is given back outside of the lock.
        let _unused = self.update(|shell, now| {
            shell.permits.waiting_runs.remove(&id);
            shell.permits.asked.remove(&id);
            match reply {
                Reply::Granted(mut permits) => {
                    if shell.engine.run_admitted(id, waiting)
                        && let Some(permit) = permits.pop()
                    {
                        shell.permits.held.insert(id.into(), permit);
                    }
                    permits
                }
                Reply::Refused(error) => {
                    let key = shell.jobs.get(id).map_or("", |entry| entry.info().key);
                    let failure = end::refused(key, error);
                    shell.engine.run_settled(id, End::Ended(failure), now);
                    Vec::new()
                }
            }
        });
    }

    /// Ready rows ask for their permits; gives those that have one.
    pub(super) fn admit_rows(
        self: &Arc<Self>,
        shell: &mut Shell,
        id: MapId,
        rows: Range<u32>,
        moment: &Moment,
    ) -> Range<u32> {
        let Some(entry) = shell.maps.get(id) else {
            return rows;
        };
        if let Some(values) = self.symbolic() {
            let job = Arc::clone(&entry.job);
            for row in rows.clone() {
                let end = values.end(job.info(), job.imagine_row(row, values));
                shell.engine.row_settled(id, row, end, moment.now());
            }
            return rows.start..rows.start;
        }
        let first = RunReference::row(id, rows.start);
        if shell.permits.held.contains_key(&first) {
            return rows;
        }
        let options = entry.job.options();
        let Ok(Some(slots)) = self.slots_for(options) else {
            return self.admit_rows_on_server(shell, id, rows, None);
        };
        let waiter = || {
            let flow = Arc::clone(self);
            Arc::new(move |ticket, reply| flow.rows_replied(id, ticket, reply)) as _
        };
        let count = rows.end - rows.start;
        match limits::request(&slots, count, options.priority, waiter) {
            Err(error) => {
                shell.refuse_rows(id, rows.clone(), error, moment.now());
                rows.start..rows.start
            }
            Ok(requested) => {
                let granted = u32::try_from(requested.granted.len()).unwrap_or(count);
                let first = rows.start + granted;
                if let Some(ticket) = requested.ticket {
                    let waiting = shell.permits.waiting_rows.entry(id).or_default();
                    waiting.insert(ticket, first..rows.end);
                    let rest = first..rows.end;
                    shell.engine.rows_await_slots(id, rest, Waiting::Told);
                }
                let permits = Some(requested.granted);
                self.admit_rows_on_server(shell, id, rows.start..first, permits)
            }
        }
    }

    fn rows_replied(self: &Arc<Self>, id: MapId, ticket: Ticket, reply: Reply) {
        // What is not needed any more is given back outside of the lock.
        let _unused = self.update(|shell, now| {
            let waiting = shell.permits.waiting_rows.get_mut(&id);
            let Some(mut rows) = waiting.and_then(|waiting| waiting.remove(&ticket)) else {
                return reply;
            };
            match reply {
                Reply::Granted(mut permits) => {
                    self.rows_have_slots_here(shell, id, &mut rows, &mut permits);
                    if !rows.is_empty() {
                        let waiting = shell.permits.waiting_rows.entry(id).or_default();
                        waiting.insert(ticket, rows);
                    }
                    Reply::Granted(permits)
                }
                Reply::Refused(error) => {
                    shell.refuse_rows(id, rows, error.clone(), now);
                    Reply::Refused(error)
                }
            }
        });
    }

    /// The run ends while its sync call goes on: the call keeps the permit.
    pub(crate) fn settled_late(
        self: &Arc<Self>,
        run: RunReference,
        end: End,
        control: &AttemptControl,
    ) {
        self.update(|shell, now| {
            if !control.has_returned()
                && let Some(permit) = shell.permits.held.remove(&run)
            {
                shell.permits.late.insert(run, permit);
            }
            shell.settle(run, end, now);
        });
    }

    /// The sync call of a run that has ended returned at last.
    pub(crate) fn returned_late(&self, run: RunReference, control: &AttemptControl) {
        let permit = {
            let mut shell = self.shell.lock();
            control.note_return();
            shell.permits.late.remove(&run)
        };
        drop(permit);
    }
}
