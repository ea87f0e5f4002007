use flowcore::prelude::*;

#[task]
fn length(text: &str) -> usize {
    text.len()
}

#[flow]
async fn example() {
    let _ = length.map("abc");
}

fn main() {}
