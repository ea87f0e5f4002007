use std::cell::Cell;

use flowcore::prelude::*;

#[task(local)]
fn get(cell: Cell<i64>) -> i64 {
    cell.get()
}

fn main() {}
