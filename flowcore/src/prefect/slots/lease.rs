//! What holds slots of a server: renewed while it lives, given back when it is
//! dropped.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::AbortHandle;

use super::decrement;
use super::returns::Return;
use crate::prefect::client::{ApiClient, ApiError};
use crate::runtime;

/// How often a renewal is tried.
const ATTEMPTS: u32 = 3;

#[derive(Debug)]
pub(super) struct Lease {
    client: ApiClient,
    held: Held,
}

#[derive(Debug)]
enum Held {
    Leased {
        id: String,
        renewing: AbortHandle,
    },
    /// By a server that only counts.
    Counted {
        names: Vec<String>,
        slots: u32,
        since: Instant,
    },
}

impl Lease {
    pub(super) fn of_server(client: &ApiClient, id: String, duration: Duration) -> Self {
        let renewing = renew(client.clone(), id.clone(), duration);
        let renewing = runtime::process_service().spawn(renewing).abort_handle();
        Self {
            client: client.clone(),
            held: Held::Leased { id, renewing },
        }
    }

    pub(super) fn counted<'a>(
        client: &ApiClient,
        names: impl Iterator<Item = &'a str>,
        slots: u32,
        since: Instant,
    ) -> Self {
        Self {
            client: client.clone(),
            held: Held::Counted {
                names: names.map(str::to_owned).collect(),
                slots,
                since,
            },
        }
    }
}

/// At three quarters of the duration, again and again.
async fn renew(client: ApiClient, id: String, duration: Duration) {
    loop {
        tokio::time::sleep(duration * 3 / 4).await;
        for attempt in 1..=ATTEMPTS {
            let error = match renew_once(&client, &id, duration).await {
                Ok(()) => break,
                Err(error) => error,
            };
            if attempt == ATTEMPTS || !error.may_pass() {
                tracing::warn!(
                    target: "flowcore::prefect",
                    "{error}: slots of a limit are held no longer, and others may take them"
                );
                return;
            }
        }
    }
}

/// Keeps what a lease holds for so long.
pub(crate) async fn renew_once(
    client: &ApiClient,
    lease: &str,
    duration: Duration,
) -> Result<(), ApiError> {
    let path = format!("/v2/concurrency_limits/leases/{lease}/renew");
    let body = json!({"lease_duration": duration.as_secs_f64()});
    client.post::<Option<Value>>(&path, &body).await.map(drop)
}

impl Drop for Lease {
    fn drop(&mut self) {
        let (path, body, is_leased) = match &self.held {
            Held::Leased { id, renewing } => {
                renewing.abort();
                let path = "/v2/concurrency_limits/decrement-with-lease";
                (path, json!({ "lease_id": id }), true)
            }
            Held::Counted {
                names,
                slots,
                since,
            } => {
                let names = names.iter().map(String::as_str);
                let path = "/v2/concurrency_limits/decrement";
                (path, decrement(names, *slots, since.elapsed()), false)
            }
        };
        let on_its_way = Return::begin();
        let client = self.client.clone();
        runtime::process_service().spawn(async move {
            // A lease is given back once, however often it is said.
            let done = if is_leased {
                client.post::<Option<Value>>(path, &body).await
            } else {
                client.post_once::<Option<Value>>(path, &body).await
            };
            if let Err(error) = done {
                tracing::warn!(
                    target: "flowcore::prefect",
                    "{error}: slots of a limit come back when their lease ends"
                );
            }
            drop(on_its_way);
        });
    }
}
