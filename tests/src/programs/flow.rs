//! A program as a flow, compared with what is expected.

use flowcore::__private::{Argument, Column as TaskColumn};
use flowcore::prelude::*;
use flowcore::{IntoArgument, IntoColumn, StateName};

use super::expected::{Expected, LENGTHS, MapOutcome, NO_ROW, Outcome};
use super::steps::{Column, List, Number, Step};
use super::tasks::{
    Kind, count_failed, make_list, mix, mix_borrowing, mix_local, mix_panicking, mix_retried,
    mix_waiting, settle, sum, sum_borrowed,
};

/// The handles that are still held.
#[derive(Default)]
struct Handles {
    numbers: Vec<Option<TaskFuture<i64>>>,
    lists: Vec<Option<TaskFuture<Vec<i64>>>>,
    maps: Vec<Option<Mapped<i64>>>,
}

/// An argument of any kind for a number.
enum AnyNumber {
    Value(i64),
    Run(TaskFuture<i64>),
}

impl IntoArgument<i64> for AnyNumber {
    fn into_argument(self) -> Argument<i64> {
        match self {
            Self::Value(value) => value.into_argument(),
            Self::Run(run) => run.into_argument(),
        }
    }
}

/// An argument of any kind for a list.
enum AnyList {
    Run(TaskFuture<Vec<i64>>),
    Rows(Mapped<i64>),
    Runs(Vec<TaskFuture<i64>>),
}

impl IntoArgument<Vec<i64>> for AnyList {
    fn into_argument(self) -> Argument<Vec<i64>> {
        match self {
            Self::Run(run) => run.into_argument(),
            Self::Rows(rows) => rows.into_argument(),
            Self::Runs(runs) => runs.into_argument(),
        }
    }
}

/// A column of any kind.
enum AnyColumn {
    Values(Vec<i64>),
    List(AnyList),
    Repeat(AnyNumber),
}

impl IntoColumn<i64> for AnyColumn {
    fn into_column(self) -> TaskColumn<i64> {
        match self {
            Self::Values(values) => values.into_column(),
            Self::List(AnyList::Run(run)) => run.into_column(),
            Self::List(AnyList::Rows(rows)) => rows.into_column(),
            Self::List(AnyList::Runs(runs)) => runs.into_column(),
            Self::Repeat(number) => unmapped(number).into_column(),
        }
    }
}

fn kind(number: u8) -> Kind {
    match number % 6 {
        0 => Kind::Plain,
        1 => Kind::Waiting,
        2 => Kind::Retried,
        3 => Kind::Panicking,
        4 => Kind::Borrowing,
        _ => Kind::Local,
    }
}

/// Picks one of the handles that are still held.
fn pick<T>(handles: &[Option<T>], number: u8) -> Option<u8> {
    let held: Vec<usize> = (0..handles.len())
        .filter(|&index| handles[index].is_some())
        .collect();
    let index = *held.get(usize::from(number) % held.len().max(1))?;
    u8::try_from(index).ok()
}

fn forget<T>(handles: &mut [Option<T>], number: u8) {
    if let Some(index) = pick(handles, number) {
        handles[usize::from(index)] = None;
    }
}

fn held<T>(handles: &[Option<T>], index: u8) -> &T {
    handles[usize::from(index)].as_ref().expect("it was picked")
}

impl Handles {
    /// The number with its handle's index instead of a random one.
    fn resolve(&self, number: Number) -> Number {
        match number {
            Number::Value(_) => number,
            Number::Run(run) => pick(&self.numbers, run).map_or(Number::Value(1), Number::Run),
            Number::Row(map, row) => {
                pick(&self.maps, map).map_or(Number::Value(2), |map| Number::Row(map, row))
            }
        }
    }

    fn number(&self, number: Number) -> AnyNumber {
        match number {
            Number::Value(value) => AnyNumber::Value(value),
            Number::Run(run) => AnyNumber::Run(held(&self.numbers, run).clone()),
            Number::Row(map, row) => AnyNumber::Run(held(&self.maps, map).get(usize::from(row))),
        }
    }

    fn resolve_list(&self, list: &List, expected: &Expected) -> Option<List> {
        Some(match list {
            List::Run(run) => List::Run(pick(&self.lists, *run)?),
            List::Rows(map) => List::Rows(pick(&self.maps, *map)?),
            List::SomeRows(map, first, count) => {
                let map = pick(&self.maps, *map)?;
                // Rows that do not exist have tests of their own.
                match &expected.maps[usize::from(map)] {
                    MapOutcome::Rows(rows) => {
                        let first = (*first).min(rows.len() as u8);
                        List::SomeRows(map, first, (*count).min(rows.len() as u8 - first))
                    }
                    _ => List::Rows(map),
                }
            }
            List::Runs(numbers) => List::Runs(
                numbers
                    .iter()
                    .map(|number| self.resolve(*number))
                    .filter(|number| !matches!(number, Number::Value(_)))
                    .collect(),
            ),
        })
    }

    fn list(&self, list: &List) -> AnyList {
        match list {
            List::Run(run) => AnyList::Run(held(&self.lists, *run).clone()),
            List::Rows(map) => AnyList::Rows(held(&self.maps, *map).clone()),
            List::SomeRows(map, first, count) => {
                let rows = usize::from(*first)..usize::from(*first + *count);
                AnyList::Rows(held(&self.maps, *map).slice(rows))
            }
            List::Runs(numbers) => AnyList::Runs(
                numbers
                    .iter()
                    .filter_map(|number| match self.number(*number) {
                        AnyNumber::Run(run) => Some(run),
                        AnyNumber::Value(_) => None,
                    })
                    .collect(),
            ),
        }
    }

    fn resolve_column(&self, column: &Column, expected: &Expected) -> Option<Column> {
        Some(match column {
            Column::Values(values) => Column::Values(values.clone()),
            Column::List(list) => Column::List(self.resolve_list(list, expected)?),
            Column::Repeat(number) => Column::Repeat(self.resolve(*number)),
        })
    }

    fn column(&self, column: &Column) -> AnyColumn {
        match column {
            Column::Values(values) => AnyColumn::Values(values.clone()),
            Column::List(list) => AnyColumn::List(self.list(list)),
            Column::Repeat(number) => AnyColumn::Repeat(self.number(*number)),
        }
    }

    fn submit(&mut self, number: u8, x: Number, y: Number, after: Option<u8>) {
        let (x, y) = (self.number(x), self.number(y));
        let after: Vec<_> = after
            .map(|run| held(&self.numbers, run).clone())
            .into_iter()
            .collect();
        self.numbers.push(Some(match kind(number) {
            Kind::Plain => mix.after(&after).submit(x, y),
            Kind::Waiting => mix_waiting.after(&after).submit(x, y),
            Kind::Retried => mix_retried.after(&after).submit(x, y),
            Kind::Panicking => mix_panicking.after(&after).submit(x, y),
            Kind::Borrowing => mix_borrowing.after(&after).submit(x, y),
            Kind::Local => mix_local.after(&after).submit(x, y),
        }));
    }

    fn map(&mut self, number: u8, x: &Column, y: &Column) {
        let (x, y) = (self.column(x), self.column(y));
        self.maps.push(Some(match kind(number) {
            Kind::Plain => mix.map(x, y),
            Kind::Waiting => mix_waiting.map(x, y),
            Kind::Retried => mix_retried.map(x, y),
            Kind::Panicking => mix_panicking.map(x, y),
            Kind::Borrowing => mix_borrowing.map(x, y),
            Kind::Local => mix_local.map(x, y),
        }));
    }

    /// Does one step; a step that finds nothing to work on is left out.
    async fn step(&mut self, step: &Step, expected: &mut Expected) -> Option<()> {
        match step {
            Step::Run {
                kind: number,
                x,
                y,
                after,
            } => {
                let (x, y) = (self.resolve(*x), self.resolve(*y));
                let after = after.and_then(|run| pick(&self.numbers, run));
                self.submit(*number, x, y, after);
                expected.run(kind(*number), x, y, after);
            }
            Step::Sum(of, borrows) => {
                let of = self.resolve_list(of, expected)?;
                let values = self.list(&of);
                self.numbers.push(Some(if *borrows {
                    sum_borrowed.submit(values)
                } else {
                    sum.submit(values)
                }));
                expected.sum(&of);
            }
            Step::Settle(number) => {
                let number = self.resolve(*number);
                if let Number::Row(map, _) = number
                    && matches!(expected.maps[usize::from(map)], MapOutcome::Either(..))
                {
                    return None;
                }
                if let AnyNumber::Run(run) = self.number(number) {
                    let run = settle.submit(allow_failure(run));
                    self.numbers.push(Some(run));
                    expected.settle(number);
                }
            }
            Step::Count(map) => {
                let map = pick(&self.maps, *map)?;
                if matches!(expected.maps[usize::from(map)], MapOutcome::Rows(_)) {
                    let rows = held(&self.maps, map);
                    self.numbers
                        .push(Some(count_failed.submit(allow_failure(rows))));
                    expected.count(usize::from(map));
                }
            }
            Step::List(n) => {
                let n = self.resolve(*n);
                self.lists.push(Some(make_list.submit(self.number(n))));
                expected.list(n);
            }
            Step::Map { kind: number, x, y } => {
                let x = self.resolve_column(x, expected)?;
                let mut y = self.resolve_column(y, expected)?;
                match (expected.length(&x), expected.length(&y)) {
                    // Mostly columns fit.
                    (Some(x), Some(length)) if x != length && (x + length) % 4 > 0 => {
                        y = Column::Repeat(Number::Value(3));
                    }
                    _ => {}
                }
                if let (Column::Repeat(_), Column::Repeat(_)) = (&x, &y) {
                    y = Column::Values(vec![1, 2, 3]);
                }
                // No rows, and a failure for all of them: that says nothing.
                if expected.length(&y) == Some(0) && expected.is_missing(&x) {
                    y = Column::Values(vec![4]);
                }
                if expected.length(&x) == Some(0) && expected.is_missing(&y) {
                    y = Column::Repeat(Number::Value(5));
                }
                self.map(*number, &x, &y);
                expected.map(kind(*number), &x, &y);
            }
            Step::SettleRows(map) => {
                let map = pick(&self.maps, *map)?;
                if matches!(expected.maps[usize::from(map)], MapOutcome::Rows(_)) {
                    let rows = held(&self.maps, map);
                    self.maps.push(Some(settle.map(allow_failure(rows))));
                    expected.settle_rows(usize::from(map));
                }
            }
            Step::Drop(item) => match item % 3 {
                0 => forget(&mut self.numbers, item / 3),
                1 => forget(&mut self.lists, item / 3),
                _ => forget(&mut self.maps, item / 3),
            },
            Step::Read(number) => {
                let index = pick(&self.numbers, *number)?;
                let run = held(&self.numbers, index);
                check(run, &expected.numbers[usize::from(index)]).await;
            }
            Step::Cancel(item) => match item % 3 {
                0 => held(&self.numbers, pick(&self.numbers, item / 3)?).cancel(),
                1 => held(&self.maps, pick(&self.maps, item / 3)?).cancel(),
                _ => held(&self.maps, pick(&self.maps, item / 3)?)
                    .get(usize::from(item / 32))
                    .cancel(),
            },
            Step::Yield => tokio::task::yield_now().await,
        }
        Some(())
    }
}

/// The run ends as expected, whoever asks and however.
async fn check<T>(run: &TaskFuture<T>, expected: &Outcome<T>)
where
    T: Clone + PartialEq + std::fmt::Debug + Send + Sync + 'static,
{
    assert!(run.wait(None).await);
    let name = run.state().name();
    match (run.await, expected) {
        (Ok(value), Outcome::Completed(wanted)) => {
            assert_eq!(&value, wanted);
            assert_eq!(name, StateName::Completed);
        }
        (Err(error), Outcome::Failed(text)) if !text.starts_with(NO_ROW) => {
            assert_eq!(name, StateName::Failed);
            assert!(is_root(&error, text), "{error:?} is not {text:?}");
        }
        (Err(error), Outcome::Failed(text)) => {
            assert!(is_root(&error, text), "{error:?} is not {text:?}");
        }
        (Err(error), Outcome::NotReady(roots)) => {
            assert!(
                roots.iter().any(|text| is_root(&error, text)),
                "{error:?} has none of {roots:?}"
            );
        }
        (got, _) => panic!("{got:?} instead of {expected:?}"),
    }
}

fn is_root(error: &Error, text: &str) -> bool {
    let root = error.root().to_string();
    if text == LENGTHS || text.starts_with(NO_ROW) {
        return root.contains(text);
    }
    // A panic's text stands behind its place, and before the backtrace.
    root == text || root.contains(&format!(": {text}")) || root.contains(&format!("{text}:"))
}

async fn check_map(rows: Mapped<i64>, expected: &MapOutcome) {
    assert!(rows.wait(None).await);
    let length = match expected {
        MapOutcome::Rows(outcomes) => {
            assert_eq!(rows.len(), Some(outcomes.len()));
            for (row, outcome) in outcomes.iter().enumerate() {
                check(&rows.get(row), outcome).await;
            }
            let is_well = outcomes
                .iter()
                .all(|row| matches!(row, Outcome::Completed(_)));
            assert_eq!((&rows).await.is_ok(), is_well);
            assert_eq!(rows.states().len(), outcomes.len());
            assert_eq!(
                rows.clone().outcomes().await.map(|rows| rows.len()).ok(),
                rows.len()
            );
            return;
        }
        MapOutcome::Either(length, _) => *length,
        MapOutcome::Ended(_) => 0,
    };
    let roots = match expected {
        MapOutcome::Ended(roots) | MapOutcome::Either(_, roots) => roots,
        MapOutcome::Rows(_) => unreachable!("returned above"),
    };
    match rows.await {
        Err(error) => assert!(
            roots.iter().any(|text| is_root(&error, text)),
            "{error:?} has none of {roots:?}"
        ),
        // No row, no failure.
        Ok(values) => assert!(
            values.is_empty() && length == 0,
            "{values:?} of {expected:?}"
        ),
    }
}

/// Runs a program and compares all that is still held at its end.
///
/// # Panics
///
/// Something ended otherwise than expected.
#[flow]
pub async fn program(steps: Vec<Step>) {
    let mut handles = Handles::default();
    let mut expected = Expected::default();
    for step in &steps {
        handles.step(step, &mut expected).await;
    }
    let Handles {
        numbers,
        lists,
        maps,
    } = handles;
    for (run, outcome) in numbers.into_iter().zip(&expected.numbers) {
        if let Some(run) = run {
            check(&run, outcome).await;
        }
    }
    for (run, outcome) in lists.into_iter().zip(&expected.lists) {
        if let Some(run) = run {
            check(&run, outcome).await;
        }
    }
    for (rows, outcome) in maps.into_iter().zip(&expected.maps) {
        if let Some(rows) = rows {
            check_map(rows, outcome).await;
        }
    }
}

/// Runs a program in which runs are cancelled: everything settles all the
/// same. With `gives_up` the flow fails at its end.
///
/// # Errors
///
/// It gave up.
///
/// # Panics
///
/// Something has not settled.
#[flow]
pub async fn restless(steps: Vec<Step>, gives_up: bool) -> Result<()> {
    let mut handles = Handles::default();
    let mut expected = Expected::default();
    for step in &steps {
        if !matches!(step, Step::Read(_)) {
            handles.step(step, &mut expected).await;
        }
    }
    if gives_up {
        return Err(Error::msg("gives up"));
    }
    for run in handles.numbers.into_iter().flatten() {
        assert!(run.wait(None).await);
        assert!(run.state().is_settled());
    }
    for rows in handles.maps.into_iter().flatten() {
        assert!(rows.wait(None).await);
        assert!(rows.states().iter().all(|state| state.is_settled()));
    }
    Ok(())
}
