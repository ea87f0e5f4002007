//! How a run becomes ours: of all runners that know it, one executes it.
//!
//! The server lets nobody claim a run that is pending, running or cancelled,
//! but does let a run be claimed that another runner has claimed, executed and
//! ended in the meantime (`PreventPendingTransitions`). So it is looked at the
//! run before and after.

use uuid::Uuid;

use super::Shared;
use crate::prefect::ApiError;
use crate::prefect::deployment::server::{Proposal, ServerRun};
use crate::prefect::transition::Answer;

const PENDING: Proposal<'static> = Proposal {
    kind: "PENDING",
    name: "Pending",
    message: None,
    force: false,
};

impl Shared {
    /// Makes the run ours, unless another runner was quicker.
    pub(super) async fn claim(&self, run: Uuid) -> bool {
        let before = match self.server.run(run).await {
            Ok(before) if before.kind() == "SCHEDULED" => before,
            Ok(other) => {
                let kind = other.kind().to_lowercase();
                return self.leave(run, &format!("it is {kind} already"));
            }
            Err(error) => return self.fail(run, &error),
        };
        let transition = Uuid::new_v4();
        match self.server.propose_as(transition, run, PENDING).await {
            Ok(Answer::Accept) => match self.server.run(run).await {
                Ok(after) => self.has_not_run_between(&before, &after).await,
                // It accepted, and will say the rest when it is back.
                Err(_) => true,
            },
            Ok(Answer::Reject { reason, .. } | Answer::Abort { reason }) => {
                self.leave(run, &reason)
            }
            Ok(Answer::Wait { .. }) => false,
            Err(error) => {
                self.fail(run, &error);
                if !error.is_doubtful() {
                    return false;
                }
                // An answer may have been lost, and then the run would be
                // nobody's.
                match self.server.run(run).await {
                    Ok(after) if after.is_by(transition) => {
                        self.has_not_run_between(&before, &after).await
                    }
                    _ => false,
                }
            }
        }
    }

    fn leave(&self, run: Uuid, reason: &str) -> bool {
        let name = self.name_of(run);
        tracing::info!(
            target: "flowcore::prefect",
            "flow run '{name}' is not started here: {reason}"
        );
        false
    }

    fn fail(&self, run: Uuid, error: &ApiError) -> bool {
        let name = self.name_of(run);
        tracing::warn!(
            target: "flowcore::prefect",
            "flow run '{name}' cannot be claimed: {error}"
        );
        false
    }

    /// Whether nobody has executed the run between our look at it and our
    /// claim; otherwise gives back how it ended.
    async fn has_not_run_between(&self, before: &ServerRun, after: &ServerRun) -> bool {
        if after.attempts() == before.attempts() {
            return true;
        }
        let run = before.id;
        if let Err(error) = self.give_back_the_end(run).await {
            self.fail(run, &error);
        }
        self.leave(run, "another process has executed it")
    }

    async fn give_back_the_end(&self, run: Uuid) -> Result<(), ApiError> {
        let Some(end) = self.server.last_end(run).await? else {
            return Ok(());
        };
        let name = end.name.as_deref().unwrap_or_default();
        self.force(run, &end.kind, name, end.message.as_deref())
            .await
    }
}
