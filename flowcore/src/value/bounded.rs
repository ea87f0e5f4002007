//! Bincode, read with no more memory than its length allows for, and no more of
//! the stack than there is.
//!
//! A text's length is believed before the text is read, and room made for it. So
//! what a reading may claim depends on how many bytes there are: a number claims
//! the size of its type, 16 bytes at most, and takes one at least.

use std::cell::Cell;

use bincode::config::standard;
use bincode::error::DecodeError;
use bincode::serde::decode_from_slice;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

const SMALL: usize = 1 << 16;
const LARGE: usize = 1 << 24;
const CLAIMED_BY_ONE: usize = size_of::<u128>();

/// The data, and how many bytes it took. Damaged bytes claim some hundred times
/// their own length at the most, and never more than 4 GiB, as sound ones do.
///
/// # Errors
///
/// The bytes are not such data, or it would take more than 4 GiB.
///
/// ```
/// # use flowcore::bridge::decode_bounded;
/// // A text of 4 GB, it says.
/// assert!(decode_bounded::<String>(&[0xfc, 0, 0, 0, 0xf0]).is_err());
/// assert_eq!(decode_bounded::<String>(b"\x02ab")?, ("ab".to_owned(), 3));
/// # Ok::<(), bincode::error::DecodeError>(())
/// ```
pub fn decode_bounded<D: DeserializeOwned>(bytes: &[u8]) -> Result<(D, usize), DecodeError> {
    let length = bytes.len();
    if length <= SMALL {
        decode_from_slice(bytes, limited::<{ SMALL * CLAIMED_BY_ONE }>())
    } else if length <= LARGE {
        decode_from_slice(bytes, limited::<{ LARGE * CLAIMED_BY_ONE }>())
    } else {
        decode_from_slice(bytes, limited::<{ u32::MAX as usize }>())
    }
}

fn limited<const LIMIT: usize>() -> impl bincode::config::Config {
    standard().with_limit::<LIMIT>()
}

/// How deep data may be nested: far deeper than code that somebody wrote.
pub(crate) const DEPTH: usize = 100;

thread_local! {
    /// The levels that are being read on this thread.
    static LEVEL: Cell<usize> = const { Cell::new(0) };
}

/// Reads what is one level deeper, up to a depth at which damaged bytes would
/// overflow the stack: for `#[serde(deserialize_with)]`, where a type holds itself.
///
/// # Errors
///
/// Those of the deserializer, and more than 100 levels.
///
/// ```
/// #[derive(serde::Deserialize)]
/// struct List(#[serde(deserialize_with = "flowcore::bridge::nested")] Vec<List>);
/// ```
pub fn nested<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    /// Goes back up, also when the reader panics.
    struct Level(usize);
    impl Drop for Level {
        fn drop(&mut self) {
            LEVEL.set(self.0);
        }
    }
    let level = Level(LEVEL.get());
    if level.0 == DEPTH {
        let text = format_args!("arguments are nested deeper than {DEPTH} levels");
        return Err(D::Error::custom(text));
    }
    LEVEL.set(level.0 + 1);
    T::deserialize(deserializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_claim_the_most_are_read() {
        let numbers = vec![1_u128; SMALL - 3];
        let bytes = bincode::serde::encode_to_vec(&numbers, standard()).unwrap();
        assert_eq!(bytes.len(), SMALL);
        let (read, length) = decode_bounded::<Vec<u128>>(&bytes).unwrap();
        assert_eq!((read.len(), length), (numbers.len(), bytes.len()));
    }

    #[test]
    fn lengths_that_are_lies_are_errors() {
        for lie in [1_u64 << 21, 1 << 32, u64::MAX] {
            let bytes = [&[0xfd][..], &lie.to_le_bytes(), b"abc"].concat();
            let error = decode_bounded::<String>(&bytes).unwrap_err();
            assert!(
                matches!(
                    error,
                    DecodeError::LimitExceeded | DecodeError::UnexpectedEnd { .. }
                ),
                "{error}"
            );
        }
    }
}
