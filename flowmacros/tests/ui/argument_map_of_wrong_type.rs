use flowcore::prelude::*;

#[task]
fn name(x: i64) -> String {
    x.to_string()
}

#[task]
fn sum(values: &[i64]) -> i64 {
    values.iter().sum()
}

#[flow]
async fn example() {
    let words = name.map(0..3);
    let _ = sum.submit(words);
}

fn main() {}
