use flowcore::prelude::*;

#[task(timeout = "30", retry_delay = "5 parsecs")]
fn a() {}

#[task(timeout = "0s", retry_delay = -1)]
fn b() {}

#[task(timeout = true, retry_delay = ["1s", "2s"])]
fn c() {}

#[flow(timeout = "")]
async fn d() {}

fn main() {}
