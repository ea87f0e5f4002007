//! Telling a server what processes could not tell it before they died.

use std::fmt;
use std::path::PathBuf;

use super::ApiClient;
use super::outbox::replay::{self as outbox, Replay};
use crate::error::{Error, ErrorKind, Result};

/// What [`replay`] found, and what it told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replayed {
    /// Files that were told, and are gone.
    pub files: usize,
    /// Flow runs in them that had not been told to their ends.
    pub flow_runs: usize,
    /// Of these: flow runs that had no final state. They are Crashed now,
    /// unless the server knew better.
    pub crashed: usize,
    /// Task runs whose last state the server did not have.
    pub task_runs: usize,
    /// Files that stay, each with the reason: its process lives, it is for
    /// another server, or it cannot be read.
    pub left_alone: Vec<(PathBuf, String)>,
}

impl fmt::Display for Replayed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            files,
            flow_runs,
            crashed,
            task_runs,
            left_alone,
        } = self;
        write!(
            formatter,
            "{files} files replayed: {flow_runs} flow runs ({crashed} of them crashed), \
             {task_runs} task runs were not on the server"
        )?;
        for (path, reason) in left_alone {
            write!(formatter, "\n{}: {reason}", path.display())?;
        }
        Ok(())
    }
}

/// Tells the Prefect server what processes that died, or were cut off by their
/// drain limit, had not told it.
///
/// While a flow reports to a server, what is not known to be recorded is in a
/// file below `PREFECT_HOME` (`flowcore/outbox/`). This finds the files that
/// were left behind, and tells the server what it does not have; everything
/// once, and nothing that would overwrite what others said since. Runs without
/// a final state become Crashed. Files of processes that live are left alone,
/// so it can be called at any time, by several processes at once too.
///
/// The program's command `replay` does the same.
///
/// ```no_run
/// # #[flowcore::main]
/// # async fn main() -> flowcore::Result<()> {
/// println!("{}", flowcore::replay().await?);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// If no server is set, or it cannot be asked; then the files stay.
pub async fn replay() -> Result<Replayed> {
    let client = ApiClient::of_process().map_err(other)?;
    let Some(client) = client else {
        return Err(Error::invalid(
            "there is no Prefect server to tell: set PREFECT_API_URL, such as \
             `http://127.0.0.1:4200/api`",
        ));
    };
    let mut replayed = Replayed::default();
    for path in outbox::files().map_err(other)? {
        let reason = match outbox::replay(&client, &path).await.map_err(other)? {
            Replay::Done(told) => {
                replayed.files += 1;
                replayed.flow_runs += told.flow_runs;
                replayed.crashed += told.crashed;
                replayed.task_runs += told.task_runs;
                continue;
            }
            Replay::Busy => "its process lives, or it is being replayed".to_owned(),
            Replay::Elsewhere(server) => {
                format!("it is for the server at {server}: set PREFECT_API_URL to that")
            }
            Replay::Unreadable(why) => format!("it cannot be read: {why}"),
        };
        replayed.left_alone.push((path, reason));
    }
    Ok(replayed)
}

fn other(error: impl fmt::Display) -> Error {
    Error::build(ErrorKind::Other, format!("failed to replay: {error}")).finish()
}
