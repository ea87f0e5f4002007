// says: write `retries = ..` instead of `retries(..)`
// says: write `retries = ..`
// says: a value is missing after `retries =`
// says: expected `,` between two options
// says: expected an option, such as `retries = 3`

use flowcore::prelude::*;

#[task(retries(3))]
fn a() {}

#[task(retries: 3)]
fn b() {}

#[task(retries = )]
fn c() {}

#[task(retries = 3 timeout = "1s")]
fn d() {}

#[task("load")]
fn e() {}

fn main() {}
