//! Keys that this server does not know: servers refuse them, each version
//! others. What one refused once is left out from then on, so that versions
//! nobody tried work as far as they can. Source: `api.md` 2.4, 36.

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;
use serde_json::Value;

/// For each kind of request, the places of keys to leave out.
#[derive(Debug, Default)]
pub(super) struct Forbidden(HashMap<String, BTreeSet<Vec<String>>>);

#[derive(Deserialize)]
struct Refusal {
    /// As FastAPI calls it, and as Prefect's own servers do.
    #[serde(alias = "exception_detail")]
    detail: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    #[serde(rename = "type")]
    kind: String,
    loc: Vec<Value>,
}

impl Forbidden {
    /// Leaves out what the server is known to refuse.
    pub(super) fn strip(&self, path: &str, body: &mut Value) {
        for place in self.0.get(&kind(path)).into_iter().flatten() {
            remove(body, place);
        }
    }

    /// Learns from a refusal; whether the body is another one now, and worth
    /// a try.
    pub(super) fn learn(&mut self, path: &str, text: &str, body: &mut Value) -> bool {
        let Ok(refusal) = serde_json::from_str::<Refusal>(text) else {
            return false;
        };
        let all_are_unknown = refusal
            .detail
            .iter()
            .all(|reason| is_unknown_key(&reason.kind));
        if !all_are_unknown {
            return false;
        }
        let mut has_changed = false;
        for reason in refusal.detail {
            let place: Vec<_> = reason.loc.iter().skip(1).map(part).collect();
            if !remove(body, &place) {
                continue;
            }
            has_changed = true;
            tracing::debug!(
                target: "flowcore::prefect",
                "{path}: this Prefect server does not know `{}`: it is left out",
                place.join(".")
            );
            self.0.entry(kind(path)).or_default().insert(place);
        }
        has_changed
    }
}

/// What servers call a key that they do not know; those of 2.x have an older
/// library.
pub(super) fn is_unknown_key(kind: &str) -> bool {
    matches!(kind, "extra_forbidden" | "value_error.extra")
}

fn part(part: &Value) -> String {
    match part {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The path without what names one thing of many.
fn kind(path: &str) -> String {
    let parts = path.split('/').map(|part| {
        if uuid::Uuid::try_parse(part).is_ok() {
            "{id}"
        } else {
            part
        }
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Takes out a key; whether it was there.
fn remove(body: &mut Value, place: &[String]) -> bool {
    let Some((last, before)) = place.split_last() else {
        return false;
    };
    let mut inner = body;
    for part in before {
        let at = format!("/{}", part.replace('~', "~0").replace('/', "~1"));
        // Unions have the name of a variant among the places.
        if inner.pointer(&at).is_none() {
            continue;
        }
        let Some(next) = inner.pointer_mut(&at) else {
            return false;
        };
        inner = next;
    }
    inner
        .as_object_mut()
        .is_some_and(|fields| fields.remove(last).is_some())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_refused_once_is_left_out() {
        let mut forbidden = Forbidden::default();
        let full = json!({"name": "a", "labels": {}, "items": [{"slug": 1, "x": 2}]});
        let mut body = full.clone();
        let text = r#"{"exception_message":"Invalid request received.","exception_detail":[
            {"type":"extra_forbidden","loc":["body","labels"],"msg":"no"},
            {"type":"value_error.extra","loc":["body","items",0,"slug"],"msg":"no"}]}"#;
        let path = "/flows/01a208da-5a0f-7492-8000-000000000000/x";
        assert!(forbidden.learn(path, text, &mut body));
        assert_eq!(body, json!({"name": "a", "items": [{"x": 2}]}));
        // Said again, it changes nothing, so nobody tries for ever.
        assert!(!forbidden.learn(path, text, &mut body));

        let mut other = full.clone();
        forbidden.strip("/flows/99a208da-5a0f-7492-8000-000000000000/x", &mut other);
        assert_eq!(other, body);
        let mut elsewhere = full.clone();
        forbidden.strip("/flows/", &mut elsewhere);
        assert_eq!(elsewhere, full);
    }

    #[test]
    fn other_refusals_are_not_for_us_to_cure() {
        let mut forbidden = Forbidden::default();
        let mut body = json!({"labels": {}, "n": "x"});
        let text = r#"{"detail":[
            {"type":"extra_forbidden","loc":["body","labels"],"msg":"no"},
            {"type":"int_parsing","loc":["body","n"],"msg":"no"}]}"#;
        assert!(!forbidden.learn("/x", text, &mut body));
        assert!(!forbidden.learn("/x", "oops", &mut body));
        assert_eq!(body["labels"], json!({}));
    }
}
