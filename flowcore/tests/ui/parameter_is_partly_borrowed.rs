// says: a task can borrow a parameter as a whole, such as `&T`, `&str` or `&[T]`, but not a part of it: make this part owned, such as `String` for `&str`
// says: a parameter of a task cannot hold a borrowed value: use an owned type, such as `String`, or `'static`
// says: an argument does not live forever: remove `'static`

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
