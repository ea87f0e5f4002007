use flowcore::prelude::*;

#[task(retry_delay_seconds = 3, timeout_seconds = 10, log_prints = true, wait_for = [])]
fn inc(x: i64) -> i64 {
    x + 1
}

fn main() {}
