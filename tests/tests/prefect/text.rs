//! Values and errors as the table shows them; `observe.py` writes the same.

use std::collections::BTreeMap;

use flowcore::{Error, ErrorKind, Mapped, Result, State, TaskFuture};

/// What the call of a flow gives.
pub(crate) fn given<T: Show>(result: Result<&T, &Error>) -> String {
    match result {
        Ok(value) => value.show(),
        Err(error) => format!("raises {}", named(error)),
    }
}

/// An error under the name that it has in Python.
pub(crate) fn named(error: &Error) -> String {
    let name = match (error.type_name(), error.kind()) {
        (Some(path), _) => path.rsplit("::").next().unwrap_or(path),
        (None, kind) => exception(kind),
    };
    format!("{name}: {error}")
}

/// Prefect's exception for an end that no code of the user's named.
fn exception(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Failed => "FailedRun",
        ErrorKind::Cancelled => "CancelledRun",
        ErrorKind::Crashed => "CrashedRun",
        ErrorKind::NotReady => "UnfinishedRun",
        ErrorKind::TimedOut => "TimeoutError",
        _ => "Error",
    }
}

/// JSON, with states as they print.
pub(crate) trait Show {
    fn show(&self) -> String;
}

macro_rules! json {
    ($($type:ty),+) => {
        $(impl Show for $type {
            fn show(&self) -> String {
                serde_json::to_string(self).expect("plain values")
            }
        })+
    };
}

json!(bool, i64, usize, f64, String, ());

impl<T> Show for State<T> {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl<T> Show for TaskFuture<T> {
    fn show(&self) -> String {
        self.state().to_string()
    }
}

impl<T> Show for Mapped<T> {
    fn show(&self) -> String {
        let rows: Vec<_> = self.iter().expect("the length is known").collect();
        rows.show()
    }
}

impl Show for Error {
    fn show(&self) -> String {
        named(self)
    }
}

impl<T: Show> Show for Option<T> {
    fn show(&self) -> String {
        self.as_ref().map_or_else(|| ().show(), Show::show)
    }
}

impl<T: Show> Show for Vec<T> {
    fn show(&self) -> String {
        list(self.iter().map(|item| item as &dyn Show))
    }
}

impl<A: Show, B: Show> Show for (A, B) {
    fn show(&self) -> String {
        list([&self.0 as &dyn Show, &self.1])
    }
}

impl<T: Show> Show for BTreeMap<String, T> {
    fn show(&self) -> String {
        let items: Vec<_> = self
            .iter()
            .map(|(key, item)| format!("{}: {}", key.show(), item.show()))
            .collect();
        format!("{{{}}}", items.join(", "))
    }
}

fn list<'a>(items: impl IntoIterator<Item = &'a dyn Show>) -> String {
    let items: Vec<_> = items.into_iter().map(Show::show).collect();
    format!("[{}]", items.join(", "))
}
