//! The child of the test of duplicate keys: two tasks have one key.

use flowcore::prelude::*;

#[task(name = "load")]
fn load_rows() {}

#[task(name = "load")]
fn load_columns() {}

#[flowcore::main]
async fn main() {
    println!("main runs");
}
