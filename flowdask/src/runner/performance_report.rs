//! `performance_report(path)`: a page of what ran when and where.
//!
//! States are counted as the flow hears of them; executions come from the
//! scheduler's task stream when the session is closed, however the flow ended.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use flowcore::StateName;
use flowcore::bridge::{ClusterRecord, Execution, RunEvent, RunReference, Step, WorkDescriptor};
use parking_lot::Mutex;

use crate::client::{Client, ClientError, TaskStreamRecord};

/// The performance report cannot be written.
#[derive(Debug, thiserror::Error)]
#[error(
    "the performance report cannot be written to {}: name a file in a directory that exists and \
     may be written to", .path.display()
)]
pub struct PerformanceReportError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// The report of one flow run.
#[derive(Debug)]
pub(super) struct PerformanceReport {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The flow run and its name, once a run of it is known.
    flow_run: Option<(u128, String)>,
    /// The tasks' names; all rows of a map have one entry.
    tasks: HashMap<RunReference, Arc<str>>,
    ends: BTreeMap<(Arc<str>, &'static str), u64>,
}

impl PerformanceReport {
    /// Makes the file, so that a path that is none ends the flow before its
    /// work is done.
    pub(super) fn create(path: PathBuf) -> Result<Self, PerformanceReportError> {
        match fs::File::create(&path) {
            Ok(_) => Ok(Self {
                path,
                state: Mutex::default(),
            }),
            Err(source) => Err(PerformanceReportError { path, source }),
        }
    }

    /// A run goes to the cluster.
    pub(super) fn submitted(&self, work: &WorkDescriptor) {
        let mut state = self.state.lock();
        if state.flow_run.is_none() {
            state.flow_run = Some((work.flow_run_id, work.flow_run_name.clone()));
        }
        let tasks = &mut state.tasks;
        tasks
            .entry(of_map(work.run))
            .or_insert_with(|| work.name.as_str().into());
    }

    /// The flow hears of a run.
    pub(super) fn told(&self, event: &RunEvent) {
        let (run, end, count) = match event {
            RunEvent::Completed { run } => (*run, StateName::Completed, 1),
            RunEvent::Cached { run } => (*run, StateName::Cached, 1),
            RunEvent::Ended { run, state, .. } => (*run, *state, 1),
            RunEvent::RowsCompleted { map, took, .. } => {
                let map = RunReference::Row(*map, 0);
                (map, StateName::Completed, took.len() as u64)
            }
            _ => return,
        };
        let mut state = self.state.lock();
        if let Some(task) = state.tasks.get(&of_map(run)).cloned() {
            *state.ends.entry((task, end.as_str())).or_default() += count;
        }
    }

    /// Writes the page.
    pub(super) async fn write(&self, client: &Client) {
        let stream = client.get_task_stream().await;
        let page = self.page(stream).to_html();
        if let Err(error) = tokio::fs::write(&self.path, page).await {
            let path = self.path.display();
            tracing::error!(%path, %error, "the performance report cannot be written");
        }
    }

    fn page(&self, stream: Result<Vec<TaskStreamRecord>, ClientError>) -> ClusterRecord {
        let state = self.state.lock();
        let (id, name) = state.flow_run.clone().unwrap_or_default();
        let mut record = ClusterRecord::new(match name.as_str() {
            "" => "A flow run without runs on Dask".to_owned(),
            name => format!("Flow run {name} on Dask"),
        });
        for ((task, end), count) in &state.ends {
            record.ends.insert((task.to_string(), *end), *count);
        }
        match stream {
            Ok(stream) => {
                // Others may use the cluster, too.
                let own = format!("{id:032x}");
                let executions = stream
                    .into_iter()
                    .filter_map(|record| execution(record, &own));
                record.executions.extend(executions);
            }
            Err(error) => record.notes.push(format!(
                "What was executed where is missing, because the scheduler could not be asked: \
                 {error}."
            )),
        }
        record
    }
}

fn of_map(run: RunReference) -> RunReference {
    match run {
        RunReference::Row(map, _) => RunReference::Row(map, 0),
        run @ RunReference::Run(_) => run,
    }
}

/// An execution of the flow run with this id in its keys.
fn execution(record: TaskStreamRecord, flow_run: &str) -> Option<Execution> {
    let key = record.key.to_string();
    let (task, _) = key.split_once(&format!("-{flow_run}"))?;
    Some(Execution {
        worker: record.worker,
        task: task.to_owned(),
        name: key.replacen(&format!("-{flow_run}"), "", 1),
        has_failed: record.has_failed,
        steps: record
            .startstops
            .into_iter()
            .filter(|startstop| ["compute", "transfer"].contains(&startstop.action.as_str()))
            .map(|startstop| Step {
                source: startstop.source,
                start: startstop.start,
                stop: startstop.stop,
            })
            .collect(),
    })
}
