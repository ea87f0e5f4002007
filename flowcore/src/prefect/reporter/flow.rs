//! One flow run as a server is told it.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use super::inputs::{Layouts, Sources};
use super::layout::Layout;
use super::map::{Around, ReportedMap};
use super::names::flow_key;
use super::states::{self, Sequence};
use super::task::{Entered, Identity, Run, Task};
use crate::clock::Timestamp;
use crate::definition::{Api, FlowOptions, RetryDelay};
use crate::engine::{Change, MapId, RunId};
use crate::flow::{Began, Changes, FlowRun, Submission, Submitted, task_run_id};
use crate::prefect::adoption;
use crate::prefect::message::{
    NewFlowRun, Placeholder, StateUpdate, TaskInput, TaskInputs, TaskRunUpdate,
};
use crate::runner::RunReference;
use crate::state::{State, StateName};

/// What is kept of a flow run while it runs.
#[derive(Debug)]
pub(super) struct ReportedFlow {
    /// `None`: the run around a task that is called outside of flows.
    told: Option<Uuid>,
    sequence: Sequence,
    /// How often its function has begun.
    count: u32,
    delay: Option<RetryDelay>,
    /// The state that the server has made itself, and that it is in next.
    pub(super) made: Option<StateName>,
    /// Its final state.
    pub(super) last: Option<StateUpdate>,
    /// The task run that is called outside of flows.
    pub(super) alone: Option<Uuid>,
    pub(super) is_subflow: bool,
    /// It, or one around it, is `api = required`.
    pub(super) is_required: bool,
    /// Nobody waits for the server at its end.
    pub(super) has_waited: bool,
    runs: HashMap<RunId, Single>,
    maps: HashMap<MapId, ReportedMap>,
    /// The newest of each task.
    tasks: HashMap<&'static str, Arc<Task>>,
    /// How many subflows of this key it has called.
    subflows: HashMap<String, u32>,
}

#[derive(Debug)]
struct Single {
    task: Arc<Task>,
    sources: Sources,
    submitted: Timestamp,
    run: Run,
}

impl ReportedFlow {
    pub(super) fn new(flow: &FlowRun, began: &Began<'_>, is_subflow: bool) -> Self {
        Self {
            told: began.flow.map(|_| flow.id()),
            sequence: Sequence::default(),
            count: flow.attempts_before(),
            made: adoption::is_running(flow.id()).then_some(StateName::Running),
            delay: began
                .flow
                .map(|(_, options)| options.retry_delay_in_force().clone()),
            last: None,
            alone: None,
            is_subflow,
            is_required: began
                .flow
                .is_some_and(|(_, options)| options.api == Api::Required),
            has_waited: false,
            runs: HashMap::new(),
            maps: HashMap::new(),
            tasks: HashMap::new(),
            subflows: HashMap::new(),
        }
    }

    pub(super) fn is_standalone(&self) -> bool {
        self.told.is_none()
    }

    /// What begins it; `None` if it is not a flow.
    pub(super) fn begins(
        &mut self,
        flow: &FlowRun,
        began: &Began<'_>,
        adopted: Option<Uuid>,
        placeholder: Option<Placeholder>,
    ) -> Option<NewFlowRun> {
        let (_, options) = began.flow?;
        Some(NewFlowRun {
            id: flow.id(),
            adopted,
            flow_name: options.name_in_force().to_owned(),
            run_name: flow.name().to_owned(),
            version: options.version_in_force().map(str::to_owned),
            parameters: flow
                .results()
                .reported_parameters()
                .cloned()
                .unwrap_or_else(|| Value::Object(serde_json::Map::new())),
            tags: flow.tags().to_vec(),
            retries: options.retries_in_force(),
            retry_delay: shortest_delay(options),
            placeholder,
            state: states::update(StateName::Pending, None, self.sequence.next(began.at)),
        })
    }

    /// What stands here for a subflow that begins.
    pub(super) fn placeholder(
        &mut self,
        parent: Uuid,
        caller: Option<RunReference>,
        began: &Began<'_>,
    ) -> Option<Placeholder> {
        let (info, options) = began.flow?;
        let task_key = flow_key(info);
        let number = self.subflows.entry(task_key.clone()).or_default();
        let dynamic_key = number.to_string();
        *number += 1;
        let mut inputs: TaskInputs = info
            .parameters
            .iter()
            .map(|name| ((*name).to_owned(), Vec::new()))
            .collect();
        if let Some(caller) = caller {
            let caller = TaskInput::TaskRun(task_run_id(parent, caller));
            inputs.insert("__parents__".to_owned(), vec![caller]);
        }
        Some(Placeholder {
            id: Uuid::now_v7(),
            parent,
            name: format!("{}-{dynamic_key}", options.name_in_force()),
            task_key,
            dynamic_key,
            inputs,
        })
    }

    /// A state of the flow run itself; the final one is kept for its end.
    pub(super) fn enters(&mut self, state: &State) -> Option<(Uuid, StateUpdate)> {
        let flow = self.told?;
        if state.name() == StateName::Running {
            self.count += 1;
        }
        if self.made.take() == Some(state.name()) {
            return None;
        }
        let at = self.sequence.next(state.at());
        let message = state.message().map(str::to_owned);
        let mut update = states::update(state.name(), message, at);
        if state.name() == StateName::AwaitingRetry
            && let Some(delay) = &self.delay
        {
            states::scheduled(&mut update, delay.before(self.count));
        }
        if state.is_settled() {
            self.last = Some(update);
            return None;
        }
        Some((flow, update))
    }

    pub(super) fn submitted(
        &mut self,
        flow: &FlowRun,
        submission: &Submission<'_>,
        layouts: &mut Layouts,
        tell: &mut dyn FnMut(TaskRunUpdate),
    ) {
        let task = self.task(submission);
        let parent = submission.by.map(|run| task_run_id(flow.id(), run));
        let sources = Sources::new(submission.info, submission.inputs, parent);
        match submission.what {
            Submitted::Run(id) => {
                if self.is_standalone() && parent.is_none() {
                    self.alone = Some(task_run_id(flow.id(), id.into()));
                }
                let single = Single {
                    task,
                    sources,
                    submitted: submission.at,
                    run: Run::default(),
                };
                self.runs.insert(id, single);
                let entered = Entered {
                    name: StateName::Pending,
                    message: None,
                    attempt: 0,
                    at: submission.at,
                    random: 0.0,
                    record: None,
                };
                self.run_enters(flow, id, entered, None, layouts, tell);
            }
            Submitted::Map(id, length) => {
                let report = submission.options.report;
                let layout = length.map(|length| Layout::of(length, report));
                if let Some(layout) = layout {
                    layouts.insert((flow.id(), id), layout);
                }
                let map = ReportedMap::new(task, sources, submission.at, report, layout);
                self.maps.insert(id, map);
            }
        }
    }

    pub(super) fn changed(
        &mut self,
        flow: &FlowRun,
        changes: &Changes<'_>,
        layouts: &mut Layouts,
        tell: &mut dyn FnMut(TaskRunUpdate),
    ) {
        for change in changes.iter() {
            match change {
                Change::Run(id, name, attempt) => {
                    let run = RunReference::from(*id);
                    let message = name.is_settled().then(|| changes.message(run)).flatten();
                    let entered = Entered {
                        name: *name,
                        message: message.map(|message| message.to_string()),
                        attempt: *attempt,
                        at: changes.at(),
                        random: flow.random(run, *attempt),
                        record: states::record(*name, run, changes),
                    };
                    let given = changes.given_name(run);
                    self.run_enters(flow, *id, entered, given, layouts, tell);
                    if name.is_settled() && !flow.has_transactions() {
                        self.runs.remove(id);
                    }
                }
                Change::Rows(id, rows, name, attempt) => {
                    let (Some(map), Some(reported)) = (changes.map(*id), self.maps.get_mut(id))
                    else {
                        continue;
                    };
                    let around = Around {
                        flow,
                        told_flow: self.told,
                        flow_run_count: self.count.max(1),
                        layouts,
                    };
                    let entered = (*name, *attempt);
                    reported.rows_changed(&around, (*id, map), rows, entered, changes, tell);
                    if reported.is_settled() && !flow.has_transactions() {
                        self.maps.remove(id);
                    }
                }
                Change::LengthKnown(id, length) => {
                    if let Some(map) = self.maps.get_mut(id) {
                        layouts.insert((flow.id(), *id), map.has_length(*length));
                    }
                }
                Change::Map(id, name) => {
                    let around = Around {
                        flow,
                        told_flow: self.told,
                        flow_run_count: self.count.max(1),
                        layouts,
                    };
                    if let Some(mut map) = self.maps.remove(id) {
                        map.ended_whole(&around, *id, *name, changes, tell);
                    }
                }
            }
        }
    }

    fn run_enters(
        &mut self,
        flow: &FlowRun,
        id: RunId,
        entered: Entered,
        given_name: Option<String>,
        layouts: &Layouts,
        tell: &mut dyn FnMut(TaskRunUpdate),
    ) {
        let Some(single) = self.runs.get_mut(&id) else {
            return;
        };
        let run = RunReference::from(id);
        let name = single.run.name(given_name);
        let identity = Identity {
            id: task_run_id(flow.id(), run),
            flow: self.told,
            flow_run_count: self.count.max(1),
            awaits_name: single.task.has_template && name.is_none(),
            name: name.unwrap_or_else(|| flow.task_run_name(&single.task.name, run)),
            inputs: single.sources.of_run(layouts),
            submitted: single.submitted,
        };
        single.run.enters(entered, &single.task, identity, tell);
    }

    /// A run is named, or a row; what was held until then.
    pub(super) fn named(&mut self, run: RunReference, name: &str) -> Option<TaskRunUpdate> {
        match run {
            RunReference::Run(id) => self.runs.get_mut(&RunId::from_bits(id))?.run.named(name),
            RunReference::Row(map, row) => {
                let map = self.maps.get_mut(&MapId::from_bits(map))?;
                map.row_named(row, name)
            }
        }
    }

    /// The task with its options, made anew only if those differ.
    fn task(&mut self, submission: &Submission<'_>) -> Arc<Task> {
        let task = Task::new(submission.info, submission.options);
        match self.tasks.get(submission.info.key) {
            Some(known) if **known == task => Arc::clone(known),
            _ => {
                let task = Arc::new(task);
                self.tasks.insert(submission.info.key, Arc::clone(&task));
                task
            }
        }
    }
}

/// The server knows one delay, in seconds, and lets no attempt begin earlier.
fn shortest_delay(options: &FlowOptions) -> f64 {
    let delay = options.retry_delay_in_force();
    let retries = 1..=options.retries_in_force().max(1);
    // Of long lists the last one repeats, and what grows begins with the least.
    let delays = retries.take(100).map(|retry| delay.before(retry));
    delays.min().unwrap_or_default().as_secs_f64()
}
