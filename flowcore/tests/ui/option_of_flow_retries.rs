// says: `retries` cannot be negative: `retries = 3`
// says: `#[flow]` has no option `retry_jitter`: it belongs to a task
// says: `#[flow]` has no option `retry_if`: it belongs to a task

use flowcore::prelude::*;

#[flow(retries = -1, retry_delay = "soon")]
async fn first() {}

#[flow(retries = 3, retry_jitter = 0.5, retry_if = is_temporary)]
async fn second() {}

#[flow(retries = "3", retry_delay = [])]
async fn third() {}

fn main() {}
