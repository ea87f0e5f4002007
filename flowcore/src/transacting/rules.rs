//! What becomes of a transaction at its end: pure rules, Prefect's.

/// When a transaction commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommitMode {
    /// With the outermost transaction around it.
    #[default]
    Lazy,
    /// At its own end, whatever becomes of those around it. Runs and
    /// transactions inside commit at their own ends too.
    Eager,
    /// Only by [`Transaction::commit`](super::Transaction::commit); else it is
    /// rolled back with the outermost transaction.
    Off,
}

/// Where a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransactionState {
    /// Its code runs.
    Active,
    /// Its code has ended well, or a value was staged.
    Staged,
    /// It counts.
    Committed,
    /// It does not count, and its hooks have undone what they undo.
    RolledBack,
}

impl TransactionState {
    pub(super) fn is_decided(self) -> bool {
        matches!(self, Self::Committed | Self::RolledBack)
    }
}

/// What happens at the end of a transaction's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    Commit,
    /// Its parent decides.
    Stage,
    RollBack,
}

impl Exit {
    pub(super) fn of(went_well: bool, mode: CommitMode, has_parent: bool) -> Self {
        match (went_well, mode, has_parent) {
            (false, ..) | (true, CommitMode::Off, false) => Self::RollBack,
            (true, CommitMode::Eager, _) | (true, CommitMode::Lazy, false) => Self::Commit,
            (true, CommitMode::Lazy | CommitMode::Off, true) => Self::Stage,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_follow_the_mode_and_the_parent() {
        use CommitMode::{Eager, Lazy, Off};
        for mode in [Lazy, Eager, Off] {
            assert_eq!(Exit::of(false, mode, true), Exit::RollBack);
            assert_eq!(Exit::of(false, mode, false), Exit::RollBack);
            assert_eq!(Exit::of(true, mode, true) == Exit::Stage, mode != Eager);
        }
        let outermost = [Lazy, Eager, Off].map(|mode| Exit::of(true, mode, false));
        assert_eq!(outermost, [Exit::Commit, Exit::Commit, Exit::RollBack]);
    }
}
