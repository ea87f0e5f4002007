//! Values as the JSON text that Python writes.
//!
//! Values come as MessagePack, which every serializable value becomes anyway,
//! so nothing here is compiled once per type. [`text`] is for records: what
//! JSON cannot say exactly is refused. [`stable_text`] is for keys: sorted
//! maps, as `json.dumps(.., sort_keys=True)` does.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rmpv::Value;

/// What a value has that its JSON text would not say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotJson {
    #[error("it holds {0}, which JSON cannot say")]
    Holds(&'static str),
    #[error("it holds a map with keys of several types, which have no order")]
    MixedKeys,
    #[error("it is not MessagePack: {0}")]
    Broken(String),
}

/// The names that Python's reader takes for types of its own.
const RESERVED: [&str; 2] = ["__class__", "__exc_type__"];

/// The text of a record: reading it gives the same value again.
///
/// # Errors
///
/// JSON cannot say the value, or Python would read another one.
pub(crate) fn text(message_pack: &[u8]) -> Result<String, NotJson> {
    let mut out = String::new();
    write(&parse(message_pack)?, Style::Exact, &mut out)?;
    Ok(out)
}

/// The text of a key: one text for one value, whatever the order of its maps.
///
/// # Errors
///
/// The value has no such text.
pub(crate) fn stable_text(message_pack: &[u8]) -> Result<String, NotJson> {
    let mut out = String::new();
    write(&parse(message_pack)?, Style::Stable, &mut out)?;
    Ok(out)
}

/// The MessagePack of a JSON text; Python's extended types become their data.
///
/// # Errors
///
/// The text is no JSON.
pub(crate) fn to_message_pack(text: &str) -> Result<Vec<u8>, serde_json::Error> {
    let value: serde_json::Value = serde_json::from_str(text)?;
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, &unpacked(value)).expect("a vector takes all bytes");
    Ok(bytes)
}

fn parse(message_pack: &[u8]) -> Result<Value, NotJson> {
    let mut bytes = message_pack;
    let value =
        rmpv::decode::read_value(&mut bytes).map_err(|error| NotJson::Broken(error.to_string()))?;
    if !bytes.is_empty() {
        return Err(NotJson::Broken(format!("{} more bytes", bytes.len())));
    }
    Ok(value)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Exact,
    Stable,
}

fn write(value: &Value, style: Style, out: &mut String) -> Result<(), NotJson> {
    match value {
        Value::Nil => out.push_str("null"),
        Value::Boolean(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Integer(value) => {
            let _ = write!(out, "{value}");
        }
        Value::F32(value) => float(f64::from(*value), || format!("{value:e}"), style, out)?,
        Value::F64(value) => float(*value, || format!("{value:e}"), style, out)?,
        Value::String(text) => {
            let text = text
                .as_str()
                .ok_or(NotJson::Holds("text that is no UTF-8"))?;
            quote(text, out);
        }
        Value::Array(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                write(value, style, out)?;
            }
            out.push(']');
        }
        Value::Map(entries) => map(entries, style, out)?,
        Value::Binary(bytes) if style == Style::Stable => {
            out.push_str("{\"__class__\": \"builtins.bytes\", \"data\": ");
            match std::str::from_utf8(bytes) {
                Ok(text) => quote(text, out),
                Err(_) => quote(&BASE64.encode(bytes), out),
            }
            out.push('}');
        }
        Value::Binary(_) => return Err(NotJson::Holds("bytes")),
        Value::Ext(..) => return Err(NotJson::Holds("an extension type")),
    }
    Ok(())
}

fn map(entries: &[(Value, Value)], style: Style, out: &mut String) -> Result<(), NotJson> {
    let mut entries: Vec<_> = entries.iter().collect();
    if style == Style::Stable {
        let first = entries.first().map(|(key, _)| kind(key));
        if entries.iter().any(|(key, _)| Some(kind(key)) != first) {
            return Err(NotJson::MixedKeys);
        }
        entries.sort_by(|(left, _), (right, _)| order(left, right));
    }
    out.push('{');
    for (index, (key, value)) in entries.into_iter().enumerate() {
        out.push_str(if index == 0 { "" } else { ", " });
        match key.as_str() {
            Some(key) if style == Style::Exact && RESERVED.contains(&key) => {
                return Err(NotJson::Holds("a key that Python takes for a type"));
            }
            Some(key) => quote(key, out),
            // Python writes a number as a text too, but readers would not get
            // the number back.
            None if style == Style::Exact => return Err(NotJson::Holds("a key that is no text")),
            None => match key {
                Value::Array(_) | Value::Map(_) | Value::Binary(_) | Value::Ext(..) => {
                    return Err(NotJson::Holds("a key that is neither text nor a number"));
                }
                key => {
                    out.push('"');
                    write(key, style, out)?;
                    out.push('"');
                }
            },
        }
        out.push_str(": ");
        write(value, style, out)?;
    }
    out.push('}');
    Ok(())
}

/// Keys of one kind can be ordered.
fn kind(key: &Value) -> u8 {
    match key {
        Value::String(_) => 0,
        Value::Integer(_) => 1,
        Value::F32(_) | Value::F64(_) => 2,
        Value::Boolean(_) => 3,
        Value::Nil => 4,
        _ => 5,
    }
}

fn order(left: &Value, right: &Value) -> std::cmp::Ordering {
    match (left, right) {
        // The order of UTF-8 is that of code points, which is Python's.
        (Value::String(left), Value::String(right)) => left.as_bytes().cmp(right.as_bytes()),
        (Value::Integer(left), Value::Integer(right)) => {
            let wide = |value: &rmpv::Integer| {
                let signed = value.as_i64().map(i128::from);
                signed.or_else(|| value.as_u64().map(i128::from))
            };
            wide(left).cmp(&wide(right))
        }
        (Value::Boolean(left), Value::Boolean(right)) => left.cmp(right),
        (left, right) => left
            .as_f64()
            .unwrap_or_default()
            .total_cmp(&right.as_f64().unwrap_or_default()),
    }
}

/// A number as Python's `repr` writes it: the shortest digits, an exponent
/// below 1e-4 and from 1e16 on.
fn float(
    value: f64,
    scientific: impl FnOnce() -> String,
    style: Style,
    out: &mut String,
) -> Result<(), NotJson> {
    if !value.is_finite() {
        if style == Style::Exact {
            return Err(NotJson::Holds("a number that is not finite"));
        }
        out.push_str(match value {
            value if value.is_nan() => "NaN",
            value if value > 0.0 => "Infinity",
            _ => "-Infinity",
        });
        return Ok(());
    }
    let scientific = scientific();
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(mantissa) => ("-", mantissa),
        None => ("", mantissa),
    };
    out.push_str(sign);
    if !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "{mantissa}e{sign}{:02}", exponent.abs());
        return Ok(());
    }
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    // Where the point stands, counted from the first digit.
    let point = exponent + 1;
    match usize::try_from(point) {
        Ok(point) if point >= digits.len() => {
            let _ = write!(out, "{digits}{}.0", "0".repeat(point - digits.len()));
        }
        Ok(point) if point > 0 => {
            let _ = write!(out, "{}.{}", &digits[..point], &digits[point..]);
        }
        _ => {
            let zeros = "0".repeat(point.unsigned_abs() as usize);
            let _ = write!(out, "0.{zeros}{digits}");
        }
    }
    Ok(())
}

/// A text in quotes, everything beyond ASCII escaped.
pub(crate) fn quote(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(letter),
            _ => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

/// `{"__class__": "datetime.datetime", "data": ..}` is its data.
fn unpacked(value: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match value {
        Json::Null => Value::Nil,
        Json::Bool(value) => value.into(),
        Json::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(value), _) => value.into(),
            (None, Some(value)) => value.into(),
            (None, None) => number.as_f64().unwrap_or(f64::NAN).into(),
        },
        Json::String(text) => text.into(),
        Json::Array(values) => Value::Array(values.into_iter().map(unpacked).collect()),
        Json::Object(mut entries) => match entries.remove("data") {
            Some(data) if entries.len() == 1 && entries.contains_key("__class__") => unpacked(data),
            data => {
                entries.extend(data.map(|data| ("data".to_owned(), data)));
                let entries = entries.into_iter();
                Value::Map(
                    entries
                        .map(|(key, value)| (key.into(), unpacked(value)))
                        .collect(),
                )
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, HashMap};

    fn packed(value: &impl serde::Serialize) -> Vec<u8> {
        rmp_serde::to_vec_named(value).unwrap()
    }

    fn written(value: &impl serde::Serialize) -> String {
        text(&packed(value)).unwrap()
    }

    #[test]
    fn floats_are_written_as_in_python() {
        // The right side was printed by Python's `json.dumps`.
        for (value, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (2.5, "2.5"),
            (-123.456, "-123.456"),
            (0.1, "0.1"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.25e22, "1.25e+22"),
            (1e100, "1e+100"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (123_456_789.125, "123456789.125"),
        ] {
            assert_eq!(written(&value), expected);
        }
        assert_eq!(written(&0.1_f32), "0.1");
    }

    #[test]
    fn texts_are_escaped_as_in_python() {
        assert_eq!(
            written(&"ü\"\\\n\u{1}\u{7f}😀/"),
            r#""\u00fc\"\\\n\u0001\u007f\ud83d\ude00/""#
        );
    }

    #[test]
    fn maps_are_sorted_for_keys_alone() {
        let map: HashMap<i64, bool> = (0..20).map(|i| (i, i % 2 == 0)).collect();
        let sorted: BTreeMap<i64, bool> = map.iter().map(|(k, v)| (*k, *v)).collect();
        assert_eq!(
            stable_text(&packed(&map)).unwrap(),
            stable_text(&packed(&sorted)).unwrap()
        );
        assert!(
            stable_text(&packed(&map))
                .unwrap()
                .starts_with("{\"0\": true, \"1\": false")
        );
        assert_eq!(
            text(&packed(&map)),
            Err(NotJson::Holds("a key that is no text"))
        );
        let tuples: BTreeMap<(i64, i64), i64> = [((1, 2), 3)].into();
        assert!(stable_text(&packed(&tuples)).is_err());
    }

    #[test]
    fn what_json_cannot_say_is_refused() {
        assert!(text(&packed(&f64::NAN)).is_err());
        assert_eq!(
            stable_text(&packed(&f64::NEG_INFINITY)).unwrap(),
            "-Infinity"
        );
        let python: BTreeMap<&str, i64> = [("__class__", 1)].into();
        assert!(text(&packed(&python)).is_err());
        assert!(text(&[0xc4, 1, 7]).is_err());
        assert!(text(&[0x92, 1]).is_err());
        assert!(text(&[1, 1]).is_err());
    }

    #[test]
    fn texts_are_read_back() {
        #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        enum Shape {
            Point,
            Circle { radius: f64 },
            Named(String, Option<u8>),
        }
        let value = vec![
            Shape::Point,
            Shape::Circle { radius: 2.0 },
            Shape::Named("ü".into(), None),
        ];
        let bytes = to_message_pack(&written(&value)).unwrap();
        assert_eq!(rmp_serde::from_slice::<Vec<Shape>>(&bytes).unwrap(), value);
    }

    #[test]
    fn extended_types_of_python_are_their_data() {
        let text = r#"{"at": {"__class__": "datetime.datetime", "data": "2026-01-02T03:04:05Z"},
                       "data": 3}"#;
        let bytes = to_message_pack(text).unwrap();
        let map: BTreeMap<String, serde_json::Value> = rmp_serde::from_slice(&bytes).unwrap();
        assert_eq!(map["at"], "2026-01-02T03:04:05Z");
        assert_eq!(map["data"], 3);
    }
}
