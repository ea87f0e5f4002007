use std::rc::Rc;

use flowcore::prelude::*;

#[task(local)]
fn make() -> Rc<String> {
    Rc::new(String::new())
}

fn main() {}
