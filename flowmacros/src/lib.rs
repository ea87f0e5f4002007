//! The procedural macros of `flowcore`: `#[task]`, `#[flow]` and `#[main]`.
