//! The options that tasks and flows share.

use proc_macro2::TokenStream;
use quote::quote;
use syn::LitStr;

use super::hooks::{self, Hook, HookKind};
use super::{Given, value};
use crate::crate_path::CratePath;
use crate::function::Parameter;
use crate::problems::Problems;
use crate::template;

/// Options that mean the same in `#[task]` and `#[flow]`.
#[derive(Default)]
pub(crate) struct Common {
    pub(crate) krate: CratePath,
    pub(crate) name: Option<LitStr>,
    pub(crate) description: Option<LitStr>,
    pub(crate) version: Option<LitStr>,
    pub(crate) tags: Vec<LitStr>,
    pub(crate) timeout: Option<TokenStream>,
    /// `task_run_name` or `flow_run_name`.
    pub(crate) run_name: Option<LitStr>,
    /// The parameters that it names.
    pub(crate) named_parameters: Vec<String>,
    pub(crate) hooks: Vec<Hook>,
}

impl Common {
    /// Reads the option if it is one of these.
    pub(super) fn read(&mut self, given: &Given, problems: &mut Problems) {
        match given.name().as_str() {
            "name" => self.name = value::nonempty_text(given, "\"load\"", problems),
            "description" => {
                self.description = value::text(given, "\"loads the rows\"", problems);
            }
            "version" => self.version = value::nonempty_text(given, "\"1.2\"", problems),
            "tags" => self.tags = value::texts(given, problems),
            "timeout" => self.timeout = value::positive_duration(given, problems),
            "task_run_name" => {
                self.run_name = value::nonempty_text(given, "\"load-{path}\"", problems);
            }
            "flow_run_name" => {
                self.run_name = value::nonempty_text(given, "\"nightly-{day}\"", problems);
            }
            "crate" => self.krate = value::crate_path(given, problems).unwrap_or_default(),
            _ => {
                hooks::read(given, &mut self.hooks, problems);
            }
        }
    }

    /// The list of hooks, if there are any.
    pub(crate) fn hooks(&self) -> Option<TokenStream> {
        if self.hooks.is_empty() {
            return None;
        }
        let hooks = self.hooks.iter();
        let hooks = hooks.map(|hook| hook.tokens(HookKind::State, &self.krate));
        Some(quote!(&[#(#hooks),*]))
    }

    /// Checks the template of run names against the parameters; one that is
    /// wrong is dropped.
    pub(crate) fn check_run_name(&mut self, parameters: &[Parameter], problems: &mut Problems) {
        let Some(template) = &self.run_name else {
            return;
        };
        let names: Vec<String> = parameters.iter().map(Parameter::text).collect();
        match template::check(&template.value(), &names) {
            Ok(named) => self.named_parameters = named,
            Err(message) => {
                problems.push(template, message);
                self.run_name = None;
            }
        }
    }
}
