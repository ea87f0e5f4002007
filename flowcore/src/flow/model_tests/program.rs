//! Programs as data, drawn from a seed.

use super::Random;
use super::tasks::Code;

/// What a program does next. Numbers pick among the runs or maps that there
/// are.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Run {
        code: Code,
        x: Option<usize>,
        y: Option<usize>,
        after: Option<usize>,
        /// A failed `x` is a value too.
        allow_failure: bool,
        options: Options,
    },
    Map {
        code: Code,
        x: Column,
        y: Option<usize>,
        allow_failure: bool,
        options: Options,
    },
    /// All rows of a map.
    Total(usize),
    Cancel(usize),
    CancelRow(usize, usize),
    CancelMap(usize),
    /// The program lets others do something.
    Rest,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) retries: u32,
    /// Milliseconds.
    pub(super) delay: u64,
    pub(super) timeout: Option<u64>,
    /// It runs under the program's limit.
    pub(super) limited: bool,
    /// What completed with the same inputs is not computed again; only where
    /// no input may fail.
    pub(super) cached: bool,
}

impl Options {
    pub(super) fn cached_unless(self, an_input_may_fail: bool) -> Self {
        Self {
            cached: self.cached && !an_input_may_fail,
            ..self
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Column {
    Numbers(usize),
    Map(usize),
}

#[derive(Debug)]
pub(super) struct Program {
    pub(super) steps: Vec<Step>,
    /// Its flow fails at its end, while runs are open.
    pub(super) gives_up: bool,
    /// How many limited runs may run at once.
    pub(super) limit: usize,
}

impl Program {
    pub(super) fn draw(random: &mut Random) -> Self {
        let length = 1 + random.below(30);
        let mut runs = 0;
        let mut maps = 0;
        let steps = (0..length)
            .map(|_| {
                let step = step(random, runs, maps);
                match step {
                    Step::Run { .. } | Step::Total(_) => runs += 1,
                    Step::Map { .. } => maps += 1,
                    _ => {}
                }
                step
            })
            .collect();
        Self {
            steps,
            gives_up: random.once_in(5),
            limit: 1 + random.below(3),
        }
    }
}

fn step(random: &mut Random, runs: usize, maps: usize) -> Step {
    let run = |random: &mut Random| random.pick(runs).filter(|_| !random.once_in(3));
    match random.below(16) {
        0..6 => Step::Run {
            code: code(random),
            x: run(random),
            y: run(random),
            after: run(random).filter(|_| random.once_in(4)),
            allow_failure: random.once_in(3),
            options: options(random),
        },
        6..9 => Step::Map {
            code: code(random),
            x: match random.pick(maps) {
                Some(map) if random.once_in(2) => Column::Map(map),
                _ => Column::Numbers(random.below(5)),
            },
            y: run(random),
            allow_failure: random.once_in(3),
            options: options(random),
        },
        9 if maps > 0 => Step::Total(random.below(maps)),
        10 if runs > 0 => Step::Cancel(random.below(runs)),
        11 if maps > 0 => Step::CancelRow(random.below(maps), random.below(5)),
        12 if maps > 0 && random.once_in(3) => Step::CancelMap(random.below(maps)),
        _ => Step::Rest,
    }
}

fn code(random: &mut Random) -> Code {
    match random.below(10) {
        0 => Code::Panics,
        1 => Code::FailsUntil(9),
        2 | 3 => Code::FailsUntil(1 + random.below(2) as u32),
        _ => Code::Gives,
    }
}

fn options(random: &mut Random) -> Options {
    Options {
        retries: random.below(4).saturating_sub(1) as u32,
        delay: [0, 0, 7, 30][random.below(4)],
        timeout: random.once_in(4).then_some(12),
        limited: random.once_in(4),
        cached: random.once_in(4),
    }
}
