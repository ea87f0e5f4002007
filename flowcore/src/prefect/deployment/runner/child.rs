//! The process of one run: this executable again, on a leash.
//!
//! Orders go through its standard input. When that ends, it ends too: so no run
//! outlives its runner, however that ended.

use std::io::{self, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use super::exit::{Exit, ended_for_memory};
use super::machine::Order;
use super::output::Output;
use crate::prefect::deployment::scheduled::{FLOW_RUN, Keeper, VARIABLE};

/// How often it is looked whether the process has ended.
const PAUSE: Duration = Duration::from_millis(50);

/// How long output may still come from processes that the run has left behind.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

/// What a run's process is told about it.
#[derive(Clone, Debug)]
pub(super) struct Assignment {
    pub(super) run: uuid::Uuid,
    pub(super) flow_key: &'static str,
    /// Further variables, as Prefect's own runner sets them.
    pub(super) variables: Vec<(&'static str, String)>,
}

/// A run's process; dropping it kills it.
#[derive(Debug)]
pub(super) struct RunProcess {
    child: Child,
    orders: Option<ChildStdin>,
    /// What the system had counted when it began.
    ended_for_memory: Option<u64>,
}

impl RunProcess {
    pub(super) fn start(assignment: &Assignment, output: &Output) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .env(VARIABLE, Keeper::Runner.mark(assignment.flow_key))
            .env(FLOW_RUN, assignment.run.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for (name, value) in &assignment.variables {
            command.env(name, value);
        }
        apart(&mut command);
        let ended_for_memory = ended_for_memory();
        let mut child = command.spawn()?;
        let orders = child.stdin.take();
        if let Some(stdout) = child.stdout.take() {
            output.read(stdout, io::stdout)?;
        }
        if let Some(stderr) = child.stderr.take() {
            output.read(stderr, io::stderr)?;
        }
        Ok(Self {
            child,
            orders,
            ended_for_memory,
        })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn order(&mut self, order: Order) {
        let said = match (order, &mut self.orders) {
            (Order::Cancel, Some(orders)) => orders.write_all(b"cancel\n"),
            (Order::Terminate, Some(orders)) => orders.write_all(b"terminate\n"),
            (Order::Kill, _) => self.child.kill(),
            (_, None) => Ok(()),
        };
        if let Err(error) = said {
            tracing::debug!(target: "flowcore::prefect", "a run's process does not listen: {error}");
        }
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<Exit> {
        let status = match self.child.try_wait() {
            Ok(status) => status?,
            // Somebody else has waited for it.
            Err(_) => std::process::ExitStatus::default(),
        };
        let before = self.ended_for_memory;
        let memory_ran_out = before.is_some_and(|before| ended_for_memory() > Some(before));
        Some(Exit::new(status, memory_ran_out))
    }

    /// Waits for its end, and gives it orders meanwhile.
    pub(super) async fn run(
        mut self,
        mut orders: tokio::sync::mpsc::UnboundedReceiver<Order>,
        output: &Output,
    ) -> Exit {
        let exit = loop {
            if let Some(exit) = self.ended() {
                break exit;
            }
            if let Some(Some(order)) = crate::runtime::timeout(PAUSE, orders.recv()).await {
                self.order(order);
            }
        };
        let _ = crate::runtime::timeout(LAST_OUTPUT, output.ended()).await;
        exit
    }
}

impl Drop for RunProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ctrl-C in a terminal is for the runner: it decides what becomes of runs.
#[cfg(unix)]
fn apart(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
}

#[cfg(not(unix))]
fn apart(_: &mut Command) {}
