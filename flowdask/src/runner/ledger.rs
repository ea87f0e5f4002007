//! The runs of one flow run that are with Dask: which key each has, what is
//! known of it, and which wait for an outcome before they can be submitted.
//!
//! Sans-I/O: facts go in, what follows comes out. Invariant: a run's end is
//! told once, and a completed run's only when its key is in memory.

use std::collections::{HashMap, HashSet};

use flowcore::bridge::{ArgumentDescriptor, RunEvent, RunReference, WorkDescriptor};
use flowcore::{Error, StateName};

use super::payload::{Input, Payload};
use crate::wire::Key;

/// A run that can go to Dask.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) key: Key,
    pub(crate) payload: Payload,
    /// In the order of the payload's [`Input::Dependency`]s.
    pub(crate) dependencies: Vec<Key>,
}

/// What follows from a fact.
#[derive(Debug, Default)]
pub(crate) struct Consequences {
    /// To be told to the flow.
    pub(crate) events: Vec<RunEvent>,
    /// To be submitted.
    pub(crate) ready: Vec<Ready>,
}

/// What is to be done about a cancelled run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cancelling {
    /// Dask need not hear of it.
    Nothing,
    /// Nobody wants the key any more; a worker that runs it hears that.
    Release(Key),
}

#[derive(Debug)]
pub(crate) struct Ledger {
    home: String,
    runs: HashMap<RunReference, Run>,
    keys: HashMap<Key, RunReference>,
}

#[derive(Debug)]
struct Run {
    key: Key,
    stage: Stage,
    /// The runs that must complete before it.
    inputs: Vec<RunReference>,
    /// Runs that are held until this one's outcome is known.
    readers: Vec<RunReference>,
}

#[derive(Debug)]
enum Stage {
    /// Waits for so many outcomes.
    Held(Box<WorkDescriptor>, usize),
    /// With Dask; a worker may have told of the end already.
    Submitted(Option<Told>),
    InMemory,
    Ended(Error),
    /// Nobody wants it any more.
    Cancelled,
}

/// What a worker told of a completed run before Dask had its value.
#[derive(Clone, Copy, Debug)]
enum Told {
    Completed,
    Cached,
}

impl Ledger {
    /// For the flow run whose process listens to this topic.
    pub(crate) fn new(home: String) -> Self {
        Self {
            home,
            runs: HashMap::new(),
            keys: HashMap::new(),
        }
    }

    /// A run is to be executed. Its inputs came before.
    pub(crate) fn submit(&mut self, work: WorkDescriptor) -> Option<Ready> {
        let run = work.run;
        let key = key_of(&work);
        let mut outcomes = Vec::new();
        visit_outcomes(&work.arguments, &mut |input| outcomes.push(input));
        outcomes.sort_unstable();
        outcomes.dedup();
        outcomes.retain(|input| self.is_open(*input));
        let inputs = inputs_of(&work);
        self.keys.insert(key.clone(), run);
        for input in &outcomes {
            if let Some(input) = self.runs.get_mut(input) {
                input.readers.push(run);
            }
        }
        let (stage, ready) = if outcomes.is_empty() {
            let ready = self.ready(key.clone(), work);
            (Stage::Submitted(None), Some(ready))
        } else {
            (Stage::Held(Box::new(work), outcomes.len()), None)
        };
        let readers = Vec::new();
        let entry = Run {
            key,
            stage,
            inputs,
            readers,
        };
        self.runs.insert(run, entry);
        ready
    }

    fn is_open(&self, run: RunReference) -> bool {
        self.runs
            .get(&run)
            .is_some_and(|run| matches!(run.stage, Stage::Held(..) | Stage::Submitted(_)))
    }

    fn ready(&self, key: Key, work: WorkDescriptor) -> Ready {
        let mut dependencies = Vec::new();
        let inputs = inputs_of(&work)
            .into_iter()
            .map(|run| {
                let input = match self.runs.get(&run) {
                    Some(Run {
                        stage: Stage::Ended(error),
                        ..
                    }) => Input::Failed(error.clone()),
                    Some(input) => {
                        dependencies.push(input.key.clone());
                        Input::Dependency
                    }
                    None => Input::Failed(Error::msg(format!("{run:?} was never submitted"))),
                };
                (run, input)
            })
            .collect();
        Ready {
            key,
            payload: Payload {
                home: self.home.clone(),
                work,
                inputs,
            },
            dependencies,
        }
    }

    /// A worker told what happened to a run.
    pub(crate) fn told(&mut self, event: RunEvent) -> Consequences {
        let mut consequences = Consequences::default();
        let (run, told) = match &event {
            RunEvent::Completed { run } => (*run, Told::Completed),
            RunEvent::Cached { run } => (*run, Told::Cached),
            RunEvent::Ended { run, error, .. } => {
                let (run, error) = (*run, error.clone());
                if self.is_open(run) || self.is_cancelled(run) {
                    consequences.events.push(event);
                    self.end(run, Stage::Ended(error), &mut consequences);
                }
                return consequences;
            }
            RunEvent::Started { run, .. } | RunEvent::AwaitingRetry { run, .. } => {
                if self.is_open(*run) || self.is_cancelled(*run) {
                    consequences.events.push(event);
                }
                return consequences;
            }
            // Of a newer build: the end is told by Dask as well.
            _ => return consequences,
        };
        match self.runs.get_mut(&run).map(|run| &mut run.stage) {
            Some(Stage::Submitted(end)) => *end = Some(told),
            // It did not look at its token. Its value is released already.
            Some(Stage::Cancelled) => return self.cancelled(run),
            _ => {}
        }
        consequences
    }

    /// A cancelled run has stopped, or its worker is gone.
    pub(crate) fn cancelled(&mut self, run: RunReference) -> Consequences {
        let mut consequences = Consequences::default();
        if self.is_cancelled(run) {
            let error = Error::msg("the run was cancelled");
            consequences.events.push(RunEvent::Ended {
                run,
                state: StateName::Cancelled,
                message: None,
                error: error.clone(),
            });
            self.end(run, Stage::Ended(error), &mut consequences);
        }
        consequences
    }

    /// Whether the run was cancelled and has not told its end.
    pub(crate) fn is_cancelled(&self, run: RunReference) -> bool {
        let run = self.runs.get(&run);
        run.is_some_and(|run| matches!(run.stage, Stage::Cancelled))
    }

    /// Whether the key's run was cancelled.
    pub(crate) fn is_key_cancelled(&self, key: &Key) -> bool {
        matches!(self.stage_of(key), Some((_, Stage::Cancelled)))
    }

    /// A key's value is there; said again when it is made again.
    pub(crate) fn in_memory(&mut self, key: &Key) -> Consequences {
        let mut consequences = Consequences::default();
        let Some((run, Stage::Submitted(told))) = self.stage_of(key) else {
            return consequences;
        };
        consequences.events.push(match told {
            Some(Told::Cached) => RunEvent::Cached { run },
            Some(Told::Completed) | None => RunEvent::Completed { run },
        });
        self.end(run, Stage::InMemory, &mut consequences);
        consequences
    }

    /// A key failed at Dask. If the worker told the run's own end this says
    /// nothing new; else nobody was left to tell it. Where an input is missing
    /// it is that one's failure, which Dask hands on and the flow as well.
    pub(crate) fn lost(&mut self, key: &Key, reason: &str) -> Consequences {
        let mut consequences = Consequences::default();
        let Some((run, Stage::Submitted(_))) = self.stage_of(key) else {
            return consequences;
        };
        let missing = |input: &RunReference| {
            let input = self.runs.get(input);
            input.is_some_and(|input| matches!(input.stage, Stage::Submitted(_) | Stage::Cancelled))
        };
        if self.runs[&run].inputs.iter().any(missing) {
            return consequences;
        }
        let error = Error::msg(reason);
        consequences.events.push(RunEvent::Ended {
            run,
            state: StateName::Crashed,
            message: Some(reason.to_owned()),
            error: error.clone(),
        });
        self.end(run, Stage::Ended(error), &mut consequences);
        consequences
    }

    fn stage_of(&self, key: &Key) -> Option<(RunReference, &Stage)> {
        let run = self.keys.get(key)?;
        Some((*run, &self.runs.get(run)?.stage))
    }

    /// The flow does not want a run any more.
    pub(crate) fn cancel(&mut self, run: RunReference) -> Cancelling {
        let Some(entry) = self.runs.get_mut(&run) else {
            return Cancelling::Nothing;
        };
        match entry.stage {
            Stage::Held(..) => {
                entry.stage = Stage::Cancelled;
                Cancelling::Nothing
            }
            Stage::Submitted(_) => {
                entry.stage = Stage::Cancelled;
                Cancelling::Release(entry.key.clone())
            }
            Stage::InMemory | Stage::Ended(_) | Stage::Cancelled => Cancelling::Nothing,
        }
    }

    fn end(&mut self, run: RunReference, stage: Stage, consequences: &mut Consequences) {
        let Some(entry) = self.runs.get_mut(&run) else {
            return;
        };
        entry.stage = stage;
        for reader in std::mem::take(&mut entry.readers) {
            if let Some(ready) = self.outcome_known(reader) {
                consequences.ready.push(ready);
            }
        }
    }

    fn outcome_known(&mut self, reader: RunReference) -> Option<Ready> {
        let entry = self.runs.get_mut(&reader)?;
        let Stage::Held(_, missing) = &mut entry.stage else {
            return None;
        };
        *missing -= 1;
        if *missing > 0 {
            return None;
        }
        let key = entry.key.clone();
        let Stage::Held(work, _) = std::mem::replace(&mut entry.stage, Stage::Submitted(None))
        else {
            return None;
        };
        Some(self.ready(key, *work))
    }

    /// The key of a run whose value may be with Dask.
    pub(crate) fn key(&self, run: RunReference) -> Option<&Key> {
        self.runs.get(&run).map(|run| &run.key)
    }

    /// All keys that are with Dask and have not ended.
    pub(crate) fn open_keys(&self) -> Vec<Key> {
        let submitted = |run: &&Run| matches!(run.stage, Stage::Submitted(_));
        let open = self.runs.values().filter(submitted);
        open.map(|run| run.key.clone()).collect()
    }
}

/// The runs whose outcomes are read, each once.
fn inputs_of(work: &WorkDescriptor) -> Vec<RunReference> {
    let mut runs = Vec::new();
    let mut seen = HashSet::new();
    for argument in &work.arguments {
        argument.visit_runs(&mut |run| {
            if seen.insert(run) {
                runs.push(run);
            }
        });
    }
    runs
}

/// The runs whose failure an argument allows.
fn visit_outcomes(arguments: &[ArgumentDescriptor], visit: &mut dyn FnMut(RunReference)) {
    for argument in arguments {
        match argument {
            ArgumentDescriptor::Outcome(inner) => inner.visit_runs(visit),
            ArgumentDescriptor::List(parts) => visit_outcomes(parts, visit),
            ArgumentDescriptor::Element(inner, _) => {
                visit_outcomes(std::slice::from_ref(inner), visit);
            }
            _ => {}
        }
    }
}

/// A key that no other run of any flow run has. What is before the first
/// number is the prefix by which Dask groups and estimates: the task's name.
fn key_of(work: &WorkDescriptor) -> Key {
    let name = work.task_key.rsplit("::").next().unwrap_or_default();
    let name: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    let flow_run = work.flow_run_id;
    Key::from(match work.run {
        RunReference::Run(run) => format!("{name}-{flow_run:032x}-{run}"),
        RunReference::Row(map, row) => format!("{name}-{flow_run:032x}-{map}-{row}"),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn work(run: u64, arguments: Vec<ArgumentDescriptor>) -> WorkDescriptor {
        WorkDescriptor {
            flow_run_id: 7,
            flow_run_name: "brave-otter".into(),
            run: RunReference::Run(run),
            task_key: "m::inc".into(),
            fingerprint: 42,
            version: None,
            name: "inc".into(),
            run_name: "inc-abc".into(),
            run_name_template: None,
            priority: 0,
            batch: None,
            resources: Vec::new(),
            tags: Vec::new(),
            retries: 0,
            retry_delay: Duration::ZERO.into(),
            retry_jitter: 0.0,
            timeout: None,
            results: None,
            attempt: 1,
            arguments,
        }
    }

    fn result(run: u64) -> ArgumentDescriptor {
        ArgumentDescriptor::Result(RunReference::Run(run))
    }

    fn outcome(run: u64) -> ArgumentDescriptor {
        ArgumentDescriptor::Outcome(Box::new(result(run)))
    }

    fn failed(run: u64) -> RunEvent {
        RunEvent::Ended {
            run: RunReference::Run(run),
            state: StateName::Failed,
            message: None,
            error: Error::msg("boom"),
        }
    }

    #[test]
    fn inputs_are_dependencies_each_once() {
        let mut ledger = Ledger::new("home".into());
        let first = ledger.submit(work(1, vec![])).unwrap();
        let list = ArgumentDescriptor::List(vec![result(1), result(1)]);
        let second = ledger.submit(work(2, vec![result(1), list])).unwrap();
        assert_eq!(second.dependencies, std::slice::from_ref(&first.key));
        let inputs = &second.payload.inputs;
        assert!(matches!(
            inputs[..],
            [(RunReference::Run(1), Input::Dependency)]
        ));
        let bytes = second.payload.to_bytes().unwrap();
        let back = Payload::from_bytes(&bytes).unwrap();
        assert_eq!(format!("{back:?}"), format!("{:?}", second.payload));
    }

    #[test]
    fn an_end_is_told_once_when_the_value_is_there() {
        let mut ledger = Ledger::new("home".into());
        let key = ledger.submit(work(1, vec![])).unwrap().key;
        let run = RunReference::Run(1);
        assert!(ledger.told(RunEvent::Cached { run }).events.is_empty());
        let events = ledger.in_memory(&key).events;
        assert!(
            matches!(events[..], [RunEvent::Cached { .. }]),
            "{events:?}"
        );
        assert!(ledger.in_memory(&key).events.is_empty());
        assert!(ledger.lost(&key, "late").events.is_empty());
    }

    #[test]
    fn a_reader_that_allows_failure_waits_for_the_outcome() {
        let mut ledger = Ledger::new("home".into());
        let good = ledger.submit(work(1, vec![])).unwrap().key;
        ledger.submit(work(2, vec![])).unwrap();
        assert!(
            ledger
                .submit(work(3, vec![outcome(1), outcome(2)]))
                .is_none()
        );
        assert!(ledger.told(failed(2)).ready.is_empty());
        let ready = ledger.in_memory(&good).ready;
        assert_eq!(ready.len(), 1);
        assert_eq!(ready[0].dependencies, [good]);
        let inputs = &ready[0].payload.inputs;
        assert!(matches!(
            inputs[..],
            [(_, Input::Dependency), (_, Input::Failed(_))]
        ));
        // An outcome that is known already holds nothing back.
        assert!(ledger.submit(work(4, vec![outcome(2)])).is_some());
    }

    #[test]
    fn a_key_that_dask_gives_up_crashes_its_run() {
        let mut ledger = Ledger::new("home".into());
        let key = ledger.submit(work(1, vec![])).unwrap().key;
        let events = ledger.lost(&key, "the worker died 4 times").events;
        assert!(matches!(
            events[..],
            [RunEvent::Ended {
                state: StateName::Crashed,
                ..
            }]
        ));
        assert!(ledger.told(failed(1)).events.is_empty());
    }

    #[test]
    fn a_cancelled_run_is_released_and_may_still_tell_its_end() {
        let mut ledger = Ledger::new("home".into());
        let key = ledger.submit(work(1, vec![])).unwrap().key;
        let run = RunReference::Run(1);
        assert_eq!(ledger.cancel(run), Cancelling::Release(key));
        assert_eq!(ledger.cancel(run), Cancelling::Nothing);
        assert_eq!(ledger.told(failed(1)).events.len(), 1);
    }

    #[test]
    fn a_failure_that_dask_hands_on_is_the_inputs() {
        let mut ledger = Ledger::new("home".into());
        let first = ledger.submit(work(1, vec![])).unwrap().key;
        let second = ledger.submit(work(2, vec![result(1)])).unwrap().key;
        assert!(ledger.lost(&second, "killed").events.is_empty());
        assert_eq!(ledger.lost(&first, "killed").events.len(), 1);
    }

    #[test]
    fn a_cancelled_run_that_completes_is_cancelled() {
        let mut ledger = Ledger::new("home".into());
        let run = RunReference::Run(1);
        ledger.submit(work(1, vec![])).unwrap();
        ledger.cancel(run);
        let events = ledger.told(RunEvent::Completed { run }).events;
        assert!(matches!(
            events[..],
            [RunEvent::Ended {
                state: StateName::Cancelled,
                ..
            }]
        ));
        assert!(ledger.cancelled(run).events.is_empty());
    }
}
