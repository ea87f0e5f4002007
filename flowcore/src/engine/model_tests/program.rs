//! Random programs: what is submitted, and what happens to it.

use proptest::prelude::*;

use crate::state::StateName;

/// One step of a program. Numbers pick among what there is.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Run {
        inputs: Vec<Input>,
        /// For a runner that orders work by itself.
        early: bool,
        limited: Limited,
    },
    Map {
        /// `None`: found out later.
        length: Option<u8>,
        aligned: Vec<Alignment>,
        whole: Vec<Input>,
        rows: Vec<(u8, Input)>,
        early: bool,
        limited: Limited,
    },
    /// A length that was asked for becomes known, or cannot be had.
    Measure(u8, Option<u8>),
    Start(u8),
    Retry(u8),
    End(u8, StateName),
    /// Rows from this one on complete in one block.
    Block(u8, u8),
    Cancel(u8),
    /// A row of a map, whether it exists or not.
    CancelRow(u8, u8),
    CancelMap(u8),
    /// Everything ends, and what comes later; `true`: what runs as well.
    Stop(bool),
    /// After a stop: what runs ends, and the flow begins again.
    Reopen,
    /// What had completed is undone.
    RollBack(u8),
    /// One of the limits has so many slots from now on.
    Limit(u8, u8),
    Release(u8),
    /// Something outside settles.
    Outside(u8, StateName),
}

/// Which limits something is under, and how urgent it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limited {
    pub(super) by: [bool; LIMITS.len()],
    pub(super) priority: i32,
}

/// The limits of all programs, and how many slots they have at first.
pub(super) const LIMITS: [(&str, u64); 2] = [("narrow", 1), ("wide", 3)];

/// A column that is another map, or a part of it.
#[derive(Clone, Debug)]
pub(super) struct Alignment {
    pub(super) map: u8,
    /// The first row of a part; `None` for the whole map.
    pub(super) first: Option<u8>,
    pub(super) allow_failure: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Input {
    pub(super) upstream: u8,
    pub(super) kind: InputKind,
    pub(super) allow_failure: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum InputKind {
    Run,
    Row(u8),
    AllRows,
    SomeRows(u8, u8),
    Outside,
    Refused,
}

pub(super) fn input() -> impl Strategy<Value = Input> {
    let kind = prop_oneof![
        3 => Just(InputKind::Run),
        2 => (0..6_u8).prop_map(InputKind::Row),
        2 => Just(InputKind::AllRows),
        2 => (0..4_u8, 0..4_u8).prop_map(|(first, count)| InputKind::SomeRows(first, count)),
        1 => Just(InputKind::Outside),
        1 => Just(InputKind::Refused),
    ];
    (any::<u8>(), kind, proptest::bool::weighted(0.25)).prop_map(
        |(upstream, kind, allow_failure)| Input {
            upstream,
            kind,
            allow_failure,
        },
    )
}

fn limited() -> impl Strategy<Value = Limited> {
    let by = proptest::array::uniform(proptest::bool::weighted(0.2));
    (by, -1..2_i32).prop_map(|(by, priority)| Limited { by, priority })
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let inputs = || proptest::collection::vec(input(), 0..3);
    let ended = || {
        prop_oneof![
            5 => Just(StateName::Completed),
            1 => Just(StateName::Cached),
            2 => Just(StateName::Failed),
            1 => Just(StateName::TimedOut),
            1 => Just(StateName::Crashed),
            1 => Just(StateName::Cancelled),
        ]
    };
    let alignment = (
        any::<u8>(),
        proptest::option::weighted(0.4, 0..4_u8),
        any::<bool>(),
    )
        .prop_map(|(map, first, allow_failure)| Alignment {
            map,
            first,
            allow_failure,
        });
    let map = (
        proptest::option::weighted(0.8, 0..5_u8),
        proptest::collection::vec(alignment, 0..3),
        inputs(),
        proptest::collection::vec((0..5_u8, input()), 0..2),
        any::<bool>(),
        limited(),
    );
    prop_oneof![
        4 => (inputs(), any::<bool>(), limited()).prop_map(|(inputs, early, limited)| Step::Run {
            inputs, early, limited
        }),
        3 => map.prop_map(|(length, aligned, whole, rows, early, limited)| Step::Map {
            length, aligned, whole, rows, early, limited
        }),
        2 => (any::<u8>(), proptest::option::weighted(0.9, 0..5_u8))
            .prop_map(|(map, length)| Step::Measure(map, length)),
        4 => any::<u8>().prop_map(Step::Start),
        1 => any::<u8>().prop_map(Step::Retry),
        2 => (any::<u8>(), ended()).prop_map(|(index, name)| Step::Outside(index, name)),
        10 => (any::<u8>(), ended()).prop_map(|(node, name)| Step::End(node, name)),
        3 => (any::<u8>(), 1..4_u8).prop_map(|(node, rows)| Step::Block(node, rows)),
        1 => any::<u8>().prop_map(Step::Cancel),
        1 => (any::<u8>(), 0..6_u8).prop_map(|(map, row)| Step::CancelRow(map, row)),
        1 => any::<u8>().prop_map(Step::CancelMap),
        1 => prop_oneof![
            1 => any::<bool>().prop_map(Step::Stop),
            2 => Just(Step::Reopen),
            1 => (any::<u8>(), 0..4_u8).prop_map(|(limit, slots)| Step::Limit(limit, slots)),
            1 => any::<u8>().prop_map(Step::RollBack),
        ],
        2 => any::<u8>().prop_map(Step::Release),
    ]
}
