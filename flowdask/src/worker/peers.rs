//! Copies from other workers, counted and timed.

use std::sync::atomic::Ordering::Relaxed;

use super::executor::Stored;
use super::messages::{StartStop, now};
use super::shared::{Shared, UnderWay};
use super::state::Peer;
use crate::peer_data;
pub(super) use crate::peer_data::BUSY_PAUSE;
use crate::wire::{Address, Key, WireError};

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
    let data = peer_data::get_data(&shared.pool, &address, keys, Some(&shared.address)).await?;
    let Some(data) = data else {
        return Ok(Answer::Busy);
    };
    shared.transfers.incoming_total.fetch_add(1, Relaxed);
    let values = data.into_iter();
    Ok(Answer::Values {
        values: values
            .map(|(key, value)| (key, Stored::opaque(value)))
            .collect(),
        transfer: StartStop::transfer(start, peer.clone()),
    })
}
