//! `run FLOW`: a run of it, here and now.

use clap::ArgMatches;
use serde_json::{Value, json};

use super::{Ended, flow, output, parameters};
use crate::error::{Error, Result};
use crate::state::State;

pub(super) async fn run(given: &ArgMatches) -> Result<Ended> {
    let flow = flow(given)?;
    let call = flow.call_json(parameters::read(flow, given)?)?;
    let is_json = given.get_flag("json");
    let state = if is_json {
        output::prints_aside(call.state()).await?
    } else {
        call.state().await
    };
    // The outer result is the run's, the inner one says whether its value can
    // be written.
    let value = state.result().and_then(|value| (*value).clone());
    if is_json {
        output::json(&outcome(&state, &value))?;
    } else {
        match &value {
            Ok(Value::Null) => {}
            Ok(Value::String(text)) => output::line(text),
            Ok(value) => output::json(value)?,
            Err(error) => output::problem(error),
        }
    }
    Ok(match (state.is_completed(), &value) {
        (true, Ok(_)) => Ended::Done,
        _ => Ended::Failed,
    })
}

fn outcome(state: &State<Result<Value>>, value: &Result<Value>) -> Value {
    let (value, error) = match value {
        Ok(value) => (value.clone(), None),
        Err(error) => (Value::Null, Some(Error::to_string(error))),
    };
    json!({
        "state": state.state_type().as_str(),
        "name": state.name().as_str(),
        "message": state.message(),
        "value": value,
        "error": error,
    })
}
