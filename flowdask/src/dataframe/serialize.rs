//! Frames and tables as values of tasks: a table travels as Arrow IPC, a frame does not travel.

use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::ipc::reader::StreamReader;
use datafusion::arrow::ipc::writer::StreamWriter;
use serde::de::Error as _;
use serde::ser::{Error as _, SerializeStruct};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::frame::DataFrame;
use super::table::Table;

const LOCAL: &str = "a data frame lives in the memory of the process that made it and cannot be serialized: \
     mark the task that takes or returns it as local, `#[task(local)]`, or compute a table and pass that";

impl Serialize for DataFrame {
    /// Always refuses, with an error that says the cure.
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom(LOCAL))
    }
}

impl<'de> Deserialize<'de> for DataFrame {
    /// Always refuses, with an error that says the cure.
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom(LOCAL))
    }
}

impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        let written = StreamWriter::try_new(&mut bytes, self.schema()).and_then(|mut writer| {
            self.batches()
                .iter()
                .try_for_each(|batch| writer.write(batch))?;
            writer.finish()
        });
        written.map_err(S::Error::custom)?;
        let mut table = serializer.serialize_struct("Table", 2)?;
        table.serialize_field("index", self.index())?;
        table.serialize_field("arrow", &Ipc(bytes))?;
        table.end()
    }
}

impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Parts {
            index: Vec<String>,
            arrow: Ipc,
        }
        let parts = Parts::deserialize(deserializer)?;
        let reader =
            StreamReader::try_new(parts.arrow.0.as_slice(), None).map_err(D::Error::custom)?;
        let schema = reader.schema();
        let batches = reader
            .collect::<Result<Vec<_>, _>>()
            .map_err(D::Error::custom)?;
        let schema = if batches.is_empty() {
            schema
        } else {
            Arc::new(Schema::clone(&batches[0].schema()))
        };
        Ok(Table::new(schema, batches, parts.index))
    }
}

/// Bytes that codecs with a form for bytes keep as such.
struct Ipc(Vec<u8>);

impl Serialize for Ipc {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Ipc {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Ipc;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a table as Arrow IPC")
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Ipc, E> {
                Ok(Ipc(bytes.to_vec()))
            }

            fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Ipc, E> {
                Ok(Ipc(bytes))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut items: A,
            ) -> Result<Ipc, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = items.next_element()? {
                    bytes.push(byte);
                }
                Ok(Ipc(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Visitor)
    }
}
