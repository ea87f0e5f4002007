// says: this task argument wants `Vec<String>`, or a future or state of `Vec<String>`, but got `Vec<&str>`
// says: a reference is passed as a clone, so its type must be `Clone`; nothing else is converted: convert first, such as with `.into()`, `as`, or for a list `.into_iter().map(..).collect()`

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
