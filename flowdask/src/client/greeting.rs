//! From an address to a registered client.
//!
//! Owns what is said before the stream begins: the release is asked for first,
//! for all else depends on it (protocol, sections 6.1 and 16).

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::ClientError;
use crate::Release;
use crate::wire::{Address, Connection, Fields, Security, Value, WireError};

/// The first pause between two attempts, and the longest.
pub(super) const PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A scheduler that has been asked who it is.
pub(super) struct Greeted {
    pub(super) release: Release,
    /// What it says of its own packages. Peers repeat it, so that nobody prints
    /// tables of mismatches (protocol, trap 9).
    pub(super) versions: Value,
    /// The link that was asked on; more can be asked.
    pub(super) connection: Connection,
}

/// Connects, again and again while nobody listens.
pub(super) async fn connect(
    address: &Address,
    security: &Security,
    timeout: Duration,
) -> Result<Connection, ClientError> {
    let deadline = Instant::now() + timeout;
    let mut pause = PAUSE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let source = match Connection::connect(address, security, left).await {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        if !is_absence(&source) || Instant::now() + pause >= deadline {
            return Err(ClientError::Unreachable {
                address: address.clone(),
                after: timeout,
                source: Box::new(source),
            });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Whether a peer may only not be there yet.
pub(super) fn is_absence(error: &WireError) -> bool {
    matches!(error, WireError::Connect { .. })
}

/// Asks a peer for its release, and whether it is a scheduler at all.
pub(super) async fn greet(
    address: &Address,
    security: &Security,
    timeout: Duration,
) -> Result<Greeted, ClientError> {
    let deadline = Instant::now() + timeout;
    let mut connection = connect(address, security, timeout).await?;
    let asked = timeout_at(deadline, ask(address, &mut connection)).await;
    let (release, versions) = asked.unwrap_or_else(|_| {
        Err(ClientError::Unreachable {
            address: address.clone(),
            after: timeout,
            source: Box::new(WireError::TimedOut {
                address: address.to_string(),
                what: "tell its release",
                after: timeout,
            }),
        })
    })?;
    Ok(Greeted {
        release,
        versions,
        connection,
    })
}

async fn ask(
    address: &Address,
    connection: &mut Connection,
) -> Result<(Release, Value), ClientError> {
    let not_a_scheduler = |found: &str| ClientError::NotAScheduler {
        address: address.clone(),
        found: found.to_owned(),
    };
    let question = Value::map([("op", "versions".into()), ("reply", true.into())]);
    let versions = connection
        .call(&question)
        .await
        .map_err(ClientError::call("versions"))?;
    let release = Release::text_of(&versions)
        .ok_or_else(|| not_a_scheduler("a peer without a release of Dask"))?;
    let release = release.parse::<Release>()?.supported()?;

    let identity = identify(connection, release)
        .await
        .map_err(ClientError::call("identity"))?;
    match identity.get("type").and_then(Value::as_str) {
        Some("Scheduler") => Ok((release, versions)),
        Some(kind) => Err(not_a_scheduler(&format!("a {}", kind.to_lowercase()))),
        None => Err(not_a_scheduler("a peer that does not say what it is")),
    }
}

/// Who it is; of a scheduler without its many workers, if it can leave them out.
async fn identify(connection: &mut Connection, release: Release) -> Result<Value, WireError> {
    let plain = Value::map([("op", "identity".into()), ("reply", true.into())]);
    if release.identity_counts_workers() {
        let short = Value::map([
            ("op", "identity".into()),
            ("reply", true.into()),
            ("n_workers", 0.into()),
        ]);
        match connection.call(&short).await {
            // Other peers than schedulers do not know the member.
            Err(WireError::Remote { .. }) => {}
            answer => return answer,
        }
    }
    connection.call(&plain).await
}

/// Registers a client on a new link; the link is the client's stream then.
pub(super) async fn register(
    address: &Address,
    security: &Security,
    timeout: Duration,
    client: &str,
    versions: &Value,
) -> Result<Connection, ClientError> {
    let mut connection = connect(address, security, timeout).await?;
    let registered = async {
        let registration = Value::map([
            ("op", "register-client".into()),
            ("client", client.into()),
            ("reply", false.into()),
            ("versions", versions.clone()),
        ]);
        connection.write(&registration).await?;
        connection.read().await
    };
    let start = match tokio::time::timeout(timeout, registered).await {
        Ok(start) => start,
        Err(_) => Err(WireError::TimedOut {
            address: address.to_string(),
            what: "register the client",
            after: timeout,
        }),
    }
    .map_err(ClientError::call("register-client"))?;
    check_start(address, start)?;
    Ok(connection)
}

/// The stream's first message may bring an error, or a warning.
fn check_start(address: &Address, start: Value) -> Result<(), ClientError> {
    let first = match start {
        Value::List(messages) => messages.into_iter().next().unwrap_or(Value::Nil),
        message => message,
    };
    let mut start = Fields::of(first).map_err(ClientError::call("register-client"))?;
    let mut text = |member| match start.optional(member) {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        _ => None,
    };
    if let Some(text) = text("error") {
        return Err(ClientError::Refused {
            address: address.clone(),
            text,
        });
    }
    if let Some(warning) = text("warning") {
        tracing::warn!(%address, warning, "the scheduler warns");
    }
    Ok(())
}
