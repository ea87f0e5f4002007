use std::rc::Rc;

use flowcore::prelude::*;

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[flow]
async fn hold() -> Result<i64> {
    let held = Rc::new(1);
    let one = inc(0).await?;
    Ok(*held + one)
}

fn main() {}
