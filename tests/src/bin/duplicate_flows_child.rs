//! The child of the test of duplicate keys: two flows have one key, that of
//! their module.

use flowcore::prelude::*;

#[flow]
async fn nightly() {}

fn helper() {
    #[flow]
    async fn nightly() {}
    let _ = nightly;
}

#[flowcore::main]
async fn main() {
    helper();
    println!("main runs");
}
