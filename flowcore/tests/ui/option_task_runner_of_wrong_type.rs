use flowcore::prelude::*;

#[flow(task_runner = 3)]
async fn example() {}

fn main() {}
