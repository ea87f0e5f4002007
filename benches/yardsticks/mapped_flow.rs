//! The mapped flow, written by hand: one `tokio::spawn` per row and task.
//!
//! ```text
//! a = inc.map(rows)   b = double.map(rows)   c = add.map(a, b)   sum_all(c)
//! ```
//!
//! All rows of `a` and `b` are spawned before the first row of `c`, as the flow
//! submits them; each row of `c` awaits the two handles it needs. Awaiting `c`
//! row by row costs less than a `JoinSet`, which would allocate once more per
//! task and give the results in another order.

use tokio::task::{JoinError, JoinHandle};

/// How many tasks run for a number of rows.
#[must_use]
pub const fn task_runs(rows: usize) -> usize {
    3 * rows + 1
}

/// Runs the flow on the rows given.
///
/// # Errors
///
/// If a task panics.
pub async fn inc_double_add_sum(rows: Vec<i64>) -> Result<i64, JoinError> {
    let a: Vec<JoinHandle<i64>> = rows
        .iter()
        .map(|&x| tokio::spawn(async move { inc(x) }))
        .collect();
    let b: Vec<JoinHandle<i64>> = rows
        .iter()
        .map(|&x| tokio::spawn(async move { double(x) }))
        .collect();
    let c: Vec<JoinHandle<Result<i64, JoinError>>> = a
        .into_iter()
        .zip(b)
        .map(|(x, y)| tokio::spawn(async move { Ok(add(x.await?, y.await?)) }))
        .collect();

    let mut z = Vec::with_capacity(c.len());
    for row in c {
        z.push(row.await??);
    }
    tokio::spawn(async move { sum_all(&z) }).await
}

fn inc(x: i64) -> i64 {
    x + 1
}

fn double(x: i64) -> i64 {
    x * 2
}

fn add(x: i64, y: i64) -> i64 {
    x + y
}

fn sum_all(z: &[i64]) -> i64 {
    z.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::inc_double_add_sum;
    use crate::yardsticks::runtime;

    #[test]
    fn ten_rows_give_the_sum_of_3x_and_1() {
        let sum = runtime()
            .expect("threads")
            .block_on(inc_double_add_sum((0..10).collect()))
            .expect("no task panics");
        assert_eq!(sum, 145);
    }
}
