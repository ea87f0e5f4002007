//! `api = required`: a run begins its work when the server knows it, or fails.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{ApiClient, ApiError};
use super::outbox::Outbox;
use super::{PrefectError, reporter};
use crate::runtime;

/// How long a server may take to make the flow run.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until the server has made the flow run.
///
/// # Errors
///
/// If it does not, and why.
pub(crate) async fn until_known(flow: Uuid) -> Result<(), PrefectError> {
    let known = known(flow).await;
    if known.is_err() {
        reporter::wait_no_more(flow);
    }
    known
}

async fn known(flow: Uuid) -> Result<(), PrefectError> {
    let client = ApiClient::of_process().map_err(|error| not_reported(None, &error))?;
    let outbox = Outbox::of_process().map_err(|error| not_reported(None, &error))?;
    let (Some(client), Some(outbox)) = (client, outbox) else {
        return Err(PrefectError::NotReported {
            url: None,
            status: None,
            problem: "no server is named: set PREFECT_API_URL, such as \
                      `http://127.0.0.1:4200/api`"
                .to_owned(),
        });
    };
    let url = || Some(client.settings().shown_url());
    if !outbox.reports(flow) {
        return Err(PrefectError::NotReported {
            url: url(),
            status: None,
            problem: "this process is a worker, whose own flow runs nobody is told of: call the \
                      flow in the flow's process"
                .to_owned(),
        });
    }
    let made = async {
        // Whoever tells of flow runs tries for ever; this says why in vain.
        match select(pin!(outbox.server_id(flow)), pin!(refusal(&client, flow))).await {
            Either::Left((made, _)) => made.map(drop),
            Either::Right((error, _)) => Err(error),
        }
    };
    match runtime::timeout(PATIENCE, made).await {
        Some(made) => made.map_err(|error| not_reported(url(), &error)),
        None => Err(PrefectError::NotReported {
            url: url(),
            status: None,
            problem: format!(
                "it has not made the flow run within {} s",
                PATIENCE.as_secs()
            ),
        }),
    }
}

/// What the server says to a question that it answers at once; nothing if it
/// does.
async fn refusal(client: &ApiClient, flow: Uuid) -> ApiError {
    let body = json!({"flow_runs": {"id": {"any_": [flow]}}, "limit": 1});
    match client.ask::<Vec<Value>>("/flow_runs/filter", &body).await {
        Ok(_) => std::future::pending().await,
        Err(error) => error,
    }
}

fn not_reported(url: Option<String>, error: &ApiError) -> PrefectError {
    let status = error.status();
    let hint = match error {
        ApiError::NotUnderstood { .. } => true,
        _ => matches!(status, Some(404 | 405)),
    };
    let mut problem = error.to_string();
    if hint {
        problem.push_str("; PREFECT_API_URL names a server's API: it ends in `/api`");
    }
    PrefectError::NotReported {
        url,
        status,
        problem,
    }
}
