//! What executes the runs of served deployments: the thin shell around
//! [`machine`].
//!
//! All of it runs on the service runtime and ends with the future of
//! [`Runner::run`]: runs whose processes are dropped end with their leash.

mod child;
mod claim;
mod exit;
mod machine;
mod orphans;
mod output;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinSet;
use uuid::Uuid;

use self::child::{Assignment, RunProcess};
use self::machine::{Command, Conclusion, Event, Machine, Order, Rules};
use self::orphans::Orphans;
use self::output::{ERROR, Output};
use super::farewell::Farewell;
use super::server::{Proposal, Server, ServerRun};
use crate::prefect::ApiError;
use crate::prefect::cancelling::{self, Wish};
use crate::runtime;
use crate::signals::Drain;

/// How soon a server that is away is told again.
const TELL_AGAIN: Duration = Duration::from_secs(5);

/// One deployment that is served.
#[derive(Clone, Debug)]
pub(super) struct Served {
    pub(super) id: Uuid,
    pub(super) flow_id: Uuid,
    pub(super) flow_name: String,
    pub(super) flow_key: &'static str,
    pub(super) name: String,
}

/// How runs are executed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) limit: usize,
    pub(super) grace: Duration,
    pub(super) patience: Duration,
    pub(super) pauses: bool,
    /// How often the server is asked.
    pub(super) every: Duration,
}

/// What one runner has in common.
struct Shared {
    server: Server,
    served: Vec<Served>,
    settings: Settings,
    events: UnboundedSender<Event>,
    known: Mutex<Known>,
    drain: Arc<Drain>,
}

/// What the server said of runs.
#[derive(Default)]
struct Known {
    runs: HashMap<Uuid, ServerRun>,
    /// Those that are ours, or are being claimed.
    taken: HashSet<Uuid>,
    /// What their processes said last.
    farewells: HashMap<Uuid, Farewell>,
    orphans: Orphans,
}

/// Executes runs until it is asked to leave.
pub(super) struct Runner {
    shared: Arc<Shared>,
    received: UnboundedReceiver<Event>,
    /// Ends with the runner.
    tasks: JoinSet<()>,
    /// Where orders for processes go.
    orders: HashMap<Uuid, UnboundedSender<Order>>,
}

impl Runner {
    pub(super) fn new(
        server: Server,
        served: Vec<Served>,
        settings: Settings,
        drain: Arc<Drain>,
    ) -> Self {
        let (events, received) = mpsc::unbounded_channel();
        Self {
            shared: Arc::new(Shared {
                server,
                served,
                settings,
                events,
                known: Mutex::default(),
                drain,
            }),
            received,
            tasks: JoinSet::new(),
            orders: HashMap::new(),
        }
    }

    /// Ends when the process shall end and the last run has.
    pub(super) async fn run(mut self) {
        let settings = self.shared.settings;
        let mut machine = Machine::new(Rules {
            limit: settings.limit,
            grace: settings.grace,
            patience: settings.patience,
            pauses: settings.pauses,
        });
        let shared = Arc::clone(&self.shared);
        self.tasks
            .spawn(async move { shared.poll_for_ever().await });
        let shared = Arc::clone(&self.shared);
        self.tasks
            .spawn(async move { shared.listen_for_ever().await });
        let shared = Arc::clone(&self.shared);
        self.tasks.spawn(async move {
            shared.drain.asked().await;
            shared.tell(Event::Leave);
            shared.drain.insisted().await;
            shared.tell(Event::Insist);
        });
        loop {
            let event = self.next_event(&machine).await;
            if let Event::Concluded(run) | Event::Claimed(run, false) = &event {
                self.orders.remove(run);
                let mut known = self.shared.known.lock();
                known.taken.remove(run);
                known.farewells.remove(run);
            }
            for command in machine.handle(Timestamp::now(), event) {
                if command == Command::Done {
                    return;
                }
                self.perform(command);
            }
        }
    }

    async fn next_event(&mut self, machine: &Machine) -> Event {
        let Some(time) = machine.wake_at() else {
            return self.received.recv().await.unwrap_or(Event::Woken);
        };
        let wait = Duration::try_from(Timestamp::now().duration_until(time));
        // The time may have come already.
        let wait = wait.unwrap_or_default();
        match tokio::time::timeout(wait, self.received.recv()).await {
            Ok(Some(event)) => event,
            Ok(None) | Err(_) => Event::Woken,
        }
    }

    fn perform(&mut self, command: Command) {
        let shared = Arc::clone(&self.shared);
        match command {
            Command::Claim(run) => {
                shared.known.lock().taken.insert(run);
                self.tasks.spawn(async move {
                    let is_ours = shared.claim(run).await;
                    shared.tell(Event::Claimed(run, is_ours));
                });
            }
            Command::Start(run) => {
                let (sender, orders) = mpsc::unbounded_channel();
                self.orders.insert(run, sender);
                self.tasks
                    .spawn(async move { shared.execute(run, orders).await });
            }
            Command::Order(run, order) => {
                if let Some(orders) = self.orders.get(&run) {
                    // Its process may have ended just now.
                    let _ = orders.send(order);
                }
            }
            Command::Conclude(run, conclusion) => {
                self.tasks.spawn(async move {
                    shared.conclude(run, &conclusion).await;
                    shared.tell(Event::Concluded(run));
                });
            }
            Command::Pause => {
                self.tasks.spawn(async move { shared.pause().await });
            }
            Command::Done => {}
        }
    }
}

impl Shared {
    fn tell(&self, event: Event) {
        // The runner may have ended.
        let _ = self.events.send(event);
    }

    fn hear(&self, run: Uuid, wish: Wish) {
        match wish {
            Wish::Cancel => self.tell(Event::Cancel(run)),
            // Its process hears it, too.
            Wish::Suspend => {}
        }
    }

    /// Hears which runs shall be cancelled. Servers and proxies that let no
    /// socket through leave it to [`poll_for_ever`](Self::poll_for_ever).
    async fn listen_for_ever(&self) {
        loop {
            let client = self.server.client();
            let heard = |run, wish| self.hear(run, wish);
            let listened = cancelling::listen(client, || self.runs(), heard);
            if let Err(error) = listened.await {
                tracing::debug!(target: "flowcore::prefect", "{error}");
            }
            runtime::sleep(cancelling::AGAIN).await;
        }
    }

    /// Asks the server what is scheduled, again and again.
    async fn poll_for_ever(&self) {
        let deployments: Vec<_> = self.served.iter().map(|served| served.id).collect();
        let mut is_away = false;
        loop {
            let every = self.settings.every;
            // Runs until the next time but one are known before they are due.
            let before = Timestamp::now() + every.max(Duration::from_secs(10));
            match self.server.scheduled(&deployments, before).await {
                Ok(runs) => {
                    if std::mem::take(&mut is_away) {
                        tracing::info!(target: "flowcore::prefect", "scheduled runs are known again");
                    }
                    self.learn(runs);
                }
                Err(error) => {
                    self.known.lock().orphans.nothing_is_known();
                    if std::mem::replace(&mut is_away, true) {
                        tracing::debug!(target: "flowcore::prefect", "{error}");
                    } else {
                        tracing::warn!(
                            target: "flowcore::prefect",
                            "scheduled runs are not known: {error}; asks again every {every:?}"
                        );
                    }
                }
            }
            let heard = |run, wish| self.hear(run, wish);
            cancelling::poll(self.server.client(), &self.runs(), heard).await;
            runtime::sleep(spread(every)).await;
        }
    }

    fn learn(&self, runs: Vec<ServerRun>) {
        let now = Timestamp::now();
        let mut due = Vec::with_capacity(runs.len());
        let mut known = self.known.lock();
        let Known {
            runs: old,
            taken,
            orphans,
            ..
        } = &mut *known;
        old.retain(|run, _| taken.contains(run));
        let waiting = runs.iter().filter(|run| run.is_retried_by_its_process());
        let of_others = waiting.filter(|run| !taken.contains(&run.id));
        let of_others = of_others.filter_map(|run| Some((run.id, run.next_scheduled_start_time?)));
        let orphans = orphans.among(of_others, now);
        for run in runs {
            if run.is_retried_by_its_process() {
                if !orphans.contains(&run.id) {
                    continue;
                }
                tracing::info!(
                    target: "flowcore::prefect",
                    "flow run '{}' waited for its next attempt in a process that is gone: it can \
                     go on here",
                    run.name
                );
            }
            due.push((run.next_scheduled_start_time.unwrap_or(now), run.id));
            old.insert(run.id, run);
        }
        drop(known);
        self.tell(Event::Scheduled(due));
    }

    fn name_of(&self, run: Uuid) -> String {
        let known = self.known.lock();
        let known = known.runs.get(&run);
        known.map_or_else(|| run.to_string(), |run| run.name.clone())
    }

    /// The run's process from beginning to end.
    async fn execute(&self, run: Uuid, orders: UnboundedReceiver<Order>) {
        let output = Output::new(run);
        let Some(assignment) = self.assignment(run) else {
            let reason = "its deployment is not served here".to_owned();
            return self.tell(Event::NotStarted(run, reason));
        };
        let process = match RunProcess::start(&assignment, &output) {
            Ok(process) => process,
            Err(error) => {
                let program = std::env::current_exe().unwrap_or_default();
                let reason = format!("{} cannot be started: {error}", program.display());
                return self.tell(Event::NotStarted(run, reason));
            }
        };
        let id = process.id();
        tracing::info!(
            target: "flowcore::prefect",
            "flow run '{}' is executed by process {id}", self.name_of(run)
        );
        self.tell(Event::Started(run));
        let noted = async {
            if let Err(error) = self.server.note_process(run, id).await {
                tracing::debug!(target: "flowcore::prefect", "{error}");
            }
            output.send_for_ever(&self.server).await;
        };
        let exit = tokio::select! {
            exit = process.run(orders, &output) => exit,
            () = noted => return,
        };
        output.send(&self.server).await;
        if let Some(farewell) = output.farewell() {
            self.known.lock().farewells.insert(run, farewell);
        }
        self.tell(Event::Ended(run, exit));
    }

    fn assignment(&self, run: Uuid) -> Option<Assignment> {
        let known = self.known.lock();
        let known = known.runs.get(&run)?;
        let mut served = self.served.iter();
        let served = served.find(|served| Some(served.id) == known.deployment_id)?;
        Some(Assignment {
            run,
            flow_key: served.flow_key,
            variables: vec![
                ("PREFECT__FLOW_ID", served.flow_id.to_string()),
                ("PREFECT__FLOW_NAME", served.flow_name.clone()),
                ("PREFECT__DEPLOYMENT_ID", served.id.to_string()),
                ("PREFECT__DEPLOYMENT_NAME", served.name.clone()),
                // Who serves tells what the process cannot.
                (
                    "PREFECT__ENABLE_CANCELLATION_AND_CRASHED_HOOKS",
                    "false".to_owned(),
                ),
            ],
        })
    }

    /// Tells the server how a run ended, as long as it does not know; waits for
    /// a server that is away.
    async fn conclude(&self, run: Uuid, conclusion: &Conclusion) {
        let mut is_last = false;
        loop {
            let error = match self.told(run, conclusion).await {
                Ok(()) => return,
                Err(error) => error,
            };
            if is_last || !error.may_pass() {
                let name = self.name_of(run);
                return tracing::error!(
                    target: "flowcore::prefect",
                    "the server does not know how flow run '{name}' ended: {error}"
                );
            }
            is_last = self.drain.is_insisted();
            let insisted = self.drain.insisted();
            let _ = runtime::timeout(TELL_AGAIN, insisted).await;
        }
    }

    async fn told(&self, run: Uuid, conclusion: &Conclusion) -> Result<(), ApiError> {
        match conclusion {
            Conclusion::GivenBack => self.force(run, "SCHEDULED", "Scheduled", None).await,
            Conclusion::NotStarted(reason) => {
                let message = format!("Flow run could not start: {reason}");
                let name = self.name_of(run);
                tracing::error!(target: "flowcore::prefect", "flow run '{name}': {message}");
                self.force(run, "CRASHED", "Crashed", Some(&message)).await
            }
            Conclusion::Cancelled => self.end(run, None).await,
            Conclusion::Ended(exit) => self.end(run, Some(exit.message())).await,
        }
    }

    /// A final state, if the run has left none. `crash`: what to say of it,
    /// unless it was cancelled.
    async fn end(&self, run: Uuid, crash: Option<String>) -> Result<(), ApiError> {
        let farewell = self.known.lock().farewells.get(&run).cloned();
        let has_left = farewell.as_ref().is_some_and(Farewell::is_of_suspended);
        if crash.is_some() && has_left {
            return Ok(());
        }
        let seen = self.server.run(run).await?;
        let is_left = seen.is_final() || seen.goes_on_elsewhere();
        if seen.kind() == "CANCELLED" || (crash.is_some() && is_left) {
            return Ok(());
        }
        let name = &seen.name;
        if crash.is_none() || seen.kind() == "CANCELLING" {
            tracing::info!(target: "flowcore::prefect", "flow run '{name}' was cancelled");
            let message = "Flow run was cancelled successfully.";
            return self
                .force(run, "CANCELLED", "Cancelled", Some(message))
                .await;
        }
        if let Some(Farewell {
            kind,
            name,
            message,
        }) = farewell
        {
            return self.force(run, &kind, &name, message.as_deref()).await;
        }
        let message = crash.unwrap_or_default();
        tracing::error!(target: "flowcore::prefect", "flow run '{name}' crashed: {message}");
        let output = Output::new(run);
        output.say(ERROR, &message);
        output.send(&self.server).await;
        self.force(run, "CRASHED", "Crashed", Some(&message)).await
    }

    async fn force(
        &self,
        run: Uuid,
        kind: &str,
        name: &str,
        message: Option<&str>,
    ) -> Result<(), ApiError> {
        let proposal = Proposal {
            kind,
            name,
            message,
            force: true,
        };
        self.server.propose(run, proposal).await.map(drop)
    }

    async fn pause(&self) {
        for served in &self.served {
            match self.server.pause(served.id).await {
                Ok(()) => tracing::info!(
                    target: "flowcore::prefect",
                    "deployment '{}/{}' is paused: its schedules rest until it is served again",
                    served.flow_name, served.name
                ),
                Err(error) => tracing::warn!(
                    target: "flowcore::prefect",
                    "deployment '{}/{}' is not paused: {error}", served.flow_name, served.name
                ),
            }
        }
    }

    /// The runs that may have a process here.
    fn runs(&self) -> Vec<Uuid> {
        self.known.lock().taken.iter().copied().collect()
    }
}

/// Up to a fifth less, so that runners do not ask all at once.
fn spread(every: Duration) -> Duration {
    let share = f64::from(Uuid::new_v4().as_bytes()[0]) / 255.0;
    every.mul_f64(1.0 - 0.2 * share)
}
