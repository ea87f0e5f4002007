// says: `map` wants a sequence of `i64` here, but got `[&str; 2]`
// says: a sequence of values or futures, another map, or the future of a list; or wrap a single value for all rows: `unmapped(..)`

use flowcore::prelude::*;

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[flow]
async fn example() {
    let _ = inc.map(["a", "b"]);
}

fn main() {}
