//! What Dask's peers say to each other, and how: frames on TCP or TLS links,
//! messages in them, questions and streams of messages on top.
//!
//! Knows no op by its meaning but the errors of questions. Facts come from
//! recorded traffic of `dask.distributed` 2026.8.0 ("protocol, section n" in
//! comments).

mod address;
mod compression;
mod connection;
#[cfg(any(test, fuzzing))]
pub(crate) mod decoding;
mod error;
mod fields;
mod frames;
#[cfg(test)]
mod golden_tests;
mod key;
mod listener;
mod msgpack;
pub mod pickle;
mod rpc;
mod security;
mod serialized;
mod stream;
mod value;

pub use address::{Address, AddressError, Scheme};
pub use compression::CompressionError;
pub use connection::{Connection, ConnectionReader, ConnectionWriter};
pub use error::WireError;
pub use fields::{FieldError, Fields};
pub use frames::FrameError;
pub use key::{Key, NotAKey};
pub use listener::{Incoming, Listener};
pub use msgpack::{EncodeError, MessageError};
pub use rpc::RpcPool;
pub use security::{Security, SecurityError};
pub use serialized::{Serialized, SerializedError};
pub use stream::{StreamClosed, StreamReader, StreamSender};
pub use value::{Pickled, Value};
