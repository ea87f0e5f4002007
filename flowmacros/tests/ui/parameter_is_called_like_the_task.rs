use flowcore::prelude::*;

#[task]
fn load(load: String) -> usize {
    load.len()
}

#[task]
fn save(__path: String) {}

fn main() {}
