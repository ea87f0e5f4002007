//! How the runs of a program end, calculated one after the other.

use std::collections::BTreeSet;

use super::steps::{Column, List, Number};
use super::tasks::{Kind, listed, mixed};

/// The texts of errors where a failure may have begun.
type Roots = BTreeSet<String>;

/// How one run ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// With this value.
    Completed(T),
    /// With this error of its own.
    Failed(String),
    /// Never started, because of one of these.
    NotReady(Roots),
}

impl<T> Outcome<T> {
    fn roots(&self) -> Roots {
        match self {
            Self::Completed(_) => Roots::new(),
            Self::Failed(text) => [text.clone()].into(),
            Self::NotReady(roots) => roots.clone(),
        }
    }

    /// The value, if all goes well; else what the dependent is not ready for.
    fn get(&self) -> Result<&T, Roots> {
        match self {
            Self::Completed(value) => Ok(value),
            other => Err(other.roots()),
        }
    }

    fn of(result: Result<T, String>) -> Self {
        match result {
            Ok(value) => Self::Completed(value),
            Err(text) => Self::Failed(text),
        }
    }
}

/// How a map ends.
#[derive(Clone, Debug)]
pub(super) enum MapOutcome {
    /// Row by row.
    Rows(Vec<Outcome<i64>>),
    /// Without rows, for a reason.
    Ended(Roots),
    /// All its rows are not ready, or, if the map's length was not known when
    /// that showed, there are none: both are right.
    Either(usize, Roots),
}

/// What a program's runs, lists and maps give.
#[derive(Debug, Default)]
pub struct Expected {
    pub(super) numbers: Vec<Outcome<i64>>,
    pub(super) lists: Vec<Outcome<Vec<i64>>>,
    pub(super) maps: Vec<MapOutcome>,
}

/// A column: values by row, or one for all.
enum Rows {
    Each(Vec<Outcome<i64>>),
    All(Outcome<i64>),
    /// The whole column is missing.
    Missing(Roots),
    /// Missing, whether with rows or without.
    Either(usize, Roots),
}

/// The text by which rows that do not exist are known.
pub(super) const NO_ROW: &str = "no row";

/// The text by which columns of different lengths are known.
pub(super) const LENGTHS: &str = "sequences of different lengths";

impl Expected {
    pub(super) fn number(&self, number: Number) -> Outcome<i64> {
        match number {
            Number::Value(value) => Outcome::Completed(value),
            Number::Run(run) => self.numbers[usize::from(run)].clone(),
            Number::Row(map, row) => self.row(usize::from(map), usize::from(row)),
        }
    }

    fn row(&self, map: usize, row: usize) -> Outcome<i64> {
        match &self.maps[map] {
            MapOutcome::Rows(rows) => match rows.get(row) {
                Some(outcome) => outcome.clone(),
                None => Outcome::Failed(format!("{NO_ROW} {row}")),
            },
            MapOutcome::Ended(roots) => Outcome::NotReady(roots.clone()),
            MapOutcome::Either(length, roots) => {
                let mut roots = roots.clone();
                if row >= *length {
                    roots.insert(format!("{NO_ROW} {row}"));
                }
                Outcome::NotReady(roots)
            }
        }
    }

    fn elements(&self, list: &List) -> Result<Vec<i64>, Roots> {
        let outcomes = match list {
            List::Run(run) => return self.lists[usize::from(*run)].get().cloned(),
            List::Runs(numbers) => numbers.iter().map(|&number| self.number(number)).collect(),
            List::Rows(map) | List::SomeRows(map, ..) => match &self.maps[usize::from(*map)] {
                MapOutcome::Ended(roots) | MapOutcome::Either(_, roots) => {
                    return Err(roots.clone());
                }
                MapOutcome::Rows(rows) => match list {
                    List::SomeRows(_, first, count) => {
                        let first = usize::from(*first);
                        rows[first..first + usize::from(*count)].to_vec()
                    }
                    _ => rows.clone(),
                },
            },
        };
        all(&outcomes)
    }

    fn column(&self, column: &Column) -> Rows {
        let list = match column {
            Column::Values(values) => {
                return Rows::Each(values.iter().map(|&x| Outcome::Completed(x)).collect());
            }
            Column::Repeat(number) => return Rows::All(self.number(*number)),
            Column::List(list) => list,
        };
        match list {
            List::Run(run) => match self.lists[usize::from(*run)].get() {
                Ok(values) => Rows::Each(values.iter().map(|&x| Outcome::Completed(x)).collect()),
                Err(roots) => Rows::Missing(roots),
            },
            List::Runs(numbers) => {
                Rows::Each(numbers.iter().map(|&number| self.number(number)).collect())
            }
            List::Rows(map) | List::SomeRows(map, ..) => match &self.maps[usize::from(*map)] {
                MapOutcome::Ended(roots) => Rows::Missing(roots.clone()),
                MapOutcome::Either(length, roots) => Rows::Either(*length, roots.clone()),
                MapOutcome::Rows(rows) => Rows::Each(match list {
                    List::SomeRows(_, first, count) => {
                        let first = usize::from(*first);
                        rows[first..first + usize::from(*count)].to_vec()
                    }
                    _ => rows.clone(),
                }),
            },
        }
    }

    pub(super) fn run(&mut self, kind: Kind, x: Number, y: Number, after: Option<u8>) {
        let mut inputs = vec![self.number(x), self.number(y)];
        inputs.extend(after.map(|run| self.numbers[usize::from(run)].clone()));
        let outcome = match all(&inputs) {
            Ok(values) => Outcome::of(mixed(kind, values[0], values[1])),
            Err(roots) => Outcome::NotReady(roots),
        };
        self.numbers.push(outcome);
    }

    pub(super) fn sum(&mut self, list: &List) {
        let outcome = match self.elements(list) {
            Ok(values) => Outcome::Completed(values.iter().sum()),
            Err(roots) => Outcome::NotReady(roots),
        };
        self.numbers.push(outcome);
    }

    pub(super) fn settle(&mut self, number: Number) {
        let outcome = match self.number(number) {
            Outcome::Completed(value) => Outcome::Completed(value),
            _ => Outcome::Completed(-1),
        };
        self.numbers.push(outcome);
    }

    pub(super) fn count(&mut self, map: usize) {
        let outcome = match &self.maps[map] {
            MapOutcome::Rows(rows) => {
                let failed = rows.iter().filter(|row| row.get().is_err()).count();
                Outcome::Completed(failed as i64)
            }
            MapOutcome::Ended(roots) | MapOutcome::Either(_, roots) => {
                Outcome::NotReady(roots.clone())
            }
        };
        self.numbers.push(outcome);
    }

    pub(super) fn list(&mut self, n: Number) {
        let outcome = match self.number(n).get() {
            Ok(&n) => Outcome::of(listed(n)),
            Err(roots) => Outcome::NotReady(roots),
        };
        self.lists.push(outcome);
    }

    /// How many rows a column has, if that is a number.
    pub(super) fn length(&self, column: &Column) -> Option<usize> {
        match self.column(column) {
            Rows::Each(rows) => Some(rows.len()),
            _ => None,
        }
    }

    /// Whether a column is one value that is not there.
    pub(super) fn is_missing(&self, column: &Column) -> bool {
        match self.column(column) {
            Rows::All(outcome) => outcome.get().is_err(),
            _ => false,
        }
    }

    pub(super) fn map(&mut self, kind: Kind, x: &Column, y: &Column) {
        let columns = [self.column(x), self.column(y)];
        let mut missing = Roots::new();
        let mut stopped = Roots::new();
        let mut lengths = BTreeSet::new();
        let mut without_rows = false;
        for column in &columns {
            match column {
                Rows::Each(rows) => {
                    lengths.insert(rows.len());
                }
                Rows::All(outcome) => stopped.extend(outcome.roots()),
                Rows::Missing(roots) => {
                    without_rows = true;
                    missing.extend(roots.clone());
                }
                Rows::Either(length, roots) => {
                    lengths.insert(*length);
                    missing.extend(roots.clone());
                }
            }
        }
        if lengths.len() > 1 {
            missing.insert(LENGTHS.to_owned());
            without_rows = true;
        }
        missing.extend(stopped);
        let length = lengths.first().copied().unwrap_or(0);
        self.maps.push(if without_rows {
            MapOutcome::Ended(missing)
        } else if !missing.is_empty() {
            // Also the roots of single rows may stop one of these first.
            for column in &columns {
                if let Rows::Each(rows) = column {
                    missing.extend(rows.iter().flat_map(Outcome::roots));
                }
            }
            MapOutcome::Either(length, missing)
        } else {
            let row = |row: usize| {
                let inputs = columns.iter().map(|column| match column {
                    Rows::Each(rows) => rows[row].clone(),
                    Rows::All(outcome) => outcome.clone(),
                    Rows::Missing(_) | Rows::Either(..) => unreachable!("nothing is missing"),
                });
                match all(&inputs.collect::<Vec<_>>()) {
                    Ok(values) => Outcome::of(mixed(kind, values[0], values[1])),
                    Err(roots) => Outcome::NotReady(roots),
                }
            };
            MapOutcome::Rows((0..length).map(row).collect())
        });
    }

    pub(super) fn settle_rows(&mut self, map: usize) {
        let outcome = match &self.maps[map] {
            MapOutcome::Rows(rows) => MapOutcome::Rows(
                rows.iter()
                    .map(|row| Outcome::Completed(row.get().map_or(-1, |value| *value)))
                    .collect(),
            ),
            MapOutcome::Ended(roots) | MapOutcome::Either(_, roots) => {
                MapOutcome::Ended(roots.clone())
            }
        };
        self.maps.push(outcome);
    }
}

fn all(outcomes: &[Outcome<i64>]) -> Result<Vec<i64>, Roots> {
    let roots: Roots = outcomes.iter().flat_map(Outcome::roots).collect();
    if roots.is_empty() {
        return Ok(outcomes
            .iter()
            .filter_map(|outcome| outcome.get().ok().copied())
            .collect());
    }
    Err(roots)
}
