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
    /// Awaiting it fails with a [`PrefectError`] if Prefect has no such events,
    /// the payload is no object, there is no server or it cannot be asked.
    pub fn emit(self) -> ServerCall<Uuid> {
        let question = match self.problem {
            Some(problem) => Err(PrefectError::NotJson {
                what: "the event's payload",
                problem,
            }),
            None => check(&self.new).map(|()| Question::Emit(self.new)),
        };
        ServerCall::new(question, super::artifacts::id)
    }
}

/// What servers take, and what they say no to.
const LONGEST_NAME: usize = 1024;
const MOST_LABELS: usize = 500;
/// Of a hundred: runs and what they belong to are among them.
const MOST_RELATED: usize = 90;

fn check(new: &NewEvent) -> Result<(), PrefectError> {
    let wrong = |what, name: &str, rule| {
        Err(PrefectError::Name {
            what,
            name: name.chars().take(100).collect(),
            letter: None,
            rule,
        })
    };
    let empty = |resource: &Map<String, Value>, name: &str| {
        let text = resource.get(name).and_then(Value::as_str);
        text.is_none_or(str::is_empty)
    };
    if new.event.is_empty() || new.event.chars().count() > LONGEST_NAME {
        return wrong("the event", &new.event, "a name has 1 to 1024 letters");
    }
    let all = || std::iter::once(&new.resource).chain(&new.related);
    if all().any(|resource| empty(resource, "prefect.resource.id")) {
        let rule = "each of its resources is called something";
        return wrong("the event", &new.event, rule);
    }
    let mut related = new.related.iter();
    if related.any(|resource| empty(resource, "prefect.resource.role")) {
        let rule = "each of its related resources has a role";
        return wrong("the event", &new.event, rule);
    }
    if new.resource.len() > MOST_LABELS {
        return wrong("the event", &new.event, "a resource has at most 500 labels");
    }
    if new.related.len() > MOST_RELATED {
        let rule = "90 related resources are the most, beside the runs that it belongs to";
        return wrong("the event", &new.event, rule);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_that_a_server_would_refuse_are_told_before() {
        let good = || emit_event("x".repeat(1024), "r").related("s", "role");
        let many = (0..=500).fold(good(), |event, number| event.label(number.to_string(), ""));
        let related = (0..=90).fold(good(), |event, _| event.related("s", "role"));
        assert!(check(&good().new).is_ok());
        for (event, part) in [
            (emit_event("", "r"), "1 to 1024 letters"),
            (emit_event("x".repeat(1025), "r"), "1 to 1024 letters"),
            (emit_event("x", ""), "called something"),
            (good().related("", "role"), "called something"),
            (good().related("s", ""), "has a role"),
            (many, "500 labels"),
            (related, "90 related"),
        ] {
            let error = check(&event.new).unwrap_err().to_string();
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
