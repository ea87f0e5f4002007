//! Prefect's tasks and flows in Rust: `#[task]` and `#[flow]` turn functions
//! into tracked, retried, mapped, typed runs.
//!
//! ```
//! use flowcore::prelude::*;
//!
//! #[task]
//! fn inc(x: i64) -> i64 { x + 1 }
//!
//! #[task]
//! fn sum_all(z: Vec<i64>) -> i64 { z.iter().sum() }
//!
//! #[flow]
//! async fn inc_and_sum(range: Vec<i64>) -> Result<i64> {
//!     let incremented = inc.map(&range);
//!     sum_all.submit(incremented).await
//! }
//!
//! #[flowcore::main]
//! async fn main() -> Result<()> {
//!     assert_eq!(inc_and_sum((0..10).collect()).await?, 55);
//!     Ok(())
//! }
//! ```
//!
//! Start at [`prelude`], [`macro@task`] and [`macro@flow`]; what they give is
//! a [`Call`], a [`TaskFuture`] or a [`Mapped`], and what went wrong an
//! [`Error`]. Where runs run is a [`TaskRunner`].

// The macros' code names the crate; this crate's own tests use them too.
#[cfg(test)]
extern crate self as flowcore;

mod arguments;
mod cancel_on_drop;
mod cancellation;
#[cfg(feature = "cli")]
mod cli;
mod clock;
mod console;
mod context;
mod deep;
mod definition;
mod engine;
mod entry;
mod error;
mod flag;
mod flow;
mod future;
mod handle;
mod hooks;
mod limits;
mod lock;
mod mapped;
mod mode;
mod notified;
#[cfg(feature = "otel")]
mod otel;
#[cfg(feature = "prefect")]
mod prefect;
mod progress;
mod records;
mod report;
mod resource;
mod runner;
mod runtime;
mod scope;
mod settings;
mod signals;
mod spawn;
mod state;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
mod transacting;
mod value;
mod wait;
mod world;

pub use arguments::{
    AllowFailure, Dependencies, IntoArgument, IntoColumn, IntoDependencies, Unmapped,
    allow_failure, unmapped,
};
pub use cancel_on_drop::CancelOnDrop;
pub use cancellation::{Cancellation, cancellation};
#[cfg(feature = "cli")]
pub use cli::cli;
pub use console::layer;
pub use context::{RunInfo, in_current_run, run_info};
pub use definition::{
    Api, Definition, DefinitionKind, Definitions, Description, FlowInfo, FlowOptions, JsonCall,
    MapReport, ParameterDescription, ParameterError, ParameterErrors, RetryDelay, TaskInfo,
    TaskOptions, ValidationOutcome, exponential_backoff, flows, tasks,
};
pub use entry::{Setup, init};
pub use error::{Error, ErrorKind, Result};
pub use flow::{Call, FlowHandle, StateCall};
#[cfg(feature = "testing")]
pub use flowmacros::test;
pub use flowmacros::{flow, main, task};
pub use future::TaskFuture;
pub use hooks::HookOutcome;
pub use limits::{
    ConcurrencySlots, LimitNames, Limits, SlotRequest, concurrency, limits, rate_limit,
};
pub use mapped::{Completions, Mapped};
#[cfg(feature = "prefect")]
pub use prefect::{
    Artifact, Background, BackgroundRun, CreatedArtifact, Delay, Delayed, DeploymentRun, Event,
    Pause, PrefectError, RunDeployment, SecretValue, ServeTasks, ServerCall, emit_event,
    pause_flow_run, pause_for_input, run_deployment, secret, serve_tasks, suspend_flow_run,
    suspend_for_input,
};
#[cfg(feature = "prefect")]
pub use prefect::{
    Deploy, Deploying, Deployment, DeploymentError, FlowDeployment, Replayed, Schedule, Serve,
    replay, serve,
};
pub use progress::Progress;
pub use report::{
    FlowRunRecord, ReportCall, RunRecord, RunReport, StateChange, Summary, TaskSummary,
    Visualization, Visualize,
};
pub use resource::Resource;
pub use runner::{SequentialTaskRunner, TaskRunner, ThreadPoolTaskRunner};
pub use scope::{Scope, with_tags, with_task_options};
pub use spawn::{Spawned, spawn};
pub use state::{State, StateName, StateType};
pub use transacting::transaction;
pub use wait::{AsCompleted, Settles, as_completed, wait};

/// Results that outlive their runs: stores, and the cache policies that make
/// the keys.
pub mod results {
    pub use crate::records::{
        CachePolicy, DEFAULT, FLOW_PARAMETERS, INPUTS, IntoCacheKey, Isolation, NO_CACHE, RUN_ID,
        ResultStore, TASK_SOURCE,
    };
}

/// Variables of a Prefect server: small values that flows share.
#[cfg(feature = "prefect")]
pub mod variables {
    pub use crate::prefect::variables::{delete, get, set};
}

/// Runs that count together or not at all: [`transaction`] in full.
pub mod transactions {
    pub use crate::transacting::{
        CommitMode, Transaction, TransactionOptions, TransactionState, transaction,
    };
}

/// What a bridge to another engine needs: the seam between the engine and
/// what executes.
pub mod bridge {
    pub use crate::__submit_process_mode as submit_process_mode;
    pub use crate::definition::build;
    pub use crate::limits::OfferedResources;
    pub use crate::mode::{ModeCommand, ProcessMode, is_initialized};
    pub use crate::records::ResultDescriptor;
    pub use crate::report::{ClusterRecord, Execution, Step};
    pub use crate::runner::{
        Answer, ArgumentDescriptor, BatchDescriptor, CalledArgument, ColumnDescriptor, Feed, Home,
        LogLevel, LogRecord, NoValues, Released, Request, RequestId, RunEvent, RunFailure,
        RunReference, RunnerFuture, RunnerSession, TaskRunner, ToHome, ToWorker, ValueSource, Work,
        WorkDescriptor, Worker, WorkerLink, called_work, list_length,
    };
    pub use crate::state::shorten;
    pub use crate::value::{CodecError, CodecTag, EncodedValue, decode_bounded, nested};
}

/// Everything for writing flows: `use flowcore::prelude::*;`.
pub mod prelude {
    #[cfg(feature = "prefect")]
    pub use crate::{Background, Deploy};
    pub use crate::{
        Definition, Error, Mapped, Result, SequentialTaskRunner, State, TaskFuture,
        ThreadPoolTaskRunner, allow_failure, flow, task, unmapped,
    };
}

/// For generated code only: nothing here is stable.
#[doc(hidden)]
pub mod __private {
    pub use inventory;
    pub use uuid::Uuid;

    pub use crate::arguments::{Argument, Column, IntoArgument, IntoColumn, IntoDependencies};
    #[cfg(feature = "cli")]
    pub use crate::cli::run_main_or_command;
    pub use crate::definition::{
        AllKnown, AnswersRetry, Api, BodyFuture, CacheKey, CallsOf, Defined, Definition, Flow,
        FlowArgument, FlowAttempt, FlowAttributes, FlowBody, FlowCode, FlowConfiguration,
        FlowDefinition, FlowEntry, FlowInfo, FlowOptions, HasRows, JsonCall, LentArguments, Loan,
        MapReport, Owned, OwnedValue, ParameterAccess, ParameterDefault, ParameterSignature,
        Parameters, ReadJson, ReadValues, RetryCondition, RetryDelayAttribute, SchemaOf, Shared,
        Signature, Task, TaskAttributes, TaskBody, TaskConfiguration, TaskDefinition, TaskEntry,
        TaskError, TaskFacts, TaskInfo, TaskOptions, TaskTypes, TypesOf, WriteJson, call_for_json,
        call_for_json_with_loans, default_as_json, probe, validated,
    };
    pub use crate::entry::run_main;
    pub use crate::flow::{
        Call, Ended, FlowHandle, FlowOutcome, OwnedCall, ReturnedRuns, call, call_flow, call_lent,
        call_lent_future, ended, map, no_key, owned_call, start, submit,
    };
    pub use crate::future::TaskFuture;
    pub use crate::hooks::{AttributeHook, HookEvent, HookOutcome};
    pub use crate::mapped::Mapped;
    pub use crate::records::{
        CachePart, FlowParameters, IntoCacheKey, Isolation, ResultAttributes, Unstable,
        flow_parameters,
    };
    pub use crate::report::{Visualize, visualize};
    pub use crate::transacting::{AttributeTransactionHook, TransactionEvent};
    pub use crate::value::{Access, Codec, CompactType};
}

/// The guide's programs, and those in the documentation of the macros.
#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/tasks.md")]
#[doc = include_str!("../../docs/guide/definitions.md")]
#[doc = include_str!("../../docs/guide/control.md")]
#[doc = include_str!("../../docs/guide/limits.md")]
#[doc = include_str!("../../docs/guide/seeing.md")]
#[doc = include_str!("../../docs/guide/results.md")]
#[doc = include_str!("../../docs/guide/transactions.md")]
#[doc = include_str!("../../docs/guide/deployments.md")]
#[doc = include_str!("../../docs/guide/reporting.md")]
#[doc = include_str!("../../docs/guide/server-things.md")]
#[doc = include_str!("../../flowmacros/docs/task.md")]
#[doc = include_str!("../../flowmacros/docs/flow.md")]
#[doc = include_str!("../../flowmacros/docs/main.md")]
#[doc = include_str!("../../flowmacros/docs/test.md")]
mod guide {}
