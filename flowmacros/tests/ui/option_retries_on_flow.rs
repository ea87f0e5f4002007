use flowcore::prelude::*;

#[flow(retries = 3, retry_delay = "1s")]
async fn example() {}

fn main() {}
