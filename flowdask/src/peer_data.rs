//! Copies from a worker, for clients and for other workers (protocol,
//! section 8.1).

use std::time::Duration;

use crate::wire::{Address, Fields, Key, RpcPool, Serialized, Value, WireError};

/// How long a worker that is busy is left alone.
pub(crate) const BUSY_PAUSE: Duration = Duration::from_millis(150);

/// Asks a worker for its copies of some keys; those that it does not have are
/// not in the answer. `who` is the worker that asks. None if the peer has too
/// many transfers: ask again after [`BUSY_PAUSE`].
///
/// The acknowledgement frees the peer's slot; a busy peer holds none for us, so
/// it waits for no thanks. If the future is dropped the link to the peer is too.
pub(crate) async fn get_data(
    pool: &RpcPool,
    address: &Address,
    keys: &[Key],
    who: Option<&str>,
) -> Result<Option<Vec<(Key, Serialized)>>, WireError> {
    let request = Value::map([
        ("op", "get_data".into()),
        ("reply", true.into()),
        ("keys", keys.iter().collect()),
        ("who", who.into()),
    ]);
    let mut connection = pool.take(address).await?;
    let mut answer = Fields::unnamed("get_data", connection.call(&request).await?)?;
    let data = if answer.string("status")? == "busy" {
        None
    } else {
        let data = answer.values("data")?;
        connection.write(&"OK".into()).await?;
        Some(data)
    };
    pool.give_back(address, connection);
    Ok(data)
}
