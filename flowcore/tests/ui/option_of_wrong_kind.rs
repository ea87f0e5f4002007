// says: `retries` wants a whole number: `retries = 3`
// says: `name` wants a string literal: `name = "load"`
// says: `tags` wants a list of string literals: `tags = ["io"]`
// says: `task_run_name` wants a string literal: `task_run_name = "load-{path}"`
// says: `local` is a word of its own: `local`
// says: `retries` cannot be negative: `retries = 3`
// says: `name` must not be empty
// says: each of `tags` is a string literal: `tags = ["nightly"]`
// says: `description` wants a string literal: `description = "loads the rows"`
// says: `timeout` needs a value: `timeout = "30s"`
// says: `crate` wants the path of `flowcore`: `crate = path::to::flowcore`
// says: `task_runner` needs a value: `task_runner = ThreadPoolTaskRunner::new()`
// says: `name` needs a value: `name = "load"`

use flowcore::prelude::*;

#[task(retries = "3", name = load, tags = "io", task_run_name = 5, local = "yes")]
fn a() {}

#[task(retries = -1, name = "", tags = [1, ""], description = 'x')]
fn b() {}

#[task(retries = 1.5, timeout, crate = 3)]
fn c() {}

#[flow(task_runner, name)]
async fn d() {}

fn main() {}
