//! Where runs run: the seam between the engine and what executes, the
//! embedded runners, and what another process needs to execute a descriptor.

mod attempt;
mod batch;
mod called;
mod channel;
mod control;
mod descriptor;
mod drive;
mod embedded;
mod execution;
mod interleaving;
mod keeping;
mod panic;
mod rows;
mod seam;
mod sequential;
mod stops;
mod thread_pool;
mod waiting;
mod worker;

pub(crate) use attempt::{Ending, cancelled};
#[cfg(test)]
pub(crate) use attempt::{Next, next};
pub use batch::{BatchDescriptor, ColumnDescriptor};
pub(crate) use batch::{BatchJob, batch_of};
pub use called::{CalledArgument, called_work};
pub use channel::{Answer, LogLevel, LogRecord, Request, RequestId, ToHome, ToWorker};
pub(crate) use channel::{Line, Served, SlotsElsewhere, close_calls};
pub(crate) use control::AttemptControl;
pub use descriptor::{
    ArgumentDescriptor, NoValues, RunReference, ValueSource, WorkDescriptor, list_length,
};
pub(crate) use descriptor::{decode_argument, decode_column, outcome};
pub(crate) use drive::{InPlace, drive_in_place};
pub(crate) use embedded::EmbeddedSession;
pub(crate) use embedded::lend_while;
pub(crate) use execution::{
    AttemptBody, Execution, MapExecution, MapJob, SingleExecution, execution_of, name_attempt,
    run_name,
};
pub(crate) use keeping::Kept;
pub(crate) use panic::{Caught, PanicReport, catch, drop_caught, install_hook};
pub(crate) use seam::WorkKind;
pub use seam::{
    Feed, Home, Released, RunEvent, RunFailure, RunnerFuture, RunnerSession, TaskRunner, Work,
};
pub use sequential::SequentialTaskRunner;
pub use thread_pool::ThreadPoolTaskRunner;
pub(crate) use waiting::{Wait, note as note_waiting, wait as waiting};
pub use worker::{Worker, WorkerLink};
