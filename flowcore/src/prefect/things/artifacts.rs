//! Artifacts: what runs show of what they did.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::question::{NewArtifact, Question};
use super::{PrefectError, ServerCall};
use crate::prefect::naming::Plain;

/// An artifact about to be made: text, a table, a link, an image or a
/// progress, which shows under the run that makes it.
///
/// ```no_run
/// use flowcore::prelude::*;
/// use flowcore::Artifact;
///
/// #[task]
/// async fn summarize(rows: Vec<(String, f64)>) -> Result<()> {
///     Artifact::markdown(format!("# {} rows", rows.len())).key("summary").create().await?;
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "an artifact is made by `create()`"]
pub struct Artifact {
    new: Result<NewArtifact, String>,
    key: Option<String>,
    description: Option<String>,
}

impl Artifact {
    /// Text in Markdown.
    pub fn markdown(text: impl Into<String>) -> Self {
        Self::new("markdown", Ok(Value::String(text.into())))
    }

    /// A table: a list of rows that are objects, or an object of columns that
    /// are lists.
    pub fn table(rows: &impl Serialize) -> Self {
        // The server keeps it as text.
        let text = serde_json::to_string(rows);
        let text = text.map_err(|error| error.to_string());
        Self::new("table", text.map(Value::String))
    }

    /// A link, under a text.
    pub fn link(address: impl AsRef<str>, text: impl AsRef<str>) -> Self {
        let text = format!("[{}]({})", text.as_ref(), address.as_ref());
        Self::new("markdown", Ok(Value::String(text)))
    }

    /// An image at an address that browsers can reach.
    pub fn image(address: impl Into<String>) -> Self {
        Self::new("image", Ok(Value::String(address.into())))
    }

    /// A progress, from 0 to 100.
    pub fn progress(percent: f64) -> Self {
        Self::new(
            "progress",
            checked_percent(percent).map(|percent| json!(percent)),
        )
    }

    fn new(kind: &str, data: Result<Value, String>) -> Self {
        Self {
            new: data.map(|data| NewArtifact {
                key: None,
                kind: kind.to_owned(),
                description: None,
                data,
            }),
            key: None,
            description: None,
        }
    }

    /// A key: artifacts of one key are versions of one thing, which has a page
    /// of its own. Lower-case letters, digits and dashes.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// What it is.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// Makes it, under the run whose code calls this. In a flow run that is
    /// reported nobody waits for the server: the artifact is sent with all else
    /// of the run, and is not lost if the server is away for a while.
    ///
    /// # Errors
    ///
    /// Awaiting it fails with a [`PrefectError`] if Prefect has no such keys,
    /// the data is no JSON, there is no server or it cannot be asked.
    pub fn create(self) -> ServerCall<CreatedArtifact> {
        ServerCall::new(self.question(), |value| {
            serde_json::from_value(value).map_err(|error| PrefectError::Server(error.to_string()))
        })
    }

    fn question(self) -> Result<Question, PrefectError> {
        let mut new = self.new.map_err(|problem| PrefectError::NotJson {
            what: "the artifact",
            problem,
        })?;
        if let Some(key) = &self.key {
            KEY.check(key)?;
        }
        new.key = self.key;
        new.description = self.description;
        Ok(Question::NewArtifact(new))
    }
}

/// An artifact that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedArtifact {
    pub(super) id: Uuid,
    pub(super) is_reported: bool,
}

impl CreatedArtifact {
    /// Its id: the server's, or one of this process if it is sent with all else
    /// of its run.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// How far the work is by now, from 0 to 100; for an artifact that is a
    /// [progress](Artifact::progress). Of what is told faster than it can be
    /// sent, the last counts.
    ///
    /// ```no_run
    /// # async fn example() -> flowcore::Result<()> {
    /// use flowcore::Artifact;
    ///
    /// let progress = Artifact::progress(0.0).key("download").create().await?;
    /// progress.update_progress(50.0).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Artifact::create`].
    pub fn update_progress(&self, percent: f64) -> ServerCall<()> {
        let question = checked_percent(percent)
            .map(|percent| Question::ChangeArtifact {
                id: self.id,
                is_reported: self.is_reported,
                data: json!(percent),
            })
            .map_err(|problem| PrefectError::NotJson {
                what: "the progress",
                problem,
            });
        ServerCall::new(question, |_| Ok(()))
    }
}

pub(super) fn id(value: Value) -> Result<Uuid, PrefectError> {
    serde_json::from_value(value).map_err(|error| PrefectError::Server(error.to_string()))
}

fn checked_percent(percent: f64) -> Result<f64, String> {
    if (0.0..=100.0).contains(&percent) {
        return Ok(percent);
    }
    Err(format!("a progress is from 0 to 100, not {percent}"))
}

const KEY: Plain = Plain {
    what: "the artifact's key",
    others: &[],
    longest: usize::MAX,
    rule: "a key has lower-case letters, digits and dashes",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_told_before_anything_is_sent() {
        let problem = |artifact: Artifact| artifact.question().unwrap_err().to_string();
        let key = problem(Artifact::markdown("x").key("No Key"));
        assert!(key.contains("`No Key`") && key.contains("dashes"), "{key}");
        let percent = problem(Artifact::progress(101.0));
        assert!(percent.contains("from 0 to 100, not 101"), "{percent}");
        let keys = std::collections::BTreeMap::from([((1, 2), 3)]);
        let table = problem(Artifact::table(&keys));
        assert!(table.contains("cannot be written as JSON"), "{table}");
    }

    #[test]
    fn tables_travel_as_text() {
        let table = Artifact::table(&[json!({"a": 1})]).key("t");
        let Ok(Question::NewArtifact(new)) = table.question() else {
            panic!("it is an artifact");
        };
        assert_eq!(
            (new.kind.as_str(), new.data),
            ("table", json!("[{\"a\":1}]"))
        );
    }
}
