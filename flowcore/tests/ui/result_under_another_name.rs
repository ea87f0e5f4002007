// says: this return type is `Result` under another name, and `#[task]` tells by the name whether a run can fail: write `Result<..>` out

use flowcore::prelude::*;

type Outcome<T> = std::result::Result<T, String>;

#[task]
fn parse(text: String) -> Outcome<i64> {
    text.parse::<i64>().map_err(|error| error.to_string())
}

fn main() {}
