// says: `#[flow]` has no option `retries`: flow retries are not there yet: put `retries` on the tasks
// says: `#[flow]` has no option `retry_delay`: flow retries are not there yet: put `retry_delay` on the tasks

use flowcore::prelude::*;

#[flow(retries = 3, retry_delay = "1s")]
async fn example() {}

fn main() {}
