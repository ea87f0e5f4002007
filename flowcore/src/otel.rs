//! Spans of OpenTelemetry: one per flow run, per single task run and per map,
//! with links along dependencies (feature `otel`).
//!
//! A task run's span begins with its first attempt and ends with the run, at
//! the times that the engine knows. Its parent is its flow run's span; a flow
//! run's is that of the task or flow that called it, else whatever span is
//! current where it is called. Without a tracer provider that records, nobody
//! watches.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use opentelemetry::global::{self, BoxedSpan};
use opentelemetry::trace::{Link, Span, SpanContext, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use parking_lot::Mutex;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::engine::{Change, MapId, RunId};
use crate::flow::{
    Began, Changes, FlowRun, Input, InputSource, Observer, Submission, Submitted, Watch,
};
use crate::runner::RunReference;
use crate::state::{State, StateName, StateType};

static SPANS: LazyLock<Arc<Spans>> = LazyLock::new(Arc::default);

/// A flow run begins that nobody above it watches: its observer, if somebody
/// records spans. The observer has been told that the run begins.
pub(crate) fn begin(flow: &FlowRun, began: &Began<'_>) -> Option<Arc<dyn Observer>> {
    SPANS.begin(flow, began).then(|| Arc::clone(&*SPANS) as _)
}

#[derive(Default)]
struct Spans(Mutex<HashMap<Uuid, FlowSpans>>);

struct FlowSpans {
    span: BoxedSpan,
    runs: HashMap<RunId, Entry>,
    maps: HashMap<MapId, Entry>,
}

/// A single run or a map.
struct Entry {
    /// The task's name, and the span's.
    name: String,
    task_key: &'static str,
    inputs: Vec<Input>,
    span: Option<BoxedSpan>,
    /// Of a span that began, and may have ended.
    context: Option<SpanContext>,
    /// Rows of a map; 1 for a run.
    runs: u32,
    settled: u32,
    failed: u32,
}

impl Spans {
    /// `false`: nobody records spans.
    fn begin(&self, flow: &FlowRun, began: &Began<'_>) -> bool {
        let mut flows = self.0.lock();
        let caller = began.parent.and_then(|(parent, run)| {
            let parent = flows.get(&parent)?;
            let entry = run.and_then(|run| parent.entry(run)?.context.clone());
            Some(entry.unwrap_or_else(|| parent.span.span_context().clone()))
        });
        let parent = caller.map_or_else(Context::current, below);
        let mut attributes = vec![
            KeyValue::new("flow_run.id", flow.id().to_string()),
            KeyValue::new("flow_run.name", flow.name().to_owned()),
        ];
        let name = match began.flow {
            Some((info, options)) => {
                attributes.push(KeyValue::new("flow.key", info.key));
                options.name_in_force().to_owned()
            }
            None => "task outside of flows".to_owned(),
        };
        let tracer = global::tracer("flowcore");
        let builder = tracer
            .span_builder(name)
            .with_start_time(began.at.to_system_time())
            .with_attributes(attributes);
        let span = tracer.build_with_context(builder, &parent);
        let is_recorded = span.span_context().is_valid();
        if is_recorded {
            flows.insert(
                flow.id(),
                FlowSpans {
                    span,
                    runs: HashMap::new(),
                    maps: HashMap::new(),
                },
            );
        }
        is_recorded
    }
}

fn below(parent: SpanContext) -> Context {
    Context::new().with_remote_span_context(parent)
}

impl Observer for Spans {
    fn flow_began(&self, flow: &FlowRun, began: &Began<'_>) {
        self.begin(flow, began);
    }

    fn watch(&self) -> Watch {
        Watch::Spans
    }

    fn flow_changed(&self, flow: &FlowRun, state: &State) {
        if !state.is_settled() {
            return;
        }
        let ended = self.0.lock().remove(&flow.id());
        if let Some(mut flow) = ended {
            end(&mut flow.span, state.name(), state.message(), state.at());
        }
    }

    fn submitted(&self, flow: &FlowRun, submission: &Submission<'_>) {
        let mut flows = self.0.lock();
        let Some(spans) = flows.get_mut(&flow.id()) else {
            return;
        };
        let task = submission.options.name_in_force();
        let entry = |runs| Entry {
            name: task.to_owned(),
            task_key: submission.info.key,
            inputs: submission.inputs.to_vec(),
            span: None,
            context: None,
            runs,
            settled: 0,
            failed: 0,
        };
        match submission.what {
            Submitted::Run(id) => {
                spans.runs.insert(id, entry(1));
            }
            Submitted::Map(id, length) => {
                spans.maps.insert(id, entry(length.unwrap_or(u32::MAX)));
            }
        }
    }

    fn changed(&self, flow: &FlowRun, changes: &Changes<'_>) {
        let mut flows = self.0.lock();
        for change in changes.iter() {
            let (run, name, attempt, runs) = match change {
                Change::Run(id, name, attempt) => ((*id).into(), *name, *attempt, 1),
                Change::Rows(id, rows, name, attempt) => {
                    let count = rows.end - rows.start;
                    (RunReference::row(*id, rows.start), *name, *attempt, count)
                }
                Change::LengthKnown(id, length) => {
                    let spans = flows.get_mut(&flow.id());
                    if let Some(entry) = spans.and_then(|spans| spans.maps.get_mut(id)) {
                        entry.runs = *length;
                    }
                    continue;
                }
                Change::Map(id, name) => (RunReference::row(*id, 0), *name, 0, u32::MAX),
            };
            Entry::changed(&mut flows, flow, changes, run, (name, attempt, runs));
        }
    }
}

impl FlowSpans {
    fn is_over(&self) -> bool {
        let mut entries = self.runs.values().chain(self.maps.values());
        entries.all(|entry| entry.context.is_some() && entry.span.is_none())
    }

    fn entry(&self, run: RunReference) -> Option<&Entry> {
        match run {
            RunReference::Run(bits) => self.runs.get(&RunId::from_bits(bits)),
            RunReference::Row(bits, _) => self.maps.get(&MapId::from_bits(bits)),
        }
    }

    fn entry_mut(&mut self, run: RunReference) -> Option<&mut Entry> {
        match run {
            RunReference::Run(bits) => self.runs.get_mut(&RunId::from_bits(bits)),
            RunReference::Row(bits, _) => self.maps.get_mut(&MapId::from_bits(bits)),
        }
    }
}

impl Entry {
    fn changed(
        flows: &mut HashMap<Uuid, FlowSpans>,
        flow: &FlowRun,
        changes: &Changes<'_>,
        run: RunReference,
        (name, attempt, runs): (StateName, u32, u32),
    ) {
        let is_settled = name.is_settled();
        let is_single = matches!(run, RunReference::Run(_));
        let Some(entry) = flows.get(&flow.id()).and_then(|flow| flow.entry(run)) else {
            return;
        };
        let span = (entry.context.is_none() && (attempt > 0 || is_settled)).then(|| {
            let view = changes.run(run);
            let started = view.map(|view| view.started).filter(|time| time.is_some());
            entry.begin(flows, flow, run, started.unwrap_or_else(|| changes.at()))
        });
        let spans = flows.get_mut(&flow.id());
        let Some(entry) = spans.and_then(|spans| spans.entry_mut(run)) else {
            return;
        };
        if let Some(span) = span {
            entry.context = Some(span.span_context().clone());
            entry.span = Some(span);
        }
        let Some(span) = &mut entry.span else {
            return;
        };
        if !is_settled {
            // Of a map only counts are told.
            if is_single && name != StateName::Running {
                let attributes = vec![KeyValue::new("attempt", i64::from(attempt))];
                let at = changes.at().to_system_time();
                span.add_event_with_timestamp(name.as_str(), at, attributes);
            }
            return;
        }
        entry.settled = entry.settled.saturating_add(runs);
        if name.state_type() != StateType::Completed {
            entry.failed = entry.failed.saturating_add(runs.min(entry.runs));
        }
        if entry.settled < entry.runs {
            return;
        }
        let (name, message) = if is_single {
            let name_of_run = changes
                .given_name(run)
                .unwrap_or_else(|| flow.task_run_name(&entry.name, run));
            span.set_attribute(KeyValue::new("task_run.name", name_of_run));
            span.set_attribute(KeyValue::new("attempts", i64::from(attempt)));
            (
                name,
                changes.message(run).map(|message| message.to_string()),
            )
        } else {
            span.set_attribute(KeyValue::new("rows", i64::from(entry.runs)));
            span.set_attribute(KeyValue::new("rows.not_completed", i64::from(entry.failed)));
            let of = format!("{} of {} rows did not complete", entry.failed, entry.runs);
            match entry.failed {
                0 => (StateName::Completed, None),
                _ => (StateName::Failed, Some(of)),
            }
        };
        end(span, name, message.as_deref(), changes.at());
        entry.span = None;
        // Nothing else says that the run around a single task has ended.
        if flow.is_standalone() && flows[&flow.id()].is_over() {
            let ended = flows.remove(&flow.id());
            if let Some(mut flow) = ended {
                end(&mut flow.span, name, message.as_deref(), changes.at());
            }
        }
    }

    fn begin(
        &self,
        flows: &HashMap<Uuid, FlowSpans>,
        flow: &FlowRun,
        run: RunReference,
        at: Timestamp,
    ) -> BoxedSpan {
        let mut attributes = vec![KeyValue::new("task.key", self.task_key)];
        if let RunReference::Run(_) = run {
            let id = flow.task_run_id(run).to_string();
            attributes.push(KeyValue::new("task_run.id", id));
        }
        let mut upstream: Vec<SpanContext> = Vec::new();
        for input in &self.inputs {
            let context = flows
                .get(&input.flow)
                .and_then(|flow| match &input.upstream {
                    InputSource::Run(run) => flow.entry(*run),
                    InputSource::Aligned(map, _) | InputSource::Rows(map, _) => flow.maps.get(map),
                })
                .and_then(|entry| entry.context.clone());
            upstream.extend(context.filter(|context| !upstream.contains(context)));
        }
        let parent = flows.get(&flow.id()).map(|flow| flow.span.span_context());
        let parent = parent.cloned().map_or_else(Context::new, below);
        let tracer = global::tracer("flowcore");
        let builder = tracer
            .span_builder(self.name.clone())
            .with_start_time(at.to_system_time())
            .with_attributes(attributes)
            .with_links(upstream.into_iter().map(Link::with_context).collect());
        tracer.build_with_context(builder, &parent)
    }
}

fn end(span: &mut BoxedSpan, name: StateName, message: Option<&str>, at: Timestamp) {
    span.set_attribute(KeyValue::new("state", name.as_str()));
    span.set_status(match name {
        name if name.state_type() == StateType::Completed => Status::Ok,
        _ => Status::error(message.unwrap_or(name.as_str()).to_owned()),
    });
    span.end_with_timestamp(at.to_system_time());
}
