//! A program that is its own command line.

use flowcore::prelude::*;
// Its command `worker`: a crate that nothing names is left out of the program.
use flowdask as _;

/// How long a name is.
#[task]
fn length(name: String) -> usize {
    name.chars().count()
}

/// Greets somebody.
///
/// As often as wanted.
#[flow(version = "2", tags = ["polite"])]
async fn greet(name: String, #[default(1)] times: u32) -> Result<String> {
    let counted = length.submit(&name).await?;
    let greeting = format!("Hello, {name}! ").repeat(times as usize);
    Ok(format!("{greeting}({counted})"))
}

/// Leaves a line in a file.
#[flow]
async fn leaves(file: String, line: String) -> Result<()> {
    Ok(std::fs::write(file, line)?)
}

#[flow]
async fn fails() -> Result<()> {
    Err(Error::msg("the disk is full"))
}

#[flow]
async fn borrows(name: &str) -> usize {
    name.len()
}

/// Prints, and leaves a line without an end.
#[flow]
async fn prints() -> Result<usize> {
    println!("a line of the flow");
    print!("a part of one");
    length.submit("abc").await
}

#[flow]
async fn waits() {
    println!("ready");
    std::future::pending::<()>().await;
}

#[flowcore::main(cli)]
async fn main() {
    println!("no arguments");
}
