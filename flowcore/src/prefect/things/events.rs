//! Events of one's own.

use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::question::{NewEvent, Question};
use super::{PrefectError, ServerCall};

/// An event about to be emitted; see [`emit_event`].
#[derive(Clone, Debug)]
#[must_use = "an event is emitted by `emit()`"]
pub struct Event {
    new: NewEvent,
    problem: Option<String>,
}

/// An event of this name, about this resource. The run whose code emits it
/// becomes a related resource.
///
/// ```no_run
/// # async fn example() -> flowcore::Result<()> {
/// flowcore::emit_event("sensor.read", "sensor.cellar")
///     .payload(&serde_json::json!({"degrees": 11.5}))
///     .emit()
///     .await?;
/// # Ok(())
/// # }
/// ```
pub fn emit_event(event: impl Into<String>, resource: impl Into<String>) -> Event {
    let mut about = Map::new();
    about.insert("prefect.resource.id".to_owned(), resource.into().into());
    Event {
        new: NewEvent {
            event: event.into(),
            resource: about,
            related: Vec::new(),
            payload: Value::Object(Map::new()),
        },
        problem: None,
    }
}

impl Event {
    /// A label of the resource, such as `prefect.resource.name`.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.new.resource.insert(name.into(), value.into().into());
        self
    }

    /// Another resource that it has to do with, in a role.
    pub fn related(mut self, resource: impl Into<String>, role: impl Into<String>) -> Self {
        let mut related = Map::new();
        related.insert("prefect.resource.id".to_owned(), resource.into().into());
        related.insert("prefect.resource.role".to_owned(), role.into().into());
        self.new.related.push(related);
        self
    }

    /// What it says, an object as JSON has it.
    pub fn payload(mut self, payload: &impl Serialize) -> Self {
        match serde_json::to_value(payload) {
            Ok(value @ Value::Object(_)) => self.new.payload = value,
            Ok(_) => self.problem = Some("it has to be an object".to_owned()),
            Err(error) => self.problem = Some(error.to_string()),
        }
        self
    }

    /// Emits it; gives its id.
    ///
    /// # Errors
    ///
    /// Awaiting it fails with a [`PrefectError`] if the payload is no object,
    /// there is no server or it cannot be asked.
    pub fn emit(self) -> ServerCall<Uuid> {
        let question = match self.problem {
            Some(problem) => Err(PrefectError::NotJson {
                what: "the event's payload",
                problem,
            }),
            None => Ok(Question::Emit(self.new)),
        };
        ServerCall::new(question, super::artifacts::id)
    }
}
