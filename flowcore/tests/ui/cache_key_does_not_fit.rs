use flowcore::prelude::*;

fn of_number(path: &u32) -> String {
    path.to_string()
}

fn a_number(path: &str) -> usize {
    path.len()
}

#[task(cache_key = of_number)]
fn a(path: String) {}

#[task(cache_key = a_number)]
fn b(path: String) {}

fn main() {}
