//! What earlier executions of runs have left at home: the attempts they made.
//!
//! Execution is at least once: a worker that dies leaves its runs to another,
//! which begins with the descriptor that the first one had. Home has counted.
//! It is asked only when an attempt has failed, since most never do, and once
//! for all rows of a batch.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::{Either, select};

use crate::runner::channel::{Asking, Line, Request};
use crate::runner::control::AttemptControl;
use crate::runner::{RunReference, lend_while};

/// A message may be lost: after this time home is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// How often, before the run goes on without an answer.
const TIMES: u32 = 15;

/// The attempts that are under way, as home counts them.
pub(super) struct Earlier {
    /// Those of a batch.
    rows: Option<Range<u32>>,
    /// Once home has said it.
    attempts: OnceLock<HashMap<RunReference, u32>>,
}

impl Earlier {
    pub(super) fn of_run() -> Self {
        Self {
            rows: None,
            attempts: OnceLock::new(),
        }
    }

    pub(super) fn of_rows(rows: Range<u32>) -> Self {
        Self {
            rows: Some(rows),
            attempts: OnceLock::new(),
        }
    }

    /// The number of the attempt that the line's run makes, by what was told
    /// before this execution of it. Waits for home to answer; `None` if the run
    /// is cancelled meanwhile, as when its flow has ended and nobody answers.
    pub(super) fn attempt(&self, line: &Arc<Line>, control: &AttemptControl) -> Option<u32> {
        let attempts = match self.attempts.get() {
            Some(attempts) => attempts,
            None => {
                let told = self.ask(line, control)?;
                self.attempts.get_or_init(|| told)
            }
        };
        Some(attempts.get(&line.run()).copied().unwrap_or(1))
    }

    fn ask(
        &self,
        line: &Arc<Line>,
        control: &AttemptControl,
    ) -> Option<HashMap<RunReference, u32>> {
        let request = || Request::Attempts(self.rows.clone());
        let mut asking = line.ask(request());
        let mut answer = wait(&mut asking, control);
        for _ in 1..TIMES {
            if !matches!(answer, Waited::InVain) {
                break;
            }
            asking.again(request());
            answer = lend_while(|| wait(&mut asking, control));
        }
        match answer {
            Waited::Told(attempts) => Some(attempts),
            Waited::Cancelled => None,
            Waited::InVain => {
                tracing::warn!(
                    "the flow's process does not say which attempt of a task run this is: \
                     attempts are counted from where this worker began"
                );
                Some(HashMap::new())
            }
        }
    }
}

/// How a wait for home ended.
enum Waited {
    Told(HashMap<RunReference, u32>),
    Cancelled,
    InVain,
}

fn wait(asking: &mut Asking, control: &AttemptControl) -> Waited {
    let told = std::pin::pin!(asking.attempts());
    let cancelled = std::pin::pin!(control.cancelled());
    let either = crate::runtime::timeout(ASK_AGAIN, select(told, cancelled));
    match crate::runtime::block_on(either) {
        Some(Either::Left((Ok(attempts), _))) => Waited::Told(attempts.into_iter().collect()),
        // The flow's process is gone, and with it whoever counts.
        Some(Either::Left((Err(_), _))) => Waited::Told(HashMap::new()),
        Some(Either::Right(_)) => Waited::Cancelled,
        None => Waited::InVain,
    }
}
