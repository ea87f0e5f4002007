use flowcore::prelude::*;

#[task]
fn length(text: &str) -> u32 {
    text.len()
}

#[task]
async fn wait(text: String) -> Result<u32> {
    text.len()
}

fn main() {}
