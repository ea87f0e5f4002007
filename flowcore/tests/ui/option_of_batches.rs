// says: `batch` is at least 1: `batch = 1`
// says: `batch` wants a whole number: `batch = 3`

use flowcore::prelude::*;

#[task(batch = 0)]
fn a() {}

#[task(batch = "all")]
fn b() {}

#[flow(batch = 5)]
async fn c() {}

fn main() {}
