// says: unknown option `retrys`; did you mean `retries`?
// says: `#[flow]` has no option `priority`: it belongs to a task
// says: unknown option `flavor`; `#[flowcore::main]` knows `cli`, `signals`, `crate`

use flowcore::prelude::*;

#[task(retrys = 3)]
fn inc(x: i64) -> i64 {
    x + 1
}

#[flow(priority = 3)]
async fn example() -> Result<i64> {
    inc.submit(1).await
}

#[flowcore::main(flavor = "current_thread")]
async fn main() {}
