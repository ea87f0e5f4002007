//! What test and child say to each other: a length, then that many bytes of
//! MessagePack.

use std::io::{self, Read, Write};

use flowcore::bridge::{EncodedValue, RunEvent, RunReference, ToHome, ToWorker};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// From the flow's process to the child.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToChild {
    /// Task descriptors, as bytes: a batch.
    Work(Vec<Vec<u8>>),
    /// The run is not wanted any more.
    Cancel(RunReference),
    /// The value of a run, answered under this number.
    Fetch(u64, RunReference),
    /// The length of a run's list, answered under this number.
    Length(u64, RunReference),
    /// A message of the control channel.
    Control(ToWorker),
}

/// From the child to the flow's process.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromChild {
    /// Something happened to a run.
    Event(RunEvent),
    /// An answer to a fetch.
    Value(u64, Result<EncodedValue, flowcore::Error>),
    /// An answer to a question for a length.
    Length(u64, Result<u32, flowcore::Error>),
    /// A message of the control channel.
    Control(ToHome),
}

/// Writes one message.
///
/// # Errors
///
/// The other end is gone.
pub fn write<M: Serialize>(to: &mut impl Write, message: &M) -> io::Result<()> {
    let bytes = rmp_serde::to_vec_named(message).map_err(io::Error::other)?;
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(&bytes)?;
    to.flush()
}

/// Reads one message; `None` when the other end is gone.
///
/// # Errors
///
/// The bytes are no message.
pub fn read<M: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<M>> {
    let mut length = [0; 4];
    if from.read_exact(&mut length).is_err() {
        return Ok(None);
    }
    let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
    if from.read_exact(&mut bytes).is_err() {
        return Ok(None);
    }
    rmp_serde::from_slice(&bytes)
        .map(Some)
        .map_err(io::Error::other)
}
