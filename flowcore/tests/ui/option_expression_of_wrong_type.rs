use std::time::Duration;

use flowcore::prelude::*;

const SECONDS: u64 = 3;

#[task(retry_delay = SECONDS)]
fn a() {}

#[task(retries = Duration::from_secs(1))]
fn b() {}

fn main() {}
