//! What a stock Python client does in the same cluster.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::scheduler::Scheduler;
use crate::python::{Program, Result};

/// A function of a file in `tests/python/dask`, run with a Python client that is
/// connected to a scheduler.
#[derive(Debug)]
#[must_use = "a script does nothing until it is run"]
pub struct Script {
    program: Program,
}

impl Script {
    /// The function of this name in `client.py`, in the scheduler's environment.
    pub fn new(scheduler: &Scheduler, function: &str) -> Self {
        Self::in_file(scheduler, "client.py", function)
    }

    /// The function of this name in another file there.
    pub fn in_file(scheduler: &Scheduler, file: &str, function: &str) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("python/dask")
            .join(file);
        let mut program = scheduler
            .environment()
            .program(file)
            .in_directory(scheduler.directory())
            .argument(scheduler.address())
            .argument(function);
        if let Some(tls) = scheduler.tls() {
            program = program
                .with_variable("DASK_DISTRIBUTED__COMM__TLS__CA_FILE", &tls.authority)
                .with_variable(
                    "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT",
                    &tls.certificate,
                )
                .with_variable("DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY", &tls.key);
        }
        Self { program }
    }

    /// Adds an argument of the function: text.
    pub fn argument(mut self, argument: &str) -> Self {
        self.program = self.program.argument(argument);
        self
    }

    /// Runs the function; what it returns came as JSON.
    ///
    /// # Errors
    ///
    /// If the function raises, or returns something else.
    pub fn run<T: DeserializeOwned>(self) -> Result<T> {
        self.program.run_json()
    }
}
