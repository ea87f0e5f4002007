//! Prefect's side of a comparison: the mapped flow in Python, with a Prefect
//! server of its own.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use flow_tests::python::Environment;
use serde::Deserialize;
use tempfile::TempDir;

/// Some 20 ms for each task run, and the start of the server; slower machines
/// get time.
const LIMIT: Duration = Duration::from_mins(30);

/// What `python/mapped_flow.py` answers.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct MappedFlow {
    /// How long the flow took, without the start of the server.
    pub seconds: f64,
    /// What it gave.
    pub sum: i64,
}

/// Runs the mapped flow on so many rows.
///
/// # Errors
///
/// If there is no Python, or the program fails.
pub fn mapped_flow(rows: usize) -> Result<MappedFlow, Box<dyn Error>> {
    let directory = TempDir::new()?;
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/mapped_flow.py");
    let answer = Environment::prefect()?
        .program(program)
        .argument(rows.to_string())
        .with_prefect(directory.path())
        .limit(LIMIT)
        .run_json()?;
    Ok(answer)
}
