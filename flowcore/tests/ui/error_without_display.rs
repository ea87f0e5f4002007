// says: `Broken` cannot be the error of a task or a flow: it does not display
// says: implement `std::error::Error` for it (for example with `thiserror`), or at least `std::fmt::Display`

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
