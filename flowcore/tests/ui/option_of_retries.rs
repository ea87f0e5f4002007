// says: `retry_delay` is an empty list: leave it out
// says: bad `retry_delay`: expected a number before `soon`; write for example `"30s"` or `"1m 30s"`
// says: `exponential_backoff` takes one duration, the first delay: `exponential_backoff("10s")`
// says: `retry_jitter` cannot be negative: `retry_jitter = 0.5`
// says: `retry_jitter` wants a number, the part of a delay that may be added: `retry_jitter = 0.5`
// says: `retry_if` wants the name of a function, since it runs where the task runs
// says: `#[task]` has no option `retry_condition_fn`: write `retry_if = is_temporary`, the name of a function of the error
// says: `version` must not be empty
// says: this function is no condition of retries

use flowcore::prelude::*;

#[task(retry_delay = [])]
fn a() {}

#[task(retry_delay = ["1s", "soon"])]
fn b() {}

#[task(retry_delay = exponential_backoff())]
fn c() {}

#[task(retry_jitter = -0.5)]
fn d() {}

#[task(retry_jitter = "half")]
fn e() {}

#[task(retry_if = |error| true)]
fn f() {}

#[task(retry_condition_fn = temporary)]
fn g() {}

#[task(version = "")]
fn h() {}

fn temporary(error: &str) -> bool {
    error.is_empty()
}

#[task(retries = 1, retry_if = temporary)]
fn i() {}

fn main() {}
