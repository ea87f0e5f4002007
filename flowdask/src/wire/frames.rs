//! Messages on a byte stream: lengths in front, frames behind (protocol,
//! section 2).
//!
//! Knows nothing of what is in the frames. A length that a peer claims takes
//! no memory: that comes with the bytes.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What a peer may send as one message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameLimits {
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
}

impl Default for FrameLimits {
    /// Four million frames (a gathered Python list has one per element); a
    /// Python peer takes messages up to half of its machine's memory, and
    /// nothing above is ever sent to us either.
    fn default() -> Self {
        Self {
            frames: 1 << 22,
            bytes: 1 << 38,
        }
    }
}

/// The bytes are no message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The link is broken, or the peer is gone.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The lengths in front cannot be those of a message.
    #[error("the peer does not speak Dask's protocol: its message begins with {start:?}")]
    Prelude {
        /// The first bytes, printable.
        start: String,
    },
    /// More than any Dask peer sends.
    #[error("a message of {bytes} bytes in {frames} frames is too large")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// Its frames.
        frames: u64,
    },
}

impl FrameError {
    /// Whether the peer ended the link between two messages.
    pub(crate) fn is_end(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof)
    }
}

/// Reads one message. Not cancel-safe: what was read of it is lost.
pub(crate) async fn read<R: AsyncRead + Unpin>(
    reader: &mut R,
    limits: FrameLimits,
) -> Result<Vec<Bytes>, FrameError> {
    let first_read = reader.read_u64_le().await?;
    let count = match reader.read_u64_le().await {
        Ok(count) => count,
        Err(error) => return Err(cut_off(first_read, error)),
    };
    // What does not fit is no Dask at all, rather than large.
    let prelude = count
        .checked_mul(8)
        .and_then(|lengths| lengths.checked_add(8))
        .filter(|prelude| count <= limits.frames && *prelude <= first_read)
        .ok_or_else(|| no_dask(first_read, count))?;
    let mut lengths = Vec::new();
    let mut total: u64 = 0;
    for _ in 0..count {
        let length = reader.read_u64_le().await?;
        total = total.saturating_add(length);
        if total > limits.bytes {
            return Err(FrameError::TooLarge {
                bytes: total,
                frames: count,
            });
        }
        lengths.push(length);
    }
    if first_read - prelude > total {
        return Err(no_dask(first_read, count));
    }
    let mut frames = Vec::with_capacity(lengths.len());
    for length in lengths {
        frames.push(read_frame(reader, length).await?);
    }
    Ok(frames)
}

/// How much is reserved before its bytes have come.
const CHUNK: usize = 1 << 20;

async fn read_frame<R: AsyncRead + Unpin>(reader: &mut R, length: u64) -> io::Result<Bytes> {
    let length = usize::try_from(length).map_err(io::Error::other)?;
    let mut frame = BytesMut::with_capacity(length.min(CHUNK));
    while frame.len() < length {
        if frame.len() == frame.capacity() {
            // Doubles: few copies, and at most twice what has come.
            frame.reserve(frame.len().min(length - frame.len()));
        }
        let missing = (length - frame.len()) as u64;
        if (&mut *reader).take(missing).read_buf(&mut frame).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(frame.freeze())
}

/// A peer that ends after a few bytes of something else.
fn cut_off(first_read: u64, error: io::Error) -> FrameError {
    let start = first_read.to_le_bytes();
    if error.kind() == io::ErrorKind::UnexpectedEof && start.iter().all(u8::is_ascii_graphic) {
        return FrameError::Prelude {
            start: start.escape_ascii().to_string(),
        };
    }
    error.into()
}

fn no_dask(first_read: u64, count: u64) -> FrameError {
    let start = [first_read.to_le_bytes(), count.to_le_bytes()].concat();
    FrameError::Prelude {
        start: start.escape_ascii().to_string(),
    }
}

/// Writes one message, all of it in the "first read"; flushing is up to the
/// caller. Not cancel-safe.
pub(crate) async fn write<W: AsyncWrite + Unpin>(
    writer: &mut W,
    frames: &[Bytes],
) -> io::Result<()> {
    let total: usize = frames.iter().map(Bytes::len).sum();
    let prelude = 8 * (frames.len() + 1);
    let mut lengths = Vec::with_capacity(8 + prelude);
    let mut put = |number: usize| lengths.extend_from_slice(&(number as u64).to_le_bytes());
    put(prelude + total);
    put(frames.len());
    frames.iter().for_each(|frame| put(frame.len()));
    writer.write_all(&lengths).await?;
    for frame in frames {
        writer.write_all(frame).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(bytes: &[u8], limits: FrameLimits) -> Result<Vec<Bytes>, FrameError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(async {
            let mut rest = bytes;
            let frames = read(&mut rest, limits).await?;
            assert!(rest.is_empty(), "{} bytes are left", rest.len());
            Ok(frames)
        })
    }

    fn encoded(frames: &[Bytes]) -> Vec<u8> {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let mut out = Vec::new();
        runtime.unwrap().block_on(write(&mut out, frames)).unwrap();
        out
    }

    proptest! {
        #[test]
        fn frames_come_back(frames: Vec<Vec<u8>>) {
            let frames: Vec<Bytes> = frames.into_iter().map(Bytes::from).collect();
            let bytes = encoded(&frames);
            prop_assert_eq!(decoded(&bytes, FrameLimits::default()).unwrap(), frames);
        }

        #[test]
        fn a_cut_message_is_an_error(frames: Vec<Vec<u8>>, cut: prop::sample::Index) {
            let frames: Vec<Bytes> = frames.into_iter().map(Bytes::from).collect();
            let bytes = encoded(&frames);
            prop_assert!(decoded(&bytes[..cut.index(bytes.len())], FrameLimits::default()).is_err());
        }

        #[test]
        fn garbage_is_an_error_or_a_message(bytes: Vec<u8>) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let mut rest = &bytes[..];
            let _ = runtime.block_on(read(&mut rest, FrameLimits::default()));
        }
    }

    #[test]
    fn a_web_server_is_no_dask_peer() {
        let error = decoded(b"HTTP/1.1 400 Bad Request\r\n\r\n", FrameLimits::default());
        assert_eq!(
            error.unwrap_err().to_string(),
            "the peer does not speak Dask's protocol: its message begins with \"HTTP/1.1 400 Bad\""
        );
    }

    #[test]
    fn lengths_out_of_the_air_take_no_memory() {
        let mut bytes = Vec::new();
        for number in [1 << 40, 1, (1_u64 << 40) - 16] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let error = decoded(&bytes, FrameLimits::default()).unwrap_err();
        assert!(matches!(error, FrameError::TooLarge { .. }), "{error}");
        let limits = FrameLimits {
            frames: 8,
            bytes: u64::MAX,
        };
        let error = decoded(&bytes, limits).unwrap_err();
        assert!(error.is_end(), "{error}");
    }
}
