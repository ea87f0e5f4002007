use flowcore::prelude::*;

#[flow]
async fn example(#[default("three")] days: u32) -> u32 {
    days
}

fn main() {
    drop(example(example.default_hours()));
}
