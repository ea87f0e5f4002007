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
