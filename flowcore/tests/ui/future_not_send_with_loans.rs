use std::rc::Rc;

use flowcore::prelude::*;

#[task]
async fn hold(text: &str) -> usize {
    let held = Rc::new(1);
    tokio::task::yield_now().await;
    *held + text.len()
}

fn main() {}
