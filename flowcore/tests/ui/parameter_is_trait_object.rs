// says: a task cannot take a trait object: its type must be known to store the value; name a type that implements the trait

use flowcore::prelude::*;

#[task]
fn show(value: &dyn std::fmt::Display) -> String {
    value.to_string()
}

fn main() {}
