//! The envelope of a record, as Prefect writes it.
//!
//! `{"metadata": {..}, "result": "<text>"}` on one line. The text is JSON
//! where the value is JSON, so that Python reads it; else MessagePack in
//! base64, or bincode if the task says so. What Prefect has no place for stands in `metadata.flowcore`, which
//! Python skips.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

use super::json;
use crate::clock::Timestamp;
use crate::value::{Codec, CodecError, CodecTag, EncodedValue};

/// The version of Prefect whose records these are.
const PREFECT_VERSION: &str = "3.8.8";
/// Prefect's name of the codec of values that are JSON.
const JSON: &str = "json";
/// Before the names of codecs of our own, for values that are no JSON.
const OWN_CODEC: &str = "flowcore/";

/// Why a record can always be written as JSON.
const OWN_TYPES: &str = "all types are our own, with texts as keys";

/// Why a record is not believed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordProblem {
    #[error("it is cut off or no record at all")]
    Broken(#[source] serde_json::Error),
    #[error("its checksum is wrong: it was damaged")]
    Checksum,
    #[error("it holds a `{found}` and not a `{wanted}`")]
    Type { found: String, wanted: &'static str },
    #[error("it is coded as `{found}`, which is not read here")]
    Codec { found: String },
    #[error("its value is no valid base64")]
    Base64(#[source] base64::DecodeError),
    #[error("its value is no valid JSON")]
    Json(#[source] serde_json::Error),
    #[error("its expiration is no time: `{0}`")]
    Expiration(String),
    #[error("its value does not fit")]
    Value(#[source] CodecError),
}

/// A record as it lies in a store.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    metadata: RecordMetadata,
    result: String,
}

/// What a record says of itself beside its value.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RecordMetadata {
    #[serde(default)]
    storage_key: Option<String>,
    #[serde(default)]
    expiration: Option<String>,
    serializer: SerializerFacts,
    #[serde(default)]
    prefect_version: Option<String>,
    #[serde(default)]
    storage_block_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    flowcore: Option<OwnMetadata>,
}

/// Prefect's name for a codec, with the fields that its JSON has.
#[derive(Debug, Serialize, Deserialize)]
struct SerializerFacts {
    r#type: String,
    #[serde(flatten)]
    more: serde_json::Map<String, serde_json::Value>,
}

/// What Prefect has no place for.
#[derive(Debug, Serialize, Deserialize)]
struct OwnMetadata {
    version: String,
    /// The task whose run wrote it; of a record by hand there is none.
    #[serde(default)]
    task: Option<String>,
    r#type: String,
    /// Of the text in `result`.
    checksum: String,
    created: String,
}

/// What a writer says of a record beside its value.
#[derive(Debug)]
pub(crate) struct Label<'a> {
    /// Where the record will lie, as Prefect names it.
    pub(crate) storage_key: String,
    pub(crate) task: Option<&'a str>,
    pub(crate) expires_after: Option<Duration>,
    pub(crate) now: Timestamp,
}

impl Record {
    /// The record of a value.
    pub(crate) fn of<T>(value: &EncodedValue, label: Label<'_>) -> Self {
        let text = match value.codec {
            CodecTag::MessagePack => json::text(&value.bytes).ok(),
            CodecTag::Bincode => None,
        };
        let (serializer, result) = match text {
            Some(text) => (SerializerFacts::json(), text),
            None => (
                SerializerFacts::own(value.codec),
                BASE64.encode(&value.bytes),
            ),
        };
        let expiration = label
            .expires_after
            .map(|after| (label.now + after).to_jiff().to_string());
        Self {
            metadata: RecordMetadata {
                storage_key: Some(label.storage_key),
                expiration,
                serializer,
                prefect_version: Some(PREFECT_VERSION.to_owned()),
                storage_block_id: None,
                flowcore: Some(OwnMetadata {
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    task: label.task.map(str::to_owned),
                    r#type: std::any::type_name::<T>().to_owned(),
                    checksum: checksum(&result),
                    created: label.now.to_jiff().to_string(),
                }),
            },
            result,
        }
    }

    /// The bytes for the store.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect(OWN_TYPES)
    }

    pub(crate) fn into_metadata(self) -> RecordMetadata {
        self.metadata
    }

    /// Reads a record and checks that it is whole.
    ///
    /// # Errors
    ///
    /// It is not.
    fn from_bytes(bytes: &[u8]) -> Result<Self, RecordProblem> {
        let record: Self = serde_json::from_slice(bytes).map_err(RecordProblem::Broken)?;
        match &record.metadata.flowcore {
            Some(own) if own.checksum != checksum(&record.result) => Err(RecordProblem::Checksum),
            _ => Ok(record),
        }
    }

    /// The value of a record's bytes and what the record says of it, unless its
    /// time is over.
    ///
    /// # Errors
    ///
    /// The record is not whole, or of another type, or of none of these codecs.
    pub(crate) fn read<T>(
        bytes: &[u8],
        codecs: &[Codec<T>],
        now: Timestamp,
    ) -> Result<Option<(T, RecordMetadata)>, RecordProblem> {
        let record = Self::from_bytes(bytes)?;
        if record.has_expired(now)? {
            return Ok(None);
        }
        let value = record.value(codecs)?;
        Ok(Some((value, record.metadata)))
    }

    /// Whether these bytes are a record whose time is not over.
    pub(crate) fn counts(bytes: &[u8], now: Timestamp) -> bool {
        let record = Self::from_bytes(bytes);
        let has_expired = record.and_then(|record| record.has_expired(now));
        has_expired.is_ok_and(|has_expired| !has_expired)
    }

    fn has_expired(&self, now: Timestamp) -> Result<bool, RecordProblem> {
        let Some(expiration) = &self.metadata.expiration else {
            return Ok(false);
        };
        let expiration: jiff::Timestamp = expiration
            .parse()
            .map_err(|_| RecordProblem::Expiration(expiration.clone()))?;
        Ok(expiration <= now.to_jiff())
    }

    /// The value.
    ///
    /// # Errors
    ///
    /// It is of another type, or of none of these codecs.
    fn value<T>(&self, codecs: &[Codec<T>]) -> Result<T, RecordProblem> {
        let wanted = std::any::type_name::<T>();
        if let Some(own) = &self.metadata.flowcore
            && own.r#type != wanted
        {
            let found = own.r#type.clone();
            return Err(RecordProblem::Type { found, wanted });
        }
        let serializer = &self.metadata.serializer;
        let tag = serializer.codec();
        let codec = codecs.iter().find(|codec| Some(codec.tag()) == tag);
        let codec = codec.ok_or_else(|| RecordProblem::Codec {
            found: serializer.r#type.clone(),
        })?;
        let bytes = if serializer.r#type == JSON {
            json::to_message_pack(&self.result).map_err(RecordProblem::Json)?
        } else {
            BASE64.decode(&self.result).map_err(RecordProblem::Base64)?
        };
        codec.decode_own(&bytes).map_err(RecordProblem::Value)
    }
}

impl RecordMetadata {
    /// What a server is told of the record: what Prefect has a place for.
    pub(crate) fn told(&self) -> serde_json::Value {
        let mut told = serde_json::to_value(self).expect(OWN_TYPES);
        if let Some(told) = told.as_object_mut() {
            told.remove("flowcore");
        }
        told
    }
}

impl SerializerFacts {
    fn json() -> Self {
        let more = serde_json::json!({
            "jsonlib": "json",
            "object_encoder": "prefect.serializers.prefect_json_object_encoder",
            "object_decoder": "prefect.serializers.prefect_json_object_decoder",
            "dumps_kwargs": {},
            "loads_kwargs": {},
        });
        Self {
            r#type: JSON.to_owned(),
            more: more.as_object().cloned().unwrap_or_default(),
        }
    }

    fn own(codec: CodecTag) -> Self {
        Self {
            r#type: format!("{OWN_CODEC}{}", codec.name()),
            more: serde_json::Map::new(),
        }
    }

    /// The codec that reads the value; JSON becomes MessagePack.
    fn codec(&self) -> Option<CodecTag> {
        if self.r#type == JSON {
            return Some(CodecTag::MessagePack);
        }
        CodecTag::from_name(self.r#type.strip_prefix(OWN_CODEC)?)
    }
}

fn checksum(text: &str) -> String {
    format!("md5:{}", hex(&Md5::digest(text)))
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_nanoseconds(seconds * 1_000_000_000)
    }

    fn record<T: Serialize + serde::de::DeserializeOwned>(value: &T) -> Record {
        let encoded = Codec::<T>::message_pack().encode(value).unwrap();
        Record::of::<T>(
            &encoded,
            Label {
                storage_key: "/s/k".into(),
                task: Some("m::f"),
                expires_after: Some(Duration::from_secs(60)),
                now: at(1_000_000_000),
            },
        )
    }

    fn read<T: Serialize + serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordProblem> {
        Record::from_bytes(bytes)?.value(&[Codec::message_pack()])
    }

    #[test]
    fn values_come_back() {
        let plain = record(&vec![("a".to_owned(), 1.5)]);
        assert_eq!(plain.metadata.serializer.r#type, "json");
        assert_eq!(plain.result, r#"[["a", 1.5]]"#);
        assert_eq!(
            read::<Vec<(String, f64)>>(&plain.to_bytes()).unwrap(),
            [("a".to_owned(), 1.5)]
        );
        let numbers: std::collections::BTreeMap<i64, f64> = [(1, f64::INFINITY)].into();
        let other = record(&numbers);
        assert_eq!(other.metadata.serializer.r#type, "flowcore/messagepack");
        assert_eq!(
            read::<std::collections::BTreeMap<i64, f64>>(&other.to_bytes()).unwrap(),
            numbers
        );
    }

    #[test]
    fn records_of_prefect_are_read() {
        let bytes = include_bytes!("testdata/task-json-serializer.json");
        let value: std::collections::BTreeMap<String, i64> = read(bytes).unwrap();
        assert_eq!(value, [("v".to_owned(), 5)].into());
        let bytes = include_bytes!("testdata/task-pickle-expiration.json");
        let record = Record::from_bytes(bytes).unwrap();
        assert!(
            matches!(read::<i64>(bytes), Err(RecordProblem::Codec { found }) if found == "pickle")
        );
        // 2026-11-23T15:41:51.937835Z
        assert!(!record.has_expired(at(1_795_448_511)).unwrap());
        assert!(record.has_expired(at(1_795_448_512)).unwrap());
    }

    #[test]
    fn our_json_record_has_the_fields_of_prefect_s() {
        let ours: serde_json::Value = serde_json::from_slice(&record(&5).to_bytes()).unwrap();
        let theirs: serde_json::Value =
            serde_json::from_slice(include_bytes!("testdata/task-json-serializer.json")).unwrap();
        let (ours, theirs) = (&ours["metadata"], &theirs["metadata"]);
        assert_eq!(ours["serializer"], theirs["serializer"]);
        for field in theirs.as_object().unwrap().keys() {
            assert!(ours.get(field).is_some(), "{field}");
        }
        let told = record(&5).into_metadata().told();
        let fields = |object: &serde_json::Value| -> Vec<String> {
            object.as_object().unwrap().keys().cloned().collect()
        };
        assert_eq!(fields(&told), fields(theirs));
        assert_eq!(ours["expiration"], "2001-09-09T01:47:40Z");
    }

    #[test]
    fn a_record_cut_anywhere_is_refused() {
        let bytes = record(&"value".to_owned()).to_bytes();
        for cut in 0..bytes.len() {
            assert!(Record::from_bytes(&bytes[..cut]).is_err());
        }
    }

    #[test]
    fn damage_and_other_types_are_found() {
        let text = String::from_utf8(record(&41_i64).to_bytes()).unwrap();
        let damaged = text.replace(r#""result":"41""#, r#""result":"42""#);
        assert_ne!(damaged, text);
        assert!(matches!(
            read::<i64>(damaged.as_bytes()),
            Err(RecordProblem::Checksum)
        ));
        assert!(matches!(
            read::<u8>(text.as_bytes()),
            Err(RecordProblem::Type { .. })
        ));
    }
}
