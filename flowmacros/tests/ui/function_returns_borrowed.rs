use flowcore::prelude::*;

#[task]
fn first(text: &str) -> &str {
    &text[..1]
}

#[task]
fn rows(values: &[i64]) -> Result<Vec<&i64>> {
    Ok(values.iter().collect())
}

#[task]
fn label() -> &'static str {
    "label"
}

fn main() {}
