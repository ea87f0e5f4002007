//! Runs: from the scheduler's order to the report.

use super::event::{Command, ComputeTask, Execution, Message, Resources};
use super::{Rank, State};
use crate::wire::Key;

/// A run that the scheduler wants from us.
#[derive(Debug)]
pub(super) struct Run<W> {
    pub(super) run_id: i64,
    pub(super) rank: Rank,
    pub(super) phase: Phase,
    resources: Resources,
    dependencies: Vec<Key>,
    work: W,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// For this many inputs; with none, for the end of an abandoned execution
    /// of the same key.
    Waiting {
        missing: usize,
    },
    Ready,
    Executing(Execution),
    LongRunning(Execution),
}

impl Phase {
    pub(super) fn execution(self) -> Option<Execution> {
        match self {
            Self::Executing(execution) | Self::LongRunning(execution) => Some(execution),
            Self::Waiting { .. } | Self::Ready => None,
        }
    }
}

impl<W> Run<W> {
    /// Dask's name of the state.
    pub(super) fn phase_name(&self) -> &'static str {
        match self.phase {
            Phase::Waiting { .. } => "waiting",
            Phase::Ready if self.resources.is_empty() => "ready",
            Phase::Ready => "constrained",
            Phase::Executing(_) => "executing",
            Phase::LongRunning(_) => "long-running",
        }
    }
}

/// What an execution holds until it ends.
#[derive(Debug)]
pub(super) struct Executing {
    key: Key,
    resources: Resources,
    lent: bool,
}

impl<W: Clone> State<W> {
    pub(super) fn compute_task(&mut self, task: ComputeTask<W>) {
        let ComputeTask { key, run_id, .. } = task;
        if self.data.holds(&key) {
            self.send(Message::TaskFinished { key, run_id });
            return;
        }
        if let Some(run) = self.runs.get_mut(&key) {
            run.run_id = run_id;
        } else {
            let rank = self.rank(task.priority);
            let mut dependencies: Vec<Key> = Vec::with_capacity(task.dependencies.len());
            for remote in &task.dependencies {
                dependencies.push(remote.key.clone());
            }
            dependencies.sort();
            dependencies.dedup();
            let run = Run {
                run_id,
                rank,
                phase: Phase::Waiting { missing: 0 },
                resources: task.resources,
                dependencies,
                work: task.work,
            };
            self.runs.insert(key.clone(), run);
            self.data.made_here(&key, true);
            self.await_inputs(&key);
        }
        for remote in &task.dependencies {
            self.data
                .found_at(&remote.key, &remote.peers, remote.nbytes);
        }
    }

    /// The scheduler does not want this run any more.
    pub(super) fn take_back(&mut self, key: &Key) {
        if let Some(run) = self.take_run(key)
            && let Some(execution) = run.phase.execution()
        {
            self.abandoned.insert(key.clone(), execution);
            self.commands.push(Command::Cancel(key.clone()));
        }
    }

    pub(super) fn abandon_all(&mut self) {
        let mut keys: Vec<Key> = self.runs.keys().cloned().collect();
        keys.sort();
        for key in keys {
            self.take_back(&key);
        }
    }

    pub(super) fn steal(&mut self, key: Key, stimulus_id: String) {
        let state = match self.runs.get(&key) {
            Some(run) => {
                let name = run.phase_name();
                if run.phase.execution().is_none() {
                    // "I gave it up": in the same step.
                    self.take_run(&key);
                }
                Some(name)
            }
            None => self.data.holds(&key).then_some("memory"),
        };
        self.send(Message::StealResponse {
            key,
            state,
            stimulus_id,
        });
    }

    pub(super) fn start_runs(&mut self) {
        while let Some(key) = self.queue.start(|key| &self.runs[key].resources) {
            let execution = Execution(self.next_execution);
            self.next_execution += 1;
            let Some(run) = self.runs.get_mut(&key) else {
                continue;
            };
            run.phase = Phase::Executing(execution);
            let executing = Executing {
                key: key.clone(),
                resources: run.resources.clone(),
                lent: false,
            };
            self.executions.insert(execution, executing);
            let (inputs, work) = (run.dependencies.clone(), run.work.clone());
            // It has taken its inputs with this command: they are not needed
            // for it any more.
            for input in &inputs {
                self.data.release(input, &key);
            }
            self.commands.push(Command::Execute {
                execution,
                key,
                work,
                inputs,
            });
        }
    }

    pub(super) fn finished(&mut self, execution: Execution, nbytes: u64) {
        if let Some((key, run)) = self.end(execution) {
            self.hold(&key, nbytes, &run.rank);
            let run_id = run.run_id;
            self.send(Message::TaskFinished { key, run_id });
        }
    }

    pub(super) fn erred(&mut self, execution: Execution) {
        if let Some((key, run)) = self.end(execution) {
            let run_id = run.run_id;
            self.send(Message::TaskErred { key, run_id });
        }
    }

    pub(super) fn rescheduled(&mut self, execution: Execution) {
        if let Some((key, _)) = self.end(execution) {
            self.send(Message::Reschedule { key });
        }
    }

    pub(super) fn inputs_lost(&mut self, execution: Execution, keys: &[Key]) {
        for key in keys {
            self.lost(key);
        }
        if let Some((key, run)) = self.end(execution) {
            self.runs.insert(key.clone(), run);
            self.data.made_here(&key, true);
            self.await_inputs(&key);
        }
    }

    pub(super) fn lent(&mut self, execution: Execution) {
        let Some(executing) = self.executions.get_mut(&execution) else {
            return;
        };
        if executing.lent {
            return;
        }
        executing.lent = true;
        self.queue.free_slot();
        if let Some(run) = self.runs.get_mut(&executing.key)
            && run.phase == Phase::Executing(execution)
        {
            run.phase = Phase::LongRunning(execution);
            let (key, run_id) = (executing.key.clone(), run.run_id);
            self.send(Message::LongRunning {
                key,
                run_id,
                execution,
            });
        }
    }

    /// Frees what an execution held. Its key and run, if it is still wanted.
    pub(super) fn end(&mut self, execution: Execution) -> Option<(Key, Run<W>)> {
        let Executing {
            key,
            resources,
            lent,
        } = self.executions.remove(&execution)?;
        if !lent {
            self.queue.free_slot();
        }
        self.queue.free_resources(&resources);
        if self.abandoned.get(&key) == Some(&execution) {
            self.abandoned.remove(&key);
            // The run that was sent again meanwhile.
            self.ready_if_complete(&key);
            return None;
        }
        let run = self.take_run(&key)?;
        Some((key, run))
    }

    /// Takes a run out of all that it stands in.
    pub(super) fn take_run(&mut self, key: &Key) -> Option<Run<W>> {
        let run = self.runs.remove(key)?;
        match run.phase {
            Phase::Ready => self
                .queue
                .remove(run.rank.clone(), key.clone(), &run.resources),
            Phase::Waiting { .. } | Phase::Executing(_) | Phase::LongRunning(_) => {}
        }
        if run.phase.execution().is_none() {
            for dependency in &run.dependencies {
                self.data.release(dependency, key);
            }
        }
        self.data.made_here(key, false);
        Some(run)
    }

    pub(super) fn input_came(&mut self, key: &Key) {
        if let Some(run) = self.runs.get_mut(key)
            && let Phase::Waiting { missing } = &mut run.phase
        {
            *missing -= 1;
        }
        self.ready_if_complete(key);
    }

    pub(super) fn input_went(&mut self, key: &Key) {
        let Some(run) = self.runs.get_mut(key) else {
            return;
        };
        match &mut run.phase {
            Phase::Waiting { missing } => *missing += 1,
            Phase::Ready => {
                run.phase = Phase::Waiting { missing: 1 };
                let (rank, resources) = (run.rank.clone(), &run.resources);
                self.queue.remove(rank, key.clone(), resources);
            }
            Phase::Executing(_) | Phase::LongRunning(_) => {}
        }
    }

    fn await_inputs(&mut self, key: &Key) {
        let Some(run) = self.runs.get_mut(key) else {
            return;
        };
        let mut missing = 0;
        for dependency in &run.dependencies {
            if !self.data.need(dependency, key, &run.rank) {
                missing += 1;
            }
        }
        run.phase = Phase::Waiting { missing };
        self.ready_if_complete(key);
    }

    fn ready_if_complete(&mut self, key: &Key) {
        if self.abandoned.contains_key(key) {
            return;
        }
        if let Some(run) = self.runs.get_mut(key)
            && run.phase == (Phase::Waiting { missing: 0 })
        {
            run.phase = Phase::Ready;
            self.queue
                .push(run.rank.clone(), key.clone(), &run.resources);
        }
    }
}
