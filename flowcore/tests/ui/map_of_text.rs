// says: `map` wants a sequence of `String` here, but got `&str`
// says: a sequence of values or futures, another map, or the future of a list; or wrap a single value for all rows: `unmapped(..)`

use flowcore::prelude::*;

#[task]
fn length(text: &str) -> usize {
    text.len()
}

#[flow]
async fn example() {
    let _ = length.map("abc");
}

fn main() {}
