//! Copies from other workers (protocol, section 8.1).

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::executor::Stored;
use super::messages::{StartStop, now};
use super::shared::{Shared, UnderWay};
use super::state::Peer;
use crate::wire::{Address, Connection, Fields, Key, Value, WireError};

/// How long a busy peer is left alone.
pub(super) const BUSY_PAUSE: Duration = Duration::from_millis(150);

/// What a peer sent.
#[derive(Debug)]
pub(super) enum Answer {
    /// The keys that it has of those that were asked for.
    Values {
        values: Vec<(Key, Stored)>,
        transfer: StartStop,
    },
    /// It has too many transfers.
    Busy,
}

/// Asks a peer for its copies of some keys. If the future is dropped the link
/// to the peer is too.
pub(super) async fn get_data(
    shared: &Shared,
    peer: &Peer,
    keys: &[Key],
) -> Result<Answer, WireError> {
    let address: Address = peer.parse().map_err(|_| WireError::Closed)?;
    let start = now();
    let _under_way = UnderWay::begin(&shared.transfers.incoming, usize::MAX);
    let mut connection = shared.pool.take(&address).await?;
    let answer = exchange(shared, &mut connection, keys).await?;
    shared.pool.give_back(&address, connection);
    let Some(values) = answer else {
        return Ok(Answer::Busy);
    };
    shared.transfers.incoming_total.fetch_add(1, Relaxed);
    Ok(Answer::Values {
        values,
        transfer: StartStop::transfer(start, peer.clone()),
    })
}

/// None if the peer is busy.
async fn exchange(
    shared: &Shared,
    connection: &mut Connection,
    keys: &[Key],
) -> Result<Option<Vec<(Key, Stored)>>, WireError> {
    let request = Value::map([
        ("op", "get_data".into()),
        ("reply", true.into()),
        ("keys", keys.iter().collect()),
        ("who", (&*shared.address).into()),
    ]);
    let answer = connection.call(&request).await?;
    let mut answer = Fields::unnamed("get_data", answer)?;
    // A busy peer holds no slot for us, so it waits for no thanks.
    if answer.string("status")? == "busy" {
        return Ok(None);
    }
    let data = answer.map("data")?;
    connection.write(&"OK".into()).await?;
    let values = data
        .into_iter()
        .filter_map(|(key, value)| match value {
            Value::Serialized(value) => Some((Key::try_from(key).ok()?, Stored::opaque(value))),
            _ => None,
        })
        .collect();
    Ok(Some(values))
}
