// says: `after` wants futures or maps, but got `{integer}`

use flowcore::prelude::*;

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[flow]
async fn example() {
    let _ = inc.after(1).submit(1);
}

fn main() {}
