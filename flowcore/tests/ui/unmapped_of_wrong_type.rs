// says: `map` wants a sequence of `i64` here, but got `Unmapped<&str>`
// says: a sequence of values or futures, another map, or the future of a list; or wrap a single value for all rows: `unmapped(..)`

use flowcore::prelude::*;

#[task]
fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[flow]
async fn example() {
    let _ = add.map(0..3, unmapped("ten"));
}

fn main() {}
