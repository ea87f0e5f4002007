//! Values of tasks between Rust and Python.
//!
//! [`to_wire`] makes of a coded value what stock Python reads as its own: numbers and strings are
//! small pickles, bytes and Arrow tables go by Dask's serializers, and all else is a pickle that
//! calls `msgpack.unpackb` on the bytes as they are, so that lists stay lists and nothing is coded
//! twice. [`from_wire`] reads the same and whatever Python sends of plain data. Facts: protocol,
//! section 10.
//!
//! Knows nothing of tasks: which value belongs to which is others' matter.

mod arrow;
mod error;
mod kind;
mod message_pack;
mod read;
mod rows;
mod write;

#[cfg(test)]
mod tests;

pub use arrow::ArrowStream;
pub use error::ValueError;
pub use kind::PythonType;
pub(crate) use read::from_object;
pub use read::from_wire;
pub(crate) use rows::{Outcomes, Rows, rows_to_wire};
pub(crate) use write::bytes;
pub use write::to_wire;
