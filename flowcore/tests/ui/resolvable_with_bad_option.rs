// says: `retries` wants a whole number: `retries = 3`
// says: bad `timeout`: expected a number before `soon`; write for example `"30s"` or `"1m 30s"`

use flowcore::prelude::*;

#[task(retries = "many")]
fn inc(x: i64) -> i64 {
    x + 1
}

#[flow(timeout = "soon")]
async fn sums(values: Vec<i64>) -> Result<Vec<i64>> {
    inc.map(values).await
}

#[flowcore::main]
async fn main() -> Result<()> {
    assert_eq!(sums.with_options(|o| o.tag("x"))(vec![1]).await?, [2]);
    Ok(())
}
