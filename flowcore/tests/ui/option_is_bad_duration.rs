// says: bad `timeout`: `30` has no unit; write for example `"30s"`, with one of `ms`, `s`, `m`, `h`, `d`
// says: bad `retry_delay`: unknown unit `parsecs`; units are `ms`, `s`, `m`, `h`, `d`, `w`
// says: a `timeout` of zero would end each run at once; leave it out for no limit
// says: bad `retry_delay`: a duration cannot be negative
// says: bad `timeout`: a duration looks like `"30s"`
// says: bad `retry_delay`: one duration is wanted
// says: bad `timeout`: a duration is missing; write for example `"30s"` or `"1m 30s"`

use flowcore::prelude::*;

#[task(timeout = "30", retry_delay = "5 parsecs")]
fn a() {}

#[task(timeout = "0s", retry_delay = -1)]
fn b() {}

#[task(timeout = true, retry_delay = [["1s"], "2s"])]
fn c() {}

#[flow(timeout = "")]
async fn d() {}

fn main() {}
