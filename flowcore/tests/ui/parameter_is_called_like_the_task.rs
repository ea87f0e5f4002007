// says: this parameter is called like the task itself, and a task is a static, which nothing may shadow: rename one of them
// says: parameter names that begin with `__` are reserved for what `#[task]` generates: rename it

use flowcore::prelude::*;

#[task]
fn load(load: String) -> usize {
    load.len()
}

#[task]
fn save(__path: String) {}

fn main() {}
