//! Runs that a client in another language asks for: a task by its name, with
//! arguments of Python. No flow's process is behind them.

use flowcore::bridge::{
    Answer, ArgumentDescriptor, CalledArgument, Request, WorkDescriptor, called_work,
};
use flowcore::{Error, Result, StateName};

use crate::graph::{Call, CallArgument};
use crate::values;
use crate::wire::Key;
use crate::worker::Stored;

/// The run that a call asks for; `inputs` are its dependencies in order.
///
/// # Errors
///
/// This program has no such task, its parameters are others, or an argument is
/// a value that only Python has.
pub(super) fn work(call: &Call, inputs: &[(Key, Stored)]) -> Result<WorkDescriptor> {
    let mut inputs = inputs.iter();
    let arguments = call
        .arguments
        .iter()
        .enumerate()
        .map(|(at, (name, argument))| {
            let value = argument_of(argument, &mut inputs).map_err(|problem| {
                let which = name.as_ref().map_or_else(
                    || format!("argument {}", at + 1),
                    |name| format!("argument `{name}`"),
                );
                Error::msg(format!("task `{}`: {which}: {problem}", call.task))
            })?;
            let name = name.clone();
            Ok(CalledArgument { name, value })
        })
        .collect::<Result<_>>()?;
    called_work(&call.task, arguments)
}

fn argument_of<'a>(
    argument: &CallArgument,
    inputs: &mut impl Iterator<Item = &'a (Key, Stored)>,
) -> Result<ArgumentDescriptor, String> {
    Ok(match argument {
        CallArgument::Value(value) => ArgumentDescriptor::Inline(value.clone()),
        CallArgument::Dependency => {
            let (_, stored) = inputs.next().ok_or("its value is missing")?;
            let value = values::from_wire(&stored.value).map_err(|error| error.to_string())?;
            ArgumentDescriptor::Inline(value)
        }
        CallArgument::List(parts) => ArgumentDescriptor::List(
            parts
                .iter()
                .map(|part| argument_of(part, inputs))
                .collect::<Result<_, _>>()?,
        ),
        CallArgument::Unreadable(why) => return Err(why.clone()),
    })
}

/// The answer to what only a flow's process could give.
pub(super) fn refusal(request: &Request) -> Answer {
    let why = "this task was called by a client in another language, so that no flow's process is \
               behind it";
    refused(request, why.into())
}

/// What was asked for is not to be had.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {why}")]
struct Refused {
    what: String,
    why: Box<dyn std::error::Error + Send + Sync>,
}

/// The answer to a request that does not get to the flow's process.
pub(super) fn refused(request: &Request, why: Box<dyn std::error::Error + Send + Sync>) -> Answer {
    let what = match request {
        Request::Submit(work) => format!("the run of task `{}` cannot be submitted", work.task_key),
        Request::Server(_) => "a Prefect server cannot be asked".to_owned(),
        // Without a flow nobody has counted any.
        Request::Attempts(_) => return Answer::Attempts(Vec::new()),
        _ => "the slots of a limit cannot be taken".to_owned(),
    };
    let error = Error::from(Refused { what, why });
    match request {
        Request::Submit(_) => Answer::Settled {
            state: StateName::Failed,
            message: Some(error.to_string()),
            value: Err(error),
        },
        Request::Server(_) => Answer::Server(Err(error)),
        _ => Answer::Slots(Err(error)),
    }
}
