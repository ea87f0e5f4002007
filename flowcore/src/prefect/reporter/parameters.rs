//! A flow's arguments as JSON.

use serde_json::{Map, Value};

use super::names::short_type_name;
use crate::records::{PackedParameters, Unstable, json_text, stable_json};

/// A server refuses more.
const BYTES_AT_MOST: usize = 500_000;

/// What a server is told of a flow's arguments: a value that JSON cannot say,
/// and one that is too large, is its type's name, `"<Reading>"`.
pub(crate) fn parameters(packed: &PackedParameters) -> Value {
    let mut left = BYTES_AT_MOST;
    let entries = packed.iter().map(|(name, packed)| {
        let value = match packed {
            Ok(bytes) => json(bytes, left).unwrap_or_else(|| angled("value")),
            Err(Unstable::NotSerializable(kind)) | Err(Unstable::Local(kind)) => {
                angled(&short_type_name(kind))
            }
            Err(_) => angled("value"),
        };
        left = left.saturating_sub(packed.as_ref().map_or(0, Vec::len));
        ((*name).to_owned(), value)
    });
    Value::Object(entries.collect::<Map<_, _>>())
}

fn json(bytes: &[u8], most: usize) -> Option<Value> {
    if bytes.len() > most {
        return Some(angled(&format!("{} bytes", bytes.len())));
    }
    let text = json_text(bytes).or_else(|_| stable_json(bytes)).ok()?;
    serde_json::from_str(&text).ok()
}

fn angled(text: &str) -> Value {
    Value::String(format!("<{text}>"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_json_is_told_by_its_type() {
        let packed = vec![
            ("n", Ok(rmp_serde::to_vec_named(&4).unwrap())),
            ("who", Ok(rmp_serde::to_vec_named("marvin").unwrap())),
            (
                "table",
                Err(Unstable::NotSerializable("my::io::Table<my::Row>")),
            ),
            ("large", Ok(vec![0; BYTES_AT_MOST + 1])),
        ];
        assert_eq!(
            parameters(&packed),
            json!({"n": 4, "who": "marvin", "table": "<Table<Row>>", "large": "<500001 bytes>"})
        );
    }
}
