// says: a task needs no lifetime parameters: write `&T` or `&str`; each parameter is borrowed for the run, and what is returned is owned

use flowcore::prelude::*;

#[task]
fn length<'a>(text: &'a str) -> usize {
    text.len()
}

fn main() {}
