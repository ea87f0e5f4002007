//! Hooks: functions that are called when a run enters a state.
//!
//! Owns what a hook is and how one is called; when, and on which thread, is
//! the flow run's business. A hook changes nothing: what it returns or panics
//! with ends in a log line, in Prefect's words.

use std::any::type_name;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::context::RunInfo;
use crate::runner::catch;
use crate::state::{State, StateName, StateType};

/// What a hook may return: nothing, or a `Result` whose error is logged.
#[diagnostic::on_unimplemented(
    message = "a hook cannot return `{Self}`",
    label = "this hook returns `{Self}`",
    note = "a hook returns nothing, or `Result<(), E>` with an error that displays; an `async fn` \
            is no hook: `tokio::runtime::Handle::current().block_on(..)` runs async code in one"
)]
pub trait HookOutcome {
    /// Why the hook failed.
    #[doc(hidden)]
    fn failure(self) -> Option<String>;
}

impl HookOutcome for () {
    fn failure(self) -> Option<String> {
        None
    }
}

impl<E: fmt::Display> HookOutcome for Result<(), E> {
    fn failure(self) -> Option<String> {
        self.err().map(|error| error.to_string())
    }
}

/// What a run enters.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookEvent {
    /// An attempt begins: Running or Retrying.
    Running,
    /// Completed.
    Completion,
    /// Failed or TimedOut.
    Failure,
    /// Crashed.
    Crashed,
    /// Cancelled.
    Cancellation,
}

impl HookEvent {
    fn of(state: StateName) -> Option<Self> {
        Some(match state.state_type() {
            StateType::Running => Self::Running,
            StateType::Completed => Self::Completion,
            StateType::Failed => Self::Failure,
            StateType::Crashed => Self::Crashed,
            StateType::Cancelled => Self::Cancellation,
            StateType::Scheduled
            | StateType::Pending
            | StateType::Paused
            | StateType::Cancelling => return None,
        })
    }
}

/// A hook of an attribute; `D` is what it is told of, a task or a flow.
#[doc(hidden)]
pub struct AttributeHook<D: 'static> {
    /// When it is called.
    pub event: HookEvent,
    /// As it was written.
    pub name: &'static str,
    /// Calls it; gives why it failed.
    pub call: fn(&D, &RunInfo, &State) -> Option<String>,
}

impl<D> fmt::Debug for AttributeHook<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} '{}'", self.event, self.name)
    }
}

struct AddedHook<D> {
    event: HookEvent,
    name: Cow<'static, str>,
    call: Box<Function<D>>,
}

type Function<D> = dyn Fn(&D, &RunInfo, &State) -> Option<String> + Send + Sync;

/// The hooks of a task or a flow, in the order in which they are called.
pub(crate) struct Hooks<D: 'static> {
    attribute: &'static [AttributeHook<D>],
    added: Vec<Arc<AddedHook<D>>>,
}

impl<D> Clone for Hooks<D> {
    fn clone(&self) -> Self {
        Self {
            attribute: self.attribute,
            added: self.added.clone(),
        }
    }
}

impl<D> fmt::Debug for Hooks<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let added = self.added.iter();
        let added = added.map(|hook| format!("{:?} '{}'", hook.event, hook.name));
        f.debug_list()
            .entries(self.attribute)
            .entries(added)
            .finish()
    }
}

impl<D> Hooks<D> {
    pub(crate) const fn new(attribute: &'static [AttributeHook<D>]) -> Self {
        Self {
            attribute,
            added: Vec::new(),
        }
    }

    pub(crate) fn add<O: HookOutcome, F>(&mut self, event: HookEvent, hook: F)
    where
        F: Fn(&D, &RunInfo, &State) -> O + Send + Sync + 'static,
    {
        self.added.push(Arc::new(AddedHook {
            event,
            name: readable(type_name::<F>()),
            call: Box::new(move |definition, run, state| hook(definition, run, state).failure()),
        }));
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.attribute.is_empty() && self.added.is_empty()
    }

    /// Whether a hook is called when a run enters this state.
    pub(crate) fn want(&self, state: StateName) -> bool {
        self.of(state).next().is_some()
    }

    /// The hooks that are called when a run enters this state, by name.
    fn of(&self, state: StateName) -> impl Iterator<Item = (&str, &Function<D>)> {
        let event = HookEvent::of(state);
        let attribute = self.attribute.iter();
        let attribute = attribute.map(|hook| (hook.event, hook.name, &hook.call as &Function<D>));
        let added = self.added.iter();
        let added = added.map(|hook| (hook.event, &*hook.name, &*hook.call));
        attribute
            .chain(added)
            .filter(move |(of, ..)| Some(*of) == event)
            .map(|(_, name, call)| (name, call))
    }

    /// Calls those for the state, one after the other. `who` is the run, as
    /// log lines name it.
    pub(crate) fn call(&self, who: &str, definition: &D, run: &RunInfo, state: &State) {
        for (name, call) in self.of(state.name()) {
            call_one(who, name, state, || call(definition, run, state));
        }
    }
}

fn call_one(who: &str, name: &str, state: &State, hook: impl FnOnce() -> Option<String>) {
    tracing::info!(
        target: "flowcore::runs",
        who,
        "Running hook '{name}' in response to entering state '{}'",
        state.name()
    );
    let failure = match catch(hook) {
        Ok(None) => {
            tracing::info!(target: "flowcore::runs", who, "Hook '{name}' finished running successfully");
            return;
        }
        Ok(Some(failure)) => failure,
        Err(report) => report.to_string(),
    };
    tracing::error!(
        target: "flowcore::runs",
        who,
        "An error was encountered while running hook '{name}': {failure}"
    );
}

/// `my_crate::alerts::notify` is `notify`, a closure is `closure in main`.
pub(crate) fn readable(type_name: &'static str) -> Cow<'static, str> {
    let path = type_name.strip_suffix("::{{closure}}");
    let function = path.unwrap_or(type_name).replace("::{{closure}}", "");
    let end = function.find('<').unwrap_or(function.len());
    let start = function[..end].rfind("::").map_or(0, |at| at + 2);
    let name = &function[start..end];
    match path {
        Some(_) => format!("closure in {name}").into(),
        None => name.to_owned().into(),
    }
}

/// The methods of options that add hooks; `$definition` is what they are told
/// of.
macro_rules! hook_methods {
    ($definition:ty $(, $transaction:ident)?) => {
        hook_methods! { $definition;
            /// Calls `hook` when an attempt begins: the run is Running, or
            /// Retrying.
            ///
            /// Hooks run in the flow's process, after the state was accepted
            /// and one after the other: those of the attribute first, then
            /// those added, in order. One that fails or panics is logged and
            /// changes nothing. Whoever waits for the run waits for its hooks
            /// too; runs that depend on it do not.
            on_running Running,
            /// Calls `hook` when a run has completed; see `on_running`.
            on_completion Completion,
            /// Calls `hook` when a run is Failed or TimedOut, after its last
            /// retry; see `on_running`.
            on_failure Failure,
            /// Calls `hook` when a run is Crashed; see `on_running`.
            on_crashed Crashed,
            /// Calls `hook` when a run is Cancelled; see `on_running`.
            on_cancellation Cancellation,
        }

        /// Without any hook, those of the attribute included.
        #[must_use]
        pub fn without_hooks(mut self) -> Self {
            self.hooks = $crate::hooks::Hooks::new(&[]);
            $(self.$transaction = $crate::transacting::TransactionHooks::new(&[]);)?
            self
        }
    };
    ($definition:ty; $($(#[$documentation:meta])* $method:ident $event:ident,)*) => {
        $(
            $(#[$documentation])*
            #[must_use]
            pub fn $method<O: $crate::HookOutcome>(
                mut self,
                hook: impl Fn(&$definition, &$crate::RunInfo, &$crate::State) -> O
                + Send
                + Sync
                + 'static,
            ) -> Self {
                self.hooks.add($crate::hooks::HookEvent::$event, hook);
                self
            }
        )*
    };
}

pub(crate) use hook_methods;

#[cfg(test)]
mod tests {
    use super::*;

    fn named<F>(_: &F) -> Cow<'static, str> {
        readable(type_name::<F>())
    }

    fn notify() {}

    #[test]
    fn hooks_are_called_by_readable_names() {
        assert_eq!(named(&notify), "notify");
        let closure = || {};
        assert_eq!(
            named(&closure),
            "closure in hooks_are_called_by_readable_names"
        );
        assert_eq!(readable("a::make<b::C>::{{closure}}"), "closure in make");
    }

    #[test]
    fn what_hooks_do_is_told_in_prefects_words() {
        use parking_lot::Mutex;
        use tracing::field::{Field, Visit};
        use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

        #[derive(Clone, Default)]
        struct Lines(Arc<Mutex<Vec<String>>>);

        impl<S: tracing::Subscriber> Layer<S> for Lines {
            fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
                let mut line = Line(event.metadata().level().to_string());
                event.record(&mut line);
                self.0.lock().push(line.0);
            }
        }

        struct Line(String);

        impl Visit for Line {
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                match field.name() {
                    "message" => self.0.push_str(&format!(" {value:?}")),
                    name => self.0.push_str(&format!(" {name}={value:?}")),
                }
            }
        }

        crate::runner::install_hook();
        let mut hooks = Hooks::<()>::new(&[]);
        hooks.add(HookEvent::Completion, |(), _: &RunInfo, _: &State| {});
        hooks.add(HookEvent::Failure, |(), run: &RunInfo, _: &State| {
            assert_eq!(run.attempt, 2);
        });
        hooks.add(HookEvent::Completion, |(), _: &RunInfo, _: &State| {
            Err("no")
        });
        let run = RunInfo {
            flow_run_name: None,
            flow_run_id: uuid::Uuid::nil(),
            task_key: None,
            task_run_name: None,
            task_run_id: None,
            tags: Vec::new(),
            attempt: 1,
            is_cancelled: false,
        };
        let lines = Lines::default();
        let subscriber = tracing_subscriber::registry().with(lines.clone());
        tracing::subscriber::with_default(subscriber, || {
            hooks.call("me", &(), &run, &State::completed((), ""));
            hooks.call("me", &(), &run, &State::failed("x"));
        });
        let lines = lines.0.lock();
        let name = "closure in what_hooks_do_is_told_in_prefects_words";
        let running = format!("INFO Running hook '{name}' in response to entering state");
        let failed = format!("ERROR An error was encountered while running hook '{name}':");
        for (line, start) in lines.iter().zip([
            format!("{running} 'Completed'"),
            format!("INFO Hook '{name}' finished running successfully"),
            format!("{running} 'Completed'"),
            format!("{failed} no"),
            format!("{running} 'Failed'"),
            format!("{failed} panic at "),
        ]) {
            assert!(line.starts_with(&start), "{start}: {line}");
            assert!(line.contains("who=\"me\""), "{line}");
        }
        assert_eq!(lines.len(), 6, "{lines:?}");
    }

    #[test]
    fn states_that_nothing_follows_have_hooks() {
        assert_eq!(HookEvent::of(StateName::Retrying), Some(HookEvent::Running));
        assert_eq!(HookEvent::of(StateName::TimedOut), Some(HookEvent::Failure));
        assert_eq!(HookEvent::of(StateName::NotReady), None);
        assert_eq!(HookEvent::of(StateName::Cancelling), None);
        assert_eq!(HookEvent::of(StateName::AwaitingRetry), None);
    }
}
