//! What the engine says of its runs: one line at the end of each.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

use crate::record::Line;

/// Listens to the lines under "Task run '…'" and "Flow run '…'".
#[derive(Clone, Default)]
pub(crate) struct Console(Arc<Mutex<Vec<Line>>>);

impl Console {
    /// Listens from now on, in all threads.
    pub(crate) fn listen() -> Self {
        let console = Self::default();
        tracing::subscriber::set_global_default(console.clone()).expect("the only listener");
        console
    }

    /// The ends of runs since the last time.
    pub(crate) fn take(&self) -> Vec<Line> {
        std::mem::take(&mut self.0.lock().expect("nobody panics here"))
    }
}

impl Subscriber for Console {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "flowcore::runs"
    }

    fn event(&self, event: &Event<'_>) {
        let mut said = Said::default();
        event.record(&mut said);
        let Some(state) = said.message.strip_prefix("Finished in state ") else {
            return;
        };
        let line = Line::new(said.who.replace('\'', ""), state);
        self.0.lock().expect("nobody panics here").push(line);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Said {
    who: String,
    message: String,
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            write!(self.message, "{value:?}").expect("a string takes all");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "who" {
            self.who.push_str(value);
        }
    }
}
