use std::rc::Rc;

use flowcore::prelude::*;

#[flow]
async fn length(text: Rc<String>) -> usize {
    text.len()
}

fn main() {}
