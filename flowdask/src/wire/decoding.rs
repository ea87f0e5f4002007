//! The decoders that no user calls, for `fuzzing`.

use bytes::Bytes;
use tokio::io::AsyncRead;

use super::frames::{self, FrameLimits};
use super::msgpack;
use super::{EncodeError, FrameError, MessageError, Value};

pub(crate) async fn frames<R: AsyncRead + Unpin>(reader: &mut R) -> Result<Vec<Bytes>, FrameError> {
    frames::read(reader, FrameLimits::default()).await
}

pub(crate) fn message(frames: &[Bytes]) -> Result<Value, MessageError> {
    msgpack::decode(frames)
}

pub(crate) fn encoded(message: &Value) -> Result<Vec<Bytes>, EncodeError> {
    msgpack::encode(message)
}
