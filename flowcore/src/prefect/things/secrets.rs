//! Secrets: blocks of type `Secret`.

use std::fmt;

use serde_json::Value;

use super::question::Question;
use super::{PrefectError, ServerCall};
use crate::prefect::naming::unfit;

/// What a block of type `Secret` holds. It is shown nowhere by itself.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(String);

impl SecretValue {
    /// The secret.
    ///
    /// ```no_run
    /// # async fn example() -> flowcore::Result<()> {
    /// let password = flowcore::secret("database-password").await?;
    /// assert_eq!(format!("{password:?}"), "SecretValue(********)");
    /// let _ = password.expose();
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(********)")
    }
}

/// Reads a block of type `Secret`, as `Secret.load(name).get()` does in Python;
/// a secret that is no text comes as JSON.
///
/// ```no_run
/// # async fn example() -> flowcore::Result<()> {
/// let password = flowcore::secret("database-password").await?;
/// # let _ = password;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Awaiting it fails with a [`PrefectError`] if there is no such block or no
/// server, or the server cannot be asked.
pub fn secret(name: &str) -> ServerCall<SecretValue> {
    let letter = unfit(name, &[]);
    let question = if !name.is_empty() && letter.is_none() {
        Ok(Question::Secret(name.to_owned()))
    } else {
        Err(PrefectError::Name {
            what: "the secret",
            name: name.to_owned(),
            letter,
            rule: "a block's name has lower-case letters, digits and dashes",
        })
    };
    ServerCall::new(question, |value| {
        Ok(SecretValue(match value {
            Value::String(text) => text,
            other => other.to_string(),
        }))
    })
}
