// says: `map` wants a sequence of `i64` here, but got `&Mapped<String>`
// says: a sequence of values or futures, another map, or the future of a list; or wrap a single value for all rows: `unmapped(..)`

use flowcore::prelude::*;

#[task]
fn name(x: i64) -> String {
    x.to_string()
}

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[flow]
async fn example() {
    let names = name.map(0..3);
    let _ = inc.map(&names);
}

fn main() {}
