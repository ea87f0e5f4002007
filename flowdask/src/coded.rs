//! Data of our own as bytes, for a process of the same build.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub(crate) fn to_bytes<D: Serialize>(data: &D) -> Result<Bytes, bincode::error::EncodeError> {
    bincode::serde::encode_to_vec(data, bincode::config::standard()).map(Bytes::from)
}

pub(crate) fn from_bytes<D: for<'a> Deserialize<'a>>(
    bytes: &[u8],
) -> Result<D, bincode::error::DecodeError> {
    // A length in damaged bytes is believed up to 4 GiB, which nothing exceeds.
    let configuration = bincode::config::standard().with_limit::<{ u32::MAX as usize }>();
    bincode::serde::decode_from_slice(bytes, configuration).map(|(data, _)| data)
}
