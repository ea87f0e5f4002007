//! Variables: small values that the server keeps.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::question::Question;
use super::{PrefectError, ServerCall};
use crate::prefect::naming::Plain;

const NAME: Plain = Plain {
    what: "the variable",
    others: &['_'],
    longest: 255,
    rule: "a name has 1 to 255 lower-case letters, digits, dashes and underscores",
};

/// The value of a variable; `None` if there is none of this name.
///
/// ```no_run
/// # async fn example() -> flowcore::Result<()> {
/// let bucket: Option<String> = flowcore::variables::get("bucket").await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Awaiting it fails with a [`PrefectError`] if Prefect has no such names, the
/// value is of another type, there is no server or it cannot be asked.
pub fn get<T: DeserializeOwned + Send + 'static>(name: &str) -> ServerCall<Option<T>> {
    let asked = name.to_owned();
    ServerCall::new(checked(name).map(Question::Variable), move |found| {
        let Value::Array(found) = found else {
            return Ok(None);
        };
        let Some(value) = found.into_iter().next() else {
            return Ok(None);
        };
        let read = serde_json::from_value(value);
        read.map(Some).map_err(|error| PrefectError::OfAnotherType {
            what: "variable",
            name: asked,
            problem: format!("no value of type `{}`: {error}", std::any::type_name::<T>()),
        })
    })
}

/// Makes a variable, or changes the one of this name.
///
/// ```no_run
/// # async fn example() -> flowcore::Result<()> {
/// flowcore::variables::set("last_page", 7).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Awaiting it fails with a [`PrefectError`] if Prefect has no such names, the
/// value is no JSON, there is no server or it cannot be asked.
pub fn set(name: &str, value: impl Serialize) -> ServerCall<()> {
    let value = serde_json::to_value(value).map_err(|error| PrefectError::NotJson {
        what: "the variable's value",
        problem: error.to_string(),
    });
    let question = checked(name).and_then(|name| {
        Ok(Question::SetVariable {
            name,
            value: value?,
            tags: Vec::new(),
        })
    });
    ServerCall::new(question, |_| Ok(()))
}

/// Removes a variable; that there is none is no error.
///
/// ```no_run
/// # async fn example() -> flowcore::Result<()> {
/// flowcore::variables::delete("last_page").await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// As [`get`].
pub fn delete(name: &str) -> ServerCall<()> {
    ServerCall::new(checked(name).map(Question::DeleteVariable), |_| Ok(()))
}

fn checked(name: &str) -> Result<String, PrefectError> {
    NAME.check(name).map(|()| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::checked;

    #[test]
    fn names_are_prefects() {
        for name in ["bucket", "a-b_c2"] {
            assert!(checked(name).is_ok(), "{name}");
        }
        for name in ["", "Bucket", "a b", "ä", "a/b", &"x".repeat(256)] {
            assert!(checked(name).is_err(), "{name}");
        }
    }
}
