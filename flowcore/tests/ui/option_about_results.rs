// says: there is no cache policy `INPUT`; did you mean `INPUTS`?
// says: there is no cache policy `EVERYTHING`; there are `INPUTS`, `TASK_SOURCE`, `RUN_ID`, `FLOW_PARAMETERS`, `DEFAULT`, `NO_CACHE`
// says: the task has no parameter `verbos` to leave out: it has `path`, `verbose`; did you mean `verbose`?
// says: an argument can only be left out of `INPUTS`
// says: what is left out is an argument's name as a string literal: `INPUTS - "x"`
// says: a cache policy looks like `INPUTS + TASK_SOURCE` or `INPUTS - "x"`
// says: `cache` and `cache_key` both say what the key is: give one of them
// says: `cache` finds nothing with `persist_result = false`: remove one of them
// says: `cache_key` wants the name of a function: it runs where the task runs, which may be another process
// says: a `local` task keeps its values in memory, so they cannot be written down: remove `local`, or this
// says: bad `cache_expiration`: `1` has no unit
// says: `result_store` must not be empty
// says: `#[task]` has no option `cache_policy`: write `cache = INPUTS + TASK_SOURCE`
// says: `#[flow]` has no option `cache`: it belongs to a task; a flow says `persist_result` for all its tasks

use flowcore::prelude::*;

fn key(path: &str) -> String {
    path.to_owned()
}

#[task(cache = INPUT + TASK_SOURCE)]
fn a(path: String) {}

#[task(cache = EVERYTHING)]
fn b(path: String) {}

#[task(cache = INPUTS - "verbos")]
fn c(path: String, verbose: bool) {}

#[task(cache = RUN_ID - "path")]
fn d(path: String) {}

#[task(cache = INPUTS - path)]
fn e(path: String) {}

#[task(cache = true)]
fn f(path: String) {}

#[task(cache = INPUTS, cache_key = key)]
fn g(path: String) {}

#[task(cache = INPUTS, persist_result = false)]
fn h(path: String) {}

#[task(cache_key = |path: &str| path.to_owned())]
fn i(path: String) {}

#[task(cache = INPUTS, local)]
fn j(path: String) {}

#[task(cache = INPUTS, cache_expiration = "1", result_store = "")]
fn k(path: String) {}

#[task(cache_policy = INPUTS)]
fn l(path: String) {}

#[flow(cache = INPUTS)]
async fn m() {}

fn main() {}
