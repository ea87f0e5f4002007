//! The search for lines that a server does not take, or always fails at: a
//! batch is halved until each of them is alone, so that no other is lost.

use super::patience::Patience;
use crate::prefect::client::ApiError;

/// More than this in a row, and the server takes no lines: batches are tried
/// once each, until one goes well.
const MANY: usize = 20;

#[derive(Debug, Default)]
pub(super) struct Hunt {
    /// The next batch has no more lines.
    most: Option<usize>,
    /// So many of the next lines may be one of them.
    suspects: usize,
    with_one: Patience,
    in_a_row: usize,
    /// Lines that are lost, of which nobody has been told, and why.
    lost: Option<(usize, ApiError)>,
}

/// What becomes of a batch at which the server fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is tried again, in parts.
    Halves,
    /// It is tried again, after a pause.
    Waits,
    /// It is given up.
    IsLost,
}

impl Hunt {
    /// How many lines a batch has at most.
    pub(super) fn most(&self, usual: usize) -> usize {
        self.most.map_or(usual, |most| most.min(usual))
    }

    /// So many lines were taken.
    pub(super) fn go_well(&mut self, lines: usize, usual: usize) {
        self.say_lost();
        self.in_a_row = 0;
        if lines == 1 && self.with_one.is_tried() {
            // It was none of them.
            self.with_one.succeeded();
        }
        let Some(most) = self.most else {
            return;
        };
        self.suspects = self.suspects.saturating_sub(lines);
        self.most = match self.suspects {
            0 => Some(most * 2).filter(|most| *most < usual),
            suspects => Some(suspects.div_ceil(2)),
        };
    }

    /// The server fails at so many, or does not take them, which `is_final`.
    pub(super) fn fails(&mut self, lines: usize, is_final: bool) -> Verdict {
        if self.in_a_row >= MANY {
            return Verdict::IsLost;
        }
        self.suspects = lines;
        if lines > 1 {
            self.most = Some(lines.div_ceil(2));
            return Verdict::Halves;
        }
        self.most = Some(1);
        if !is_final {
            if !self.with_one.ends() {
                return Verdict::Waits;
            }
            self.with_one.lost();
        }
        self.suspects = 0;
        Verdict::IsLost
    }

    /// So many lines are given up.
    pub(super) fn lose(&mut self, lines: usize, error: ApiError) {
        self.in_a_row += lines;
        if self.in_a_row >= MANY {
            self.most = None;
        }
        let before = self.lost.take().map_or(0, |(lines, _)| lines);
        self.lost = Some((before + lines, error));
    }

    /// Tells how many are lost; never what they say.
    pub(super) fn say_lost(&mut self) {
        if let Some((lines, error)) = self.lost.take() {
            tracing::warn!(
                target: "flowcore::prefect",
                "{error}: of the log so many lines are lost: {lines}"
            );
        }
    }
}
