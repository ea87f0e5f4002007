use flowcore::prelude::*;

#[task]
fn tick() -> i64 {
    1
}

fn main() {
    let _ = tick.map(0..3);
    let _ = tick.map();
}
