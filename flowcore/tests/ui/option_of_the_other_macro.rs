// says: `#[task]` has no option `flow_run_name`: it belongs to a flow; for a task write `task_run_name`
// says: `#[task]` has no option `task_runner`: it belongs to the flow that submits the task
// says: `#[flow]` has no option `task_run_name`: it belongs to a task; for a flow write `flow_run_name`
// says: `#[flow]` has no option `local`: it belongs to a task; a flow always runs where it is called

use flowcore::prelude::*;

#[task(flow_run_name = "a", task_runner = SequentialTaskRunner::new())]
fn inc(x: i64) -> i64 {
    x + 1
}

#[flow(task_run_name = "a", local)]
async fn example() {}

fn main() {}
