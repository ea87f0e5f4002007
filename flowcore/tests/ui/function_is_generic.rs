// says: a task cannot be generic: a worker finds it by its name, and each type would need one of its own; write a generic function and one task per type that calls it

use flowcore::prelude::*;

#[task]
fn largest<T: Ord>(values: Vec<T>) -> Option<T> {
    values.into_iter().max()
}

fn main() {}
