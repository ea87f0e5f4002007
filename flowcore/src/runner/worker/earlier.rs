//! What earlier executions of runs have left at home: the attempts they made.
//!
//! Execution is at least once: a worker that dies leaves its runs to another,
//! which begins with the descriptor that the first one had. Home has counted.
//! It is asked only when an attempt has failed, since most never do, and once
//! for all rows of a batch.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use futures_util::future::{Either, select};
use parking_lot::Mutex;

use crate::runner::RunReference;
use crate::runner::channel::{Line, Request};
use crate::runner::control::AttemptControl;

/// The attempts that are under way, as home counts them.
pub(super) struct Earlier {
    /// Those of a batch.
    rows: Option<Range<u32>>,
    /// Once home has said it. Rows of a batch wait for each other here.
    attempts: Mutex<Option<HashMap<RunReference, u32>>>,
}

impl Earlier {
    pub(super) fn of_run() -> Self {
        Self {
            rows: None,
            attempts: Mutex::default(),
        }
    }

    pub(super) fn of_rows(rows: Range<u32>) -> Self {
        Self {
            rows: Some(rows),
            attempts: Mutex::default(),
        }
    }

    /// The number of the attempt that the line's run makes, by what was told
    /// before this execution of it. Waits for home to answer; `None` if the run
    /// is cancelled meanwhile, as when its flow has ended and nobody answers.
    pub(super) fn attempt(&self, line: &Arc<Line>, control: &AttemptControl) -> Option<u32> {
        let mut attempts = self.attempts.lock();
        let known = match &mut *attempts {
            Some(known) => known,
            unknown => unknown.insert(self.ask(line, control)?),
        };
        Some(known.get(&line.run()).copied().unwrap_or(1))
    }

    fn ask(
        &self,
        line: &Arc<Line>,
        control: &AttemptControl,
    ) -> Option<HashMap<RunReference, u32>> {
        let asking = line.ask(Request::Attempts(self.rows.clone()));
        let asking = std::pin::pin!(asking.attempts());
        let cancelled = std::pin::pin!(control.cancelled());
        match crate::runtime::block_on(select(asking, cancelled)) {
            Either::Left((Ok(attempts), _)) => Some(attempts.into_iter().collect()),
            Either::Left((Err(error), _)) => {
                // This execution's own count is all there is.
                tracing::debug!(%error, "earlier attempts cannot be asked for");
                Some(HashMap::new())
            }
            Either::Right(_) => None,
        }
    }
}
