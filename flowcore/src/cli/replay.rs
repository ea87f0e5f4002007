//! `replay`: what processes that died had not told the Prefect server.

use clap::Command;

use super::{Ended, output};
use crate::error::Result;

pub(super) const NAME: &str = "replay";

pub(super) fn command() -> Command {
    Command::new(NAME).about("Tell the Prefect server what processes that died had not told it")
}

pub(super) async fn run() -> Result<Ended> {
    let replayed = crate::prefect::replay().await?;
    output::line(&replayed.to_string());
    Ok(Ended::Done)
}
