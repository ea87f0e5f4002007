use std::rc::Rc;

use flowcore::prelude::*;

#[task(local)]
fn length(text: Rc<String>) -> usize {
    text.len()
}

fn main() {}
