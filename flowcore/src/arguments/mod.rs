//! What may be handed to a task: values, futures, states, maps and lists of
//! them, each checked against the parameter's type at compile time.

mod allow_failure;
mod argument;
mod assemble;
mod column;
mod dependencies;
mod unmapped;

pub use allow_failure::{AllowFailure, allow_failure};
pub(crate) use argument::Source;
pub use argument::{Argument, IntoArgument};
pub(crate) use assemble::Assemble;
pub use column::{Column, IntoColumn};
pub(crate) use column::{ColumnInput, ColumnLength};
pub use dependencies::{Dependencies, IntoDependencies};
pub(crate) use dependencies::{Edge, Upstream};
pub use unmapped::{Unmapped, unmapped};
