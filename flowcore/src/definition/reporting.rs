//! What flows and tasks ask of their reporting to a Prefect server.

/// What an absent or unwilling Prefect server means for a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Api {
    /// Nothing: the flow does its work, and is reported as far as that can be
    /// done.
    #[default]
    BestEffort,
    /// A run whose server does not know it fails before the flow's function is
    /// called. While the server is away, waits for slots of its limits fail,
    /// and no failed attempt is followed by another. The same goes for flows
    /// that it calls.
    Required,
}

/// How the rows of a task's maps are told to a Prefect server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MapReport {
    /// Each row is a task run.
    Rows,
    /// A task run for a hundred rows or more, in a long map for a thousandth of
    /// it, with their counts; beside it each row that did not complete, up to
    /// 2,000 of a map.
    Batches,
    /// One task run for the whole map, with its counts; beside it each row that
    /// did not complete, up to 2,000.
    Summary,
}
