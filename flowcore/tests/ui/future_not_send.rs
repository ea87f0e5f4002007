use std::rc::Rc;

use flowcore::prelude::*;

#[task]
async fn hold() -> i64 {
    let held = Rc::new(1);
    tokio::task::yield_now().await;
    *held
}

fn main() {}
