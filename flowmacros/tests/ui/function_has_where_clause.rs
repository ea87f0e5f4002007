use flowcore::prelude::*;

#[flow]
async fn length(text: String) -> usize
where
    String: Clone,
{
    text.len()
}

fn main() {}
