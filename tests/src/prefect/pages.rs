//! The pages of a server, as a person sees and uses them in a browser.

use std::path::Path;

use super::Server;
use crate::python::{Environment, Program, Requirements, Result};

/// Drives Debian's Chromium, which has to be installed.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/prefect/browser.py");

/// A person in front of a server's pages.
#[derive(Debug)]
pub struct Pages<'a> {
    server: &'a Server,
    environment: Environment,
}

impl<'a> Pages<'a> {
    /// The pages of a server that [has some](Server::with_pages).
    ///
    /// # Errors
    ///
    /// If there is no environment with what drives the browser.
    pub fn of(server: &'a Server) -> Result<Self> {
        Ok(Self {
            server,
            environment: Environment::new(&Requirements::BROWSER)?,
        })
    }

    /// Opens a page, and a tab of it, waits until it shows all these texts and
    /// takes a picture. Gives all text on the page.
    ///
    /// # Errors
    ///
    /// If it does not show them; the error says what it shows.
    pub fn show(
        &self,
        path: &str,
        tab: Option<&str>,
        expected: &[&str],
        picture: &Path,
    ) -> Result<String> {
        let mut program = self.action("show").argument(path).argument(picture);
        if let Some(tab) = tab {
            program = program.argument("--tab").argument(tab);
        }
        for text in expected {
            program = program.argument("--expect").argument(text);
        }
        Ok(program.run()?.stdout)
    }

    /// Fills the form of a deployment and starts it.
    ///
    /// # Errors
    ///
    /// If the page has no such form.
    pub fn run(&self, deployment: &str, parameters: &[(&str, &str)]) -> Result<()> {
        let mut program = self.action("run").argument(deployment);
        for (name, value) in parameters {
            program = program
                .argument("--parameter")
                .argument(format!("{name}={value}"));
        }
        program.run().map(drop)
    }

    /// Presses *Cancel* on a flow run's page.
    ///
    /// # Errors
    ///
    /// If the page has no such button.
    pub fn cancel(&self, flow_run: &str) -> Result<()> {
        self.action("cancel").argument(flow_run).run().map(drop)
    }

    fn action(&self, name: &str) -> Program {
        self.environment
            .program(SCRIPT)
            .argument(format!("http://{}", self.server.address()))
            .argument(name)
    }
}

impl Server {
    /// A server that has pages for people, too.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn with_pages() -> Result<Self> {
        // It would unpack them into its package, which others run.
        let static_files = "ui";
        Self::with_settings(&[
            ("PREFECT_SERVER_UI_ENABLED", "true"),
            ("PREFECT_UI_STATIC_DIRECTORY", static_files),
            ("PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT", "false"),
        ])
    }
}
