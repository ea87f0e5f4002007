//! Compressed frames (protocol, section 3.4).
//!
//! We announce no compression, so that nobody compresses for us; but values
//! that others scattered keep theirs.

use std::io::Read;

use bytes::Bytes;

/// What a frame grows to at most; a stock sender cuts values into shards of
/// 64 MiB before it compresses them.
const LIMIT: usize = 1 << 30;

/// How a frame is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    /// An lz4 block behind its length, 4 bytes little endian.
    Lz4,
    /// A raw snappy block.
    Snappy,
    /// A zstd frame.
    Zstd,
    /// A zlib stream.
    Zlib,
}

/// A frame cannot be decompressed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompressionError {
    /// Nobody here knows this compression.
    #[error(
        "a value is compressed with `{name}`, which is unknown here: set \
         `distributed.comm.compression` of its sender to `null`, `lz4`, `snappy`, `zstd` or `zlib`"
    )]
    Unknown {
        /// Its name.
        name: String,
    },
    /// The frame is damaged.
    #[error("a frame compressed with {name} is damaged: {reason}")]
    Damaged {
        /// The compression.
        name: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The frame would become larger than any that a stock peer sends.
    #[error("a frame compressed with {name} would grow above {LIMIT} bytes")]
    TooLarge {
        /// The compression.
        name: &'static str,
    },
}

impl Compression {
    pub(crate) fn named(name: &str) -> Result<Self, CompressionError> {
        match name {
            "lz4" => Ok(Self::Lz4),
            "snappy" => Ok(Self::Snappy),
            "zstd" => Ok(Self::Zstd),
            "zlib" => Ok(Self::Zlib),
            _ => Err(CompressionError::Unknown {
                name: name.to_owned(),
            }),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Lz4 => "lz4",
            Self::Snappy => "snappy",
            Self::Zstd => "zstd",
            Self::Zlib => "zlib",
        }
    }

    pub(crate) fn decompress(self, frame: &[u8]) -> Result<Bytes, CompressionError> {
        match self {
            Self::Lz4 => {
                let (length, block) = lz4_flex::block::uncompressed_size(frame)
                    .map_err(|error| self.damaged(&error))?;
                self.plausible(length, block)?;
                let plain = lz4_flex::block::decompress(block, length)
                    .map_err(|error| self.damaged(&error))?;
                Ok(plain.into())
            }
            Self::Snappy => {
                let length =
                    snap::raw::decompress_len(frame).map_err(|error| self.damaged(&error))?;
                self.plausible(length, frame)?;
                let plain = snap::raw::Decoder::new()
                    .decompress_vec(frame)
                    .map_err(|error| self.damaged(&error))?;
                Ok(plain.into())
            }
            Self::Zstd => {
                let decoder =
                    zstd::stream::Decoder::new(frame).map_err(|error| self.damaged(&error))?;
                self.read(decoder)
            }
            Self::Zlib => self.read(flate2::read::ZlibDecoder::new(frame)),
        }
    }

    fn read(self, decoder: impl Read) -> Result<Bytes, CompressionError> {
        let mut plain = Vec::new();
        decoder
            .take(LIMIT as u64 + 1)
            .read_to_end(&mut plain)
            .map_err(|error| self.damaged(&error))?;
        self.bounded(plain.len())?;
        Ok(plain.into())
    }

    /// A length in front is believed only if the block can hold so much: no
    /// byte of either format stands for more than 255.
    fn plausible(self, length: usize, block: &[u8]) -> Result<(), CompressionError> {
        self.bounded(length)?;
        if length / 255 > block.len() {
            return Err(self.damaged(&"it is too short for its length"));
        }
        Ok(())
    }

    fn bounded(self, length: usize) -> Result<(), CompressionError> {
        if length > LIMIT {
            return Err(CompressionError::TooLarge { name: self.name() });
        }
        Ok(())
    }

    fn damaged(self, error: &dyn std::fmt::Display) -> CompressionError {
        CompressionError::Damaged {
            name: self.name(),
            reason: error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compressed(compression: Compression, plain: &[u8]) -> Vec<u8> {
        match compression {
            Compression::Lz4 => lz4_flex::block::compress_prepend_size(plain),
            Compression::Snappy => snap::raw::Encoder::new().compress_vec(plain).unwrap(),
            Compression::Zstd => zstd::stream::encode_all(plain, 3).unwrap(),
            Compression::Zlib => {
                let mut encoder =
                    flate2::read::ZlibEncoder::new(plain, flate2::Compression::default());
                let mut out = Vec::new();
                encoder.read_to_end(&mut out).unwrap();
                out
            }
        }
    }

    #[test]
    fn every_compression_is_read_and_damage_is_an_error() {
        let plain: Vec<u8> = (0..20_000_u32).map(|i| (i / 7) as u8).collect();
        for name in ["lz4", "snappy", "zstd", "zlib"] {
            let compression = Compression::named(name).unwrap();
            let mut frame = compressed(compression, &plain);
            assert_eq!(compression.decompress(&frame).unwrap(), plain, "{name}");
            frame.truncate(frame.len() / 2);
            assert!(compression.decompress(&frame).is_err(), "{name}");
        }
    }

    #[test]
    fn a_length_out_of_the_air_allocates_nothing() {
        let error = Compression::Lz4
            .decompress(&u32::MAX.to_le_bytes())
            .unwrap_err();
        assert!(
            matches!(error, CompressionError::TooLarge { .. }),
            "{error}"
        );
        let error = Compression::Lz4
            .decompress(&(1_u32 << 29).to_le_bytes())
            .unwrap_err();
        assert!(matches!(error, CompressionError::Damaged { .. }), "{error}");
    }

    #[test]
    fn an_unknown_compression_is_named() {
        let error = Compression::named("blosc").unwrap_err();
        assert!(error.to_string().contains("`blosc`"), "{error}");
    }
}
