//! `--param day=monday`: parameters as people write them.
//!
//! A text is JSON if the parameter's type takes it so, else a text: nobody has
//! to quote `monday`, and the id `007` of a `String` stays what it is.

use clap::{Arg, ArgAction, ArgMatches};
use serde_json::{Map, Value};

use crate::definition::Definition;
use crate::error::{Error, Result};

pub(super) fn arguments() -> [Arg; 2] {
    [
        Arg::new("param")
            .long("param")
            .short('p')
            .value_name("NAME=VALUE")
            .action(ArgAction::Append)
            .help("A parameter: JSON or a plain text; may be given again for others"),
        Arg::new("params")
            .long("params")
            .value_name("JSON")
            .help("Parameters as one JSON object; `--param` goes before it"),
    ]
}

/// The parameters of a command, as a JSON object.
pub(super) fn read(flow: &dyn Definition, given: &ArgMatches) -> Result<Value> {
    let object = given.get_one::<String>("params");
    let single = given.get_many::<String>("param").into_iter().flatten();
    of_texts(flow, object.map(String::as_str), single.map(String::as_str))
}

pub(crate) fn of_texts<'a>(
    flow: &dyn Definition,
    object: Option<&str>,
    single: impl Iterator<Item = &'a str>,
) -> Result<Value> {
    let mut parameters = match object {
        None => Map::new(),
        Some(text) => serde_json::from_str(text).map_err(|error| {
            Error::invalid(format!(
                "`--params` wants a JSON object such as `{{\"day\": \"monday\"}}`: {error}"
            ))
        })?,
    };
    let mut seen = Vec::new();
    for text in single {
        let Some((name, value)) = text.split_once('=') else {
            return Err(Error::invalid(format!(
                "`--param {text}` has no value: write `--param {text}=VALUE`"
            )));
        };
        if seen.contains(&name) {
            return Err(Error::invalid(format!(
                "`--param {name}=..` is given twice: a list is one value, `--param {name}='[1, 2]'`"
            )));
        }
        seen.push(name);
        parameters.insert(name.to_owned(), value_of(flow, name, value));
    }
    Ok(parameters.into())
}

/// The text as JSON, unless only the plain text fits.
fn value_of(flow: &dyn Definition, name: &str, text: &str) -> Value {
    let plain = Value::from(text);
    let Ok(json) = serde_json::from_str::<Value>(text) else {
        return plain;
    };
    if flow.takes(name, &json) || !flow.takes(name, &plain) {
        json
    } else {
        plain
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::of_texts;
    use crate::prelude::*;

    #[flow]
    async fn nightly(day: String, limit: Option<u32>, sizes: Vec<u8>, any: serde_json::Value) {
        let _ = (day, limit, sizes, any);
    }

    #[test]
    fn texts_become_what_the_parameter_takes() {
        let given = [
            "day=007",
            "limit=3",
            "sizes=[1, 2]",
            "any=x=y",
            "none={\"a\": 1}",
        ];
        let read = of_texts(&nightly, None, given.into_iter()).unwrap();
        let expected = json!({
            "day": "007", "limit": 3, "sizes": [1, 2], "any": "x=y", "none": {"a": 1},
        });
        assert_eq!(read, expected);
        let read = of_texts(
            &nightly,
            Some(r#"{"day": "a", "limit": 1}"#),
            ["day=b"].into_iter(),
        );
        assert_eq!(read.unwrap(), json!({"day": "b", "limit": 1}));
    }

    #[test]
    fn what_does_not_fit_stays_as_it_is_for_the_message() {
        let read = of_texts(&nightly, None, ["limit=many", "sizes=7"].into_iter()).unwrap();
        assert_eq!(read, json!({"limit": "many", "sizes": 7}));
    }

    #[test]
    fn mistakes_say_the_cure() {
        for (object, single, part) in [
            (None, &["day"][..], "write `--param day=VALUE`"),
            (None, &["day=1", "day=2"], "given twice"),
            (Some("[1]"), &[], "wants a JSON object"),
        ] {
            let error = of_texts(&nightly, object, single.iter().copied()).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
