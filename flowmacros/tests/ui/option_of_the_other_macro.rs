use flowcore::prelude::*;

#[task(flow_run_name = "a", task_runner = SequentialTaskRunner::new())]
fn inc(x: i64) -> i64 {
    x + 1
}

#[flow(task_run_name = "a", local)]
async fn example() {}

fn main() {}
