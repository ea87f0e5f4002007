// says: a task cannot change a caller's value: take it by value and return the new one

use flowcore::prelude::*;

#[task]
fn push(values: &mut Vec<i64>) {
    values.push(1);
}

fn main() {}
