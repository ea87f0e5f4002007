//! A server that does not take us for who we are: nothing more is told.
//!
//! What is not told stays in the file of the process, for a replay with
//! credentials that do.

use std::collections::VecDeque;

use super::{Call, Ledger};
use crate::prefect::client::ApiError;

impl Ledger {
    /// Nothing more is told. Said once.
    pub(crate) fn shut(&mut self, error: ApiError) {
        if self.is_shut() {
            return;
        }
        tracing::warn!(
            target: "flowcore::prefect",
            "{error}; no more runs of this process are reported, and what was not is kept for the \
             command `replay`"
        );
        self.steps = VecDeque::new();
        self.dirty = VecDeque::new();
        self.runs.clear();
        self.lines.drop_all();
        self.refused = Some(error);
    }

    pub(super) fn is_shut(&self) -> bool {
        self.refused.is_some()
    }

    /// Whether an answer means that no other one would be better. Who may not
    /// write lines may be allowed to do the rest.
    pub(super) fn shuts(call: &Call, error: &ApiError) -> bool {
        let matters = matches!(call, Call::Begin { .. } | Call::State { .. });
        error.is_unknown_user() || (error.is_refusal() && matters)
    }
}
