// says: a task cannot be `const`: it runs when a flow runs; remove `const`
// says: a task cannot be `unsafe`: callers could not keep its promises; remove `unsafe` and put an `unsafe` block into the body
// says: a flow cannot be `extern`: it is called by the engine; remove `extern`

use flowcore::prelude::*;

#[task]
const fn constant() -> i64 {
    1
}

#[task]
unsafe fn dangerous() -> i64 {
    2
}

#[flow]
extern "C" fn foreign() -> i64 {
    3
}

fn main() {}
