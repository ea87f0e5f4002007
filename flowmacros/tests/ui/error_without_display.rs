use flowcore::prelude::*;

#[derive(Debug)]
struct Broken;

#[task]
fn read() -> Result<i64, Broken> {
    Err(Broken)
}

#[flow]
async fn nightly() -> Result<i64, Broken> {
    Err(Broken)
}

fn main() {}
