//! Secrets: blocks of type `Secret`.

use std::fmt;

use serde_json::Value;

use super::ServerCall;
use super::question::Question;
use crate::prefect::naming::Plain;

const NAME: Plain = Plain {
    what: "the secret",
    others: &[],
    longest: usize::MAX,
    rule: "a block's name has lower-case letters, digits and dashes",
};

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
/// Awaiting it fails with a [`PrefectError`](crate::PrefectError) if there is no such block or no
/// server, or the server cannot be asked.
pub fn secret(name: &str) -> ServerCall<SecretValue> {
    let checked = NAME.check(name);
    let question = checked.map(|()| Question::Secret(name.to_owned()));
    ServerCall::new(question, |value| {
        Ok(SecretValue(match value {
            Value::String(text) => text,
            other => other.to_string(),
        }))
    })
}
