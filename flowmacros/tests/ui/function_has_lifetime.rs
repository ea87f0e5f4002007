use flowcore::prelude::*;

#[task]
fn length<'a>(text: &'a str) -> usize {
    text.len()
}

fn main() {}
