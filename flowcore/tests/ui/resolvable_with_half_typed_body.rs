use flowcore::prelude::*;

#[task]
fn inc(x: i64) -> i64 {
    x.
}

#[flow]
async fn example() -> Result<Vec<i64>> {
    let a = inc.map(0..3);
    inc.submit(inc(1).await?).await?;
    a.await
}

fn main() {}
