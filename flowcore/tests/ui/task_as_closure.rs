use flowcore::prelude::*;

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

fn twice(task: impl Fn(i64) -> flowcore::Call<'static, i64>) {
    let _ = (task(1), task(2));
}

fn main() {
    twice(&*inc);
    twice(inc);
}
