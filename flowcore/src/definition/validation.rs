//! `validate` of a flow: whether its arguments are what it wants.

use std::fmt;

use super::task::Failure;
use crate::error::{Error, ErrorKind};
use crate::runner::catch;
use crate::state::StateName;

/// What a flow's `validate` function may return: `Ok(())` or the mistake, or
/// all mistakes, of which none is good.
#[diagnostic::on_unimplemented(
    message = "`validate` cannot return `{Self}`",
    label = "this function returns `{Self}`",
    note = "return `Result<(), E>`, or `Vec<E>` for all mistakes at once, with an `E` that displays"
)]
pub trait ValidationOutcome {
    /// What is wrong.
    #[doc(hidden)]
    fn mistakes(self) -> Vec<String>;
}

impl<E: fmt::Display> ValidationOutcome for Result<(), E> {
    fn mistakes(self) -> Vec<String> {
        self.err().iter().map(E::to_string).collect()
    }
}

impl<E: fmt::Display> ValidationOutcome for Vec<E> {
    fn mistakes(self) -> Vec<String> {
        self.iter().map(E::to_string).collect()
    }
}

/// What is wrong with a flow's arguments, one text for each mistake.
#[doc(hidden)]
#[derive(Debug)]
pub struct InvalidParameters(Vec<String>);

/// Asks a flow's `validate`; one that panics says no.
#[doc(hidden)]
pub fn validated<O: ValidationOutcome>(
    validate: impl FnOnce() -> O,
) -> Result<(), InvalidParameters> {
    let mistakes = catch(|| validate().mistakes());
    let mistakes = mistakes.unwrap_or_else(|report| vec![report.to_string()]);
    if mistakes.is_empty() {
        Ok(())
    } else {
        Err(InvalidParameters(mistakes))
    }
}

impl InvalidParameters {
    /// The end of a flow run that such arguments keep from beginning, in
    /// Prefect's words.
    pub(crate) fn into_failure(self, key: &str, run_name: &str) -> Failure {
        let mut text = "Flow run received invalid parameters:".to_owned();
        for mistake in &self.0 {
            text += &format!("\n - {mistake}");
        }
        let type_name = "ParameterTypeError";
        let message =
            format!("Validation of flow parameters failed with error: {type_name}: {text}");
        let error = Error::build(ErrorKind::Invalid, text)
            .task(key)
            .run(run_name)
            .type_name(Some(type_name.to_owned()))
            .finish();
        Failure::new(StateName::Failed, Some(message), error)
    }
}
