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
