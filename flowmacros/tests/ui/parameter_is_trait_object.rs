use flowcore::prelude::*;

#[task]
fn show(value: &dyn std::fmt::Display) -> String {
    value.to_string()
}

fn main() {}
