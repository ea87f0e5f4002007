//! Data of our own as bytes, for a process of the same build.

use bytes::Bytes;
use flowcore::bridge::decode_bounded;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) fn to_bytes<D: Serialize>(data: &D) -> Result<Bytes, bincode::error::EncodeError> {
    bincode::serde::encode_to_vec(data, bincode::config::standard()).map(Bytes::from)
}

pub(crate) fn from_bytes<D: DeserializeOwned>(
    bytes: &[u8],
) -> Result<D, bincode::error::DecodeError> {
    decode_bounded(bytes).map(|(data, _)| data)
}
