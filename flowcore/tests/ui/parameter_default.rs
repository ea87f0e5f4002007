// says: a default is one expression in parentheses: `#[default(3)]`
// says: a parameter has one default; remove one
// says: a parameter that is lent has no default

use flowcore::prelude::*;

#[flow]
async fn without_value(#[default] days: u32, #[default = 3] hours: u32) -> u32 {
    days + hours
}

#[task]
fn twice(#[default(3)] #[default(4)] days: u32) -> u32 {
    days
}

#[task]
fn lent(#[default("a")] name: &str) -> usize {
    name.len()
}

fn main() {}
