use std::borrow::Cow;

use flowcore::prelude::*;

#[task]
fn join(words: Vec<&str>) -> String {
    words.join(" ")
}

#[task]
fn length(text: Cow<'_, str>) -> usize {
    text.len()
}

#[task]
fn static_text(text: &'static str) -> usize {
    text.len()
}

fn main() {}
