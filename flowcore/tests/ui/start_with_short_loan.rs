use flowcore::prelude::*;

#[flow]
async fn count(text: &str) -> usize {
    text.len()
}

#[flowcore::main]
async fn main() -> Result<()> {
    let text = String::from("four");
    let started = count.start(&text);
    println!("{}", started.await?);
    Ok(())
}
