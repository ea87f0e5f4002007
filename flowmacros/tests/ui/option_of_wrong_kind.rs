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
