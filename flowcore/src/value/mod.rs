//! Values: the cells they wait in, how they are copied and coded.

mod binary;
mod bounded;
mod cell;
mod codec;
mod compact;
mod stored;

pub(crate) use binary::binary;
#[cfg(test)]
pub(crate) use bounded::DEPTH;
pub use bounded::{decode_bounded, nested};
pub(crate) use cell::ValueCell;
pub use codec::{Access, Codec, CodecError, CodecTag, EncodedValue};
pub use compact::CompactType;
pub(crate) use stored::StoredValue;
