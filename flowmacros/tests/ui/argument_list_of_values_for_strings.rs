use flowcore::prelude::*;

#[task]
fn longest(words: Vec<String>) -> Option<String> {
    words.into_iter().max_by_key(String::len)
}

#[flow]
async fn example() {
    let _ = longest.submit(vec!["a", "bc"]);
}

fn main() {}
