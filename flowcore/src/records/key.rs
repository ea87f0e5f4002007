//! Keys: texts that are equal for runs that are the same.
//!
//! A key is the MD5 of the text that Python's `json.dumps` would write, so
//! that it is one on every machine, with every compiler and in both languages.

use md5::{Digest, Md5};
use uuid::Uuid;

use super::json::{self, NotJson};
use super::policy::{CachePart, CachePolicy};
use super::record::hex;
use crate::value::{Codec, CodecError};

/// Why a value has no text that is always the same.
#[doc(hidden)]
#[derive(Debug, thiserror::Error)]
pub enum Unstable {
    #[error("a `{0}` of a local task is never written down")]
    Local(&'static str),
    #[error("`{0}` is not `Serialize`")]
    NotSerializable(&'static str),
    #[error("{0}")]
    Codec(#[from] CodecError),
    #[error("{0}")]
    Text(String),
    #[error(
        "it comes back in another order, as a `HashSet` does; a `BTreeSet` has an order of its own"
    )]
    Unordered,
}

impl From<NotJson> for Unstable {
    fn from(reason: NotJson) -> Self {
        Self::Text(reason.to_string())
    }
}

/// The text of an argument.
pub(crate) fn stable_text<T>(value: &T, codec: Option<&Codec<T>>) -> Result<String, Unstable> {
    let codec = codec.ok_or(Unstable::Local(std::any::type_name::<T>()))?;
    of_bytes(&codec.encode(value)?.bytes, codec)
}

/// The text of an argument that is a loan: its type and the stored type are
/// coded alike.
pub(crate) fn stable_text_of_loan<T>(
    packed: Result<Vec<u8>, Unstable>,
    codec: Option<&Codec<T>>,
) -> Result<String, Unstable> {
    let codec = codec.ok_or(Unstable::Local(std::any::type_name::<T>()))?;
    of_bytes(&packed?, codec)
}

/// Arguments are MessagePack, whatever the codec of the task's results.
fn of_bytes<T>(bytes: &[u8], codec: &Codec<T>) -> Result<String, Unstable> {
    let text = json::stable_text(bytes)?;
    // A set that hashes has the same elements in another order every time it
    // is made. In its bytes it looks like a list, so it is made once more.
    let again = codec.decode_own(bytes)?;
    let again = json::stable_text(&codec.encode(&again)?.bytes)?;
    if again == text {
        Ok(text)
    } else {
        Err(Unstable::Unordered)
    }
}

/// `hash_objects(..)`: the MD5 of `[[a, b], {}]`.
pub(crate) fn hash(texts: &[String]) -> String {
    hex(&Md5::digest(format!("[[{}], {{}}]", texts.join(", "))))
}

/// A JSON object of these entries, sorted by name.
pub(crate) fn object(mut entries: Vec<(&str, String)>) -> String {
    entries.sort_unstable();
    let mut text = String::from("{");
    for (index, (name, value)) in entries.iter().enumerate() {
        text.push_str(if index == 0 { "" } else { ", " });
        json::quote(name, &mut text);
        text.push_str(": ");
        text.push_str(value);
    }
    text.push('}');
    text
}

/// What a key is made of.
pub(crate) struct KeyFacts<'a> {
    pub(crate) parameters: &'static [&'static str],
    /// The text of the argument at an index.
    pub(crate) input: &'a dyn Fn(usize) -> Result<String, Unstable>,
    pub(crate) fingerprint: u64,
    pub(crate) run_id: Uuid,
    /// The flow's arguments as a JSON object; outside of flows there are none.
    pub(crate) flow_parameters: Result<Option<&'a str>, &'a str>,
}

/// Why there is no key though the policy wants one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoKey {
    #[error(
        "argument `{name}` has no stable form: {reason}; leave it out (`INPUTS - \"{name}\"`), or \
         give the task a `cache_key`"
    )]
    Argument {
        name: &'static str,
        reason: Unstable,
    },
    #[error("the flow's arguments have no stable form: {0}")]
    FlowParameters(String),
}

/// The key of a run; none if the policy has nothing to make one of.
///
/// # Errors
///
/// A value has no stable form.
pub(crate) fn compute(policy: &CachePolicy, facts: &KeyFacts<'_>) -> Result<Option<String>, NoKey> {
    let mut keys = Vec::new();
    for part in policy.parts() {
        keys.extend(part_key(*part, policy, facts)?);
    }
    if !policy.is_sum() {
        return Ok(keys.pop());
    }
    let quoted = keys.iter().map(|key| {
        let mut text = String::new();
        json::quote(key, &mut text);
        text
    });
    let quoted: Vec<_> = quoted.collect();
    Ok((!quoted.is_empty()).then(|| hash(&quoted)))
}

fn part_key(
    part: CachePart,
    policy: &CachePolicy,
    facts: &KeyFacts<'_>,
) -> Result<Option<String>, NoKey> {
    Ok(match part {
        CachePart::RunId => Some(facts.run_id.to_string()),
        CachePart::TaskSource => Some(hash(&[format!("\"{:016x}\"", facts.fingerprint)])),
        CachePart::FlowParameters => facts
            .flow_parameters
            .map_err(|reason| NoKey::FlowParameters(reason.to_owned()))?
            .filter(|text| *text != "{}")
            .map(|text| hash(&[text.to_owned()])),
        CachePart::Inputs if facts.parameters.is_empty() => None,
        CachePart::Inputs => {
            let mut inputs = Vec::new();
            for (index, name) in facts.parameters.iter().enumerate() {
                if policy.excluded().contains(name) {
                    continue;
                }
                let text =
                    (facts.input)(index).map_err(|reason| NoKey::Argument { name, reason })?;
                inputs.push((*name, text));
            }
            Some(hash(&[object(inputs)]))
        }
    })
}

/// What a `cache_key` function may return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no cache key",
    label = "a `cache_key` function returns `String`, `&str`, an `Option` or a `Result` of one"
)]
pub trait IntoCacheKey {
    /// The key; `None` for a run that shall not be cached.
    ///
    /// # Errors
    ///
    /// The text of what went wrong.
    fn into_cache_key(self) -> Result<Option<String>, String>;
}

impl IntoCacheKey for String {
    fn into_cache_key(self) -> Result<Option<String>, String> {
        Ok(Some(self))
    }
}

impl IntoCacheKey for &str {
    fn into_cache_key(self) -> Result<Option<String>, String> {
        Ok(Some(self.to_owned()))
    }
}

impl<K: IntoCacheKey> IntoCacheKey for Option<K> {
    fn into_cache_key(self) -> Result<Option<String>, String> {
        self.map_or(Ok(None), IntoCacheKey::into_cache_key)
    }
}

impl<K: IntoCacheKey, E: std::fmt::Display> IntoCacheKey for Result<K, E> {
    fn into_cache_key(self) -> Result<Option<String>, String> {
        self.map_err(|error| error.to_string())?.into_cache_key()
    }
}

#[cfg(test)]
mod tests {
    use super::super::policy::{DEFAULT, FLOW_PARAMETERS, INPUTS, NO_CACHE, RUN_ID, TASK_SOURCE};
    use super::*;
    use std::collections::{HashMap, HashSet};

    fn text<T: serde::Serialize + serde::de::DeserializeOwned>(
        value: &T,
    ) -> Result<String, Unstable> {
        stable_text(value, Some(&Codec::message_pack()))
    }

    fn key(
        policy: &CachePolicy,
        parameters: &'static [&'static str],
        input: &dyn Fn(usize) -> Result<String, Unstable>,
    ) -> Option<String> {
        let facts = KeyFacts {
            parameters,
            input,
            fingerprint: 0xab,
            run_id: Uuid::from_u128(7),
            flow_parameters: Ok(Some("{\"n\": 4}")),
        };
        compute(policy, &facts).unwrap()
    }

    #[test]
    fn keys_are_those_of_prefect() {
        // Prefect 3.8.8 named its files so.
        assert_eq!(
            key(&INPUTS, &["x"], &|_| text(&7)).as_deref(),
            Some("a0b1453d797fef926b779c8862615e8c")
        );
        let several = |index| match index {
            0 => text(&"ü".to_owned()),
            _ => text(&(1, 2.5, (), true)),
        };
        assert_eq!(
            key(&INPUTS, &["b", "a"], &several).as_deref(),
            Some("9d699ce03e1016c77c348c2f256951ad")
        );
        assert_eq!(
            hash(&["\"k1\"".to_owned(), "\"k2\"".to_owned()]),
            "ba45fa969bb2acdcf6c5b1b8f07410eb"
        );
    }

    #[test]
    fn policies_differ_in_what_they_look_at() {
        let none = |_| Err(Unstable::Unordered);
        assert_eq!(key(&NO_CACHE, &["x"], &none), None);
        assert_eq!(key(&INPUTS, &[], &none), None);
        assert_eq!(
            key(&RUN_ID, &["x"], &none).as_deref(),
            Some("00000000-0000-0000-0000-000000000007")
        );
        assert_eq!(
            key(&FLOW_PARAMETERS, &["x"], &none),
            Some(hash(&["{\"n\": 4}".to_owned()]))
        );
        let source = key(&TASK_SOURCE, &["x"], &none).unwrap();
        let sum = key(&(TASK_SOURCE + RUN_ID), &[], &none).unwrap();
        assert_eq!(key(&DEFAULT, &[], &none), Some(sum.clone()));
        assert_ne!(source, sum);
        // The excluded argument is not even looked at.
        let one = |index| match index {
            0 => text(&1),
            _ => Err(Unstable::Unordered),
        };
        assert_eq!(
            key(&(INPUTS - "y"), &["x", "y"], &one),
            key(&INPUTS, &["x"], &one)
        );
    }

    #[test]
    fn values_without_an_order_have_no_key() {
        let map: HashMap<String, u8> = (0..50).map(|i| (i.to_string(), i)).collect();
        assert!(text(&map).is_ok());
        let set: HashSet<u8> = (0..50).collect();
        assert!(matches!(text(&vec![set]), Err(Unstable::Unordered)));
        assert!(matches!(
            stable_text(&1, None::<&Codec<i32>>),
            Err(Unstable::Local(_))
        ));
        let reason = text(&(0..50).collect::<HashSet<u8>>()).unwrap_err();
        let error = NoKey::Argument { name: "x", reason };
        assert!(error.to_string().contains("`INPUTS - \"x\"`"), "{error}");
    }

    #[test]
    fn loans_have_the_key_of_what_they_lend() {
        let packed = Ok(rmp_serde::to_vec_named(&[1.5][..]).unwrap());
        let loan = stable_text_of_loan(packed, Some(&Codec::<Vec<f64>>::message_pack()));
        assert_eq!(loan.unwrap(), text(&vec![1.5]).unwrap());
    }

    #[test]
    fn key_functions_may_decline_or_fail() {
        assert_eq!("k".into_cache_key(), Ok(Some("k".to_owned())));
        assert_eq!(None::<String>.into_cache_key(), Ok(None));
        let failed: Result<String, std::num::ParseIntError> = "x".parse::<u8>().map(|_| "k".into());
        assert!(
            failed
                .into_cache_key()
                .unwrap_err()
                .contains("invalid digit")
        );
    }
}
