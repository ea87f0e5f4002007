// says: `#[task]` has no option `retry_delay_seconds`: write `retry_delay = "10s"`
// says: `#[task]` has no option `timeout_seconds`: write `timeout = "30s"`
// says: `#[task]` has no option `log_prints`: write log lines with `tracing::info!`; they show under their run
// says: `#[task]` has no option `wait_for`: order without data is `task.after(&a).submit(..)`

use flowcore::prelude::*;

#[task(retry_delay_seconds = 3, timeout_seconds = 10, log_prints = true, wait_for = [])]
fn inc(x: i64) -> i64 {
    x + 1
}

fn main() {}
