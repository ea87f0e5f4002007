//! The options of `#[flow]`.

use proc_macro2::TokenStream;
use syn::{Expr, ExprPath, LitStr};

use super::common::Common;
use super::retry::{self, RetryDelay};
use super::{Given, options, value};
use crate::problems::Problems;

const KNOWN: [&str; 19] = [
    "name",
    "description",
    "version",
    "tags",
    "flow_run_name",
    "task_runner",
    "validate",
    "retries",
    "retry_delay",
    "timeout",
    "persist_result",
    "result_store",
    "api",
    "on_running",
    "on_completion",
    "on_failure",
    "on_crashed",
    "on_cancellation",
    "crate",
];

/// What an absent server means: variants of `Api`.
const APIS: [(&str, &str); 2] = [("required", "Required"), ("best_effort", "BestEffort")];

/// `#[flow(..)]`
#[derive(Default)]
pub(crate) struct FlowAttribute {
    pub(crate) common: Common,
    /// An expression of a type that implements `TaskRunner`.
    pub(crate) task_runner: Option<Expr>,
    /// The path of a function.
    pub(crate) validate: Option<ExprPath>,
    pub(crate) retries: Option<TokenStream>,
    pub(crate) retry_delay: Option<RetryDelay>,
    pub(crate) persist_result: Option<bool>,
    pub(crate) result_store: Option<LitStr>,
    /// A variant of `Api`.
    pub(crate) api: Option<&'static str>,
}

impl FlowAttribute {
    /// Reads the options; what is wrong keeps its default.
    pub(crate) fn parse(arguments: TokenStream, problems: &mut Problems) -> Self {
        let mut attribute = Self::default();
        for given in options(arguments, "flow", &KNOWN, problems) {
            match (given.name().as_str(), &given.value) {
                ("task_runner", Some(runner)) => attribute.task_runner = Some(runner.clone()),
                ("task_runner", None) => problems.push(
                    &given.key,
                    "`task_runner` needs a value: `task_runner = ThreadPoolTaskRunner::new()`",
                ),
                ("validate", _) => attribute.validate = validation(&given, problems),
                ("retries", _) => attribute.retries = value::count(&given, problems),
                ("retry_delay", _) => attribute.retry_delay = retry::delay(&given, problems),
                ("persist_result", _) => {
                    attribute.persist_result = Some(value::flag(&given, problems));
                }
                ("result_store", _) => {
                    attribute.result_store =
                        value::nonempty_text(&given, "\"./results\"", problems);
                }
                ("api", _) => {
                    let api = value::word(&given, &APIS, "required", problems);
                    attribute.api = api.map(|(api, _)| api);
                }
                _ => attribute.common.read(&given, problems),
            }
        }
        attribute
    }
}

/// Reads `validate`: the name of a function.
fn validation(given: &Given, problems: &mut Problems) -> Option<ExprPath> {
    let wrong = "`validate` wants the name of a function that looks at all parameters: \
                 `validate = check` with `fn check(day: &str) -> Result<(), String>`";
    value::function(given, "check", wrong, problems)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    #[test]
    fn options_are_read() {
        let mut problems = Problems::default();
        let attribute = FlowAttribute::parse(
            quote!(
                flow_run_name = "run-{day}",
                task_runner = Runner::<A, B>::new(),
                retries = 2,
                retry_delay = ["1s", "1m"],
                api = required,
                timeout = 30
            ),
            &mut problems,
        );
        assert_eq!(problems.messages(), [""; 0]);
        assert!(attribute.task_runner.is_some());
        assert_eq!(attribute.api, Some("Required"));
        assert!(attribute.retries.is_some() && attribute.retry_delay.is_some());
        assert!(attribute.common.run_name.is_some() && attribute.common.timeout.is_some());
    }

    #[test]
    fn options_of_tasks_are_sent_there() {
        let mut problems = Problems::default();
        FlowAttribute::parse(
            quote!(local, task_run_name = "x", retry_jitter = 0.5, task_runner),
            &mut problems,
        );
        let messages = problems.messages();
        for (message, part) in messages.iter().zip([
            "it belongs to a task",
            "for a flow write `flow_run_name`",
            "`#[flow]` has no option `retry_jitter`: it belongs to a task",
            "needs a value",
        ]) {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert_eq!(messages.len(), 4);
    }
}
