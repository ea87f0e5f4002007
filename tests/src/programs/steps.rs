//! Programs as data.

use proptest::prelude::*;

/// One step of a program. The numbers in it pick among the runs, lists or
/// maps that there are; a step that finds none is left out.
#[derive(Clone, Debug)]
pub enum Step {
    /// A run that takes two numbers.
    Run {
        /// Which task.
        kind: u8,
        /// The first number.
        x: Number,
        /// The second one.
        y: Number,
        /// A run that it comes after.
        after: Option<u8>,
    },
    /// The sum of a list.
    Sum(List, bool),
    /// A number, or -1 if there is none.
    Settle(Number),
    /// How many rows of a map failed.
    Count(u8),
    /// A list whose length the number decides.
    List(Number),
    /// A run per row.
    Map {
        /// Which task.
        kind: u8,
        /// The first numbers.
        x: Column,
        /// The second ones.
        y: Column,
    },
    /// A map's numbers, -1 for those that there are not.
    SettleRows(u8),
    /// The handle goes.
    Drop(u8),
    /// Somebody reads.
    Read(u8),
    /// A run or a map is cancelled; only in [`restless`](super::restless)
    /// programs.
    Cancel(u8),
    /// The other threads get time.
    Yield,
}

/// Where one number comes from.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// It is known.
    Value(i64),
    /// A run gives it.
    Run(u8),
    /// A row of a map gives it.
    Row(u8, u8),
}

/// Where a list comes from.
#[derive(Clone, Debug)]
pub enum List {
    /// A run gives it.
    Run(u8),
    /// A map's rows.
    Rows(u8),
    /// Some rows of a map.
    SomeRows(u8, u8, u8),
    /// Single runs.
    Runs(Vec<Number>),
}

/// Where a map's numbers come from.
#[derive(Clone, Debug)]
pub enum Column {
    /// They are known.
    Values(Vec<i64>),
    /// They may be as many as those of the other column.
    List(List),
    /// One for all rows.
    Repeat(Number),
}

/// A run, a list or a map, by its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// A run that gives a number.
    Number,
    /// A run that gives a list.
    List,
    /// A map.
    Map,
}

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![
        2 => (0..40_i64).prop_map(Number::Value),
        4 => any::<u8>().prop_map(Number::Run),
        2 => (any::<u8>(), 0..6_u8).prop_map(|(map, row)| Number::Row(map, row)),
    ]
}

fn list() -> impl Strategy<Value = List> {
    prop_oneof![
        2 => any::<u8>().prop_map(List::Run),
        3 => any::<u8>().prop_map(List::Rows),
        2 => (any::<u8>(), 0..4_u8, 0..5_u8).prop_map(|(map, first, count)| {
            List::SomeRows(map, first, count)
        }),
        1 => proptest::collection::vec(number(), 0..5).prop_map(List::Runs),
    ]
}

fn column() -> impl Strategy<Value = Column> {
    prop_oneof![
        2 => proptest::collection::vec(0..40_i64, 0..6).prop_map(Column::Values),
        5 => list().prop_map(Column::List),
        3 => number().prop_map(Column::Repeat),
    ]
}

fn step(restless: bool) -> impl Strategy<Value = Step> {
    let run = (
        any::<u8>(),
        number(),
        number(),
        proptest::option::weighted(0.1, any::<u8>()),
    );
    let map = (any::<u8>(), column(), column());
    prop_oneof![
        6 => run.prop_map(|(kind, x, y, after)| Step::Run { kind, x, y, after }),
        2 => (list(), any::<bool>()).prop_map(|(of, borrows)| Step::Sum(of, borrows)),
        1 => number().prop_map(Step::Settle),
        1 => any::<u8>().prop_map(Step::Count),
        2 => number().prop_map(Step::List),
        6 => map.prop_map(|(kind, x, y)| Step::Map { kind, x, y }),
        1 => any::<u8>().prop_map(Step::SettleRows),
        2 => any::<u8>().prop_map(Step::Drop),
        1 => any::<u8>().prop_map(Step::Read),
        1 => any::<u8>().prop_map(move |item| if restless { Step::Cancel(item) } else { Step::Yield }),
    ]
}

/// Random programs; in `restless` ones runs are cancelled.
pub fn steps(restless: bool) -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(step(restless), 1..30)
}
