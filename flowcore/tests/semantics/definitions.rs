//! Tasks and flows as values: in collections, described, called by name with
//! parameters as JSON.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use flowcore::prelude::*;
use flowcore::{Call, DefinitionKind, ErrorKind, ParameterError, ParameterErrors, StateType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::support::run;

/// Where to look.
#[derive(Clone, Debug, JsonSchema, Serialize, Deserialize)]
struct Place {
    city: String,
    depth: Option<u8>,
}

/// Without a schema.
#[derive(Debug, Serialize, Deserialize)]
struct Plain(i64);

/// With nothing at all.
struct Opaque;

#[task(version = "3", tags = ["numbers", "quick"])]
fn halve(x: f64) -> f64 {
    x / 2.0
}

/// Adds up
/// what is there.
#[task(name = "registry-total")]
fn total(numbers: &[i64], plain: Plain) -> i64 {
    numbers.iter().sum::<i64>() + plain.0
}

#[task]
async fn measure(path: &Path, unit: Option<String>) -> Result<String> {
    let unit = unit.unwrap_or_else(|| "bytes".to_owned());
    Ok(format!("{} {unit}", path.display().to_string().len()))
}

#[task(local)]
fn swallow(_: Opaque) {}

#[flow(name = "walk", version = "1.2")]
async fn walk(from: Place, to: &Place, steps: Option<u32>, plain: &Plain) -> Result<Value> {
    let half = halve.submit(f64::from(steps.unwrap_or(10))).await?;
    Ok(json!([from.city, to.city, half, plain.0]))
}

#[flow(name = "walk-twin")]
fn sync_walk(words: &[String], times: usize) -> String {
    words.concat().repeat(times)
}

#[flow(name = "walk-twin")]
fn sync_walk_too() {}

#[flow]
async fn returns_runs(x: f64) -> Vec<TaskFuture<f64>> {
    vec![halve.submit(x), halve.submit(x)]
}

#[flow]
async fn stumbles(reason: String) -> Result<i64> {
    Err(Error::msg(reason))
}

#[flow]
async fn takes_words(_words: Vec<&str>) {}

fn flow(name: &str) -> &'static dyn Definition {
    flowcore::flows().unwrap().get(name).unwrap()
}

fn errors(definition: &dyn Definition, parameters: Value) -> Vec<ParameterError> {
    let error = definition.call_json(parameters).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let errors = error.downcast_ref::<ParameterErrors>().unwrap().errors();
    for part in errors {
        assert!(error.to_string().contains(&part.to_string()), "{error}");
    }
    errors.to_vec()
}

#[test]
fn definitions_are_found_by_key_and_by_name() {
    let flows = flowcore::flows().unwrap();
    let found = flows.get("walk").unwrap();
    assert_eq!(found.kind(), DefinitionKind::Flow);
    assert_eq!(found.key(), "semantics::definitions::walk");
    assert_eq!(flows.get(found.key()).unwrap().name(), "walk");
    assert!(flows.iter().map(Definition::key).is_sorted());
    assert_eq!(flows.len(), flows.into_iter().count());

    let tasks = flowcore::tasks().unwrap();
    let found = tasks.get("registry-total").unwrap();
    assert_eq!(found.key(), "registry-total");
    assert_eq!(found.description(), "Adds up\nwhat is there.");

    let several = flows.get("walk-twin").unwrap_err().to_string();
    assert!(
        several.starts_with("2 flows are called `walk-twin`"),
        "{several}"
    );
    assert!(several.contains("definitions::sync_walk_too"), "{several}");
    let near = tasks.get("registry-totla").unwrap_err().to_string();
    assert_eq!(
        near,
        "this program has no task `registry-totla`; did you mean `registry-total`?"
    );
    let none = tasks.get("nothing like it").unwrap_err().to_string();
    assert!(
        none.starts_with("this program has no task `nothing like it`; its tasks are "),
        "{none}"
    );
}

#[test]
fn what_is_known_is_told() {
    let description = halve.describe();
    let line = halve.info().line;
    assert_eq!(
        description.to_string(),
        format!(
            "task `halve`, version 3
  key         semantics::definitions::halve
  defined at  flowcore/tests/semantics/definitions.rs:{line}
  tags        numbers, quick
  returns     f64
  parameters
    x  f64"
        )
    );
    assert_eq!(
        measure
            .describe()
            .to_string()
            .split_once("returns")
            .unwrap()
            .1,
        "     Result<String>
  parameters
    path  &Path
    unit  Option<String>  (may be left out)"
    );
    let renamed = halve.with_options(|o| o.name("half").tag("more"));
    let data = serde_json::to_value(renamed.describe()).unwrap();
    assert_eq!(data["kind"], "task");
    assert_eq!(data["name"], "half");
    assert_eq!(data["tags"], json!(["numbers", "quick", "more"]));
    assert_eq!(data["parameters"][0]["type"], "f64");
    assert!(walk.describe().is_async && !sync_walk.describe().is_async);
}

#[test]
fn schemas_are_those_of_prefect() {
    let schema = walk.describe().parameter_openapi_schema;
    let place = json!({
        "description": "Where to look.",
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "depth": {"anyOf": [
                {"type": "integer", "format": "uint8", "minimum": 0, "maximum": 255},
                {"type": "null"},
            ]},
        },
        "required": ["city"],
    });
    assert_eq!(
        schema,
        json!({
            "title": "Parameters",
            "type": "object",
            "properties": {
                "from": {"title": "from", "position": 0, "$ref": "#/definitions/Place"},
                "to": {"title": "to", "position": 1, "$ref": "#/definitions/Place"},
                "steps": {
                    "title": "steps", "position": 2, "default": null,
                    "anyOf": [
                        {"type": "integer", "format": "uint32", "minimum": 0},
                        {"type": "null"},
                    ],
                },
                "plain": {"title": "plain", "position": 3, "allOf": [{"title": "&Plain"}]},
            },
            "required": ["from", "to", "plain"],
            "definitions": {"Place": place},
        })
    );
    let nothing = sync_walk_too.describe().parameter_openapi_schema;
    assert_eq!(
        nothing,
        json!({"title": "Parameters", "type": "object", "properties": {}, "required": []})
    );
}

#[test]
fn a_doc_comment_on_a_parameter_describes_it() {
    #[flow]
    async fn described(
        /// Which day,
        /// as a word.
        day: String,
        #[default(2)]
        /// At most so many.
        limit: u32,
        plain: bool,
    ) -> usize {
        day.len() + limit as usize + usize::from(plain)
    }
    let description = described.describe();
    let texts: Vec<_> = description
        .parameters
        .iter()
        .map(|it| it.description)
        .collect();
    assert_eq!(texts, ["Which day,\nas a word.", "At most so many.", ""]);
    let properties = &description.parameter_openapi_schema["properties"];
    assert_eq!(properties["day"]["description"], "Which day,\nas a word.");
    assert_eq!(properties["limit"]["description"], "At most so many.");
    assert_eq!(properties["plain"].get("description"), None);
}

#[test]
fn any_flow_is_called_with_json() {
    run(async {
        let parameters = json!({
            "from": {"city": "Ulm"}, "to": {"city": "Bonn", "depth": 2}, "steps": 8, "plain": 7,
        });
        let call = flow("walk").call_json(parameters).unwrap();
        assert_eq!(call.await.unwrap().unwrap(), json!(["Ulm", "Bonn", 4.0, 7]));

        let parameters = json!({"words": ["a", "b"], "times": 2});
        let twice = sync_walk.call_json(parameters).unwrap();
        assert_eq!(twice.await.unwrap().unwrap(), "abab");

        let report = sync_walk_too.call_json(Value::Null).unwrap().report().await;
        assert_eq!(report.into_result().unwrap().unwrap(), Value::Null);
    });
}

#[test]
fn any_task_is_called_with_json() {
    run(async {
        let parameters = json!({"numbers": [1, 2], "plain": 3});
        let found = flowcore::tasks().unwrap().get("registry-total").unwrap();
        let six = found.call_json(parameters).unwrap().await;
        assert_eq!(six.unwrap().unwrap(), 6);
        let length = measure.call_json(json!({"path": "abc"})).unwrap();
        assert_eq!(length.await.unwrap().unwrap(), "3 bytes");
        let state = halve.call_json(json!({"x": 5})).unwrap().state().await;
        let value = state.result().unwrap();
        assert_eq!(*value.as_ref().as_ref().unwrap(), 2.5);
    });
}

#[test]
fn a_run_that_fails_keeps_its_error_and_its_state() {
    run(async {
        let parameters = || json!({"reason": "no way"});
        let state = flow("stumbles")
            .call_json(parameters())
            .unwrap()
            .state()
            .await;
        assert_eq!(state.state_type(), StateType::Failed);
        let error = flow("stumbles")
            .call_json(parameters())
            .unwrap()
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string()),
            (ErrorKind::Failed, "no way".into())
        );
    });
}

#[test]
fn a_value_that_is_no_json_is_told_beside_the_run() {
    run(async {
        let call = returns_runs.call_json(json!({"x": 1})).unwrap();
        let error = call.await.unwrap().unwrap_err();
        assert!(
            error.to_string().contains("derive `serde::Serialize`"),
            "{error}"
        );
        let call = returns_runs.call_json(json!({"x": 1})).unwrap();
        assert!(call.state().await.is_completed());
    });
}

#[test]
fn all_that_is_wrong_with_parameters_is_listed() {
    let wrong = errors(
        &walk,
        json!({"from": {"depth": 1}, "steps": -1, "plain": 1, "form": {}, "more": 1}),
    );
    assert!(
        matches!(
            &wrong[..],
            [
                ParameterError::Mistyped { name: "from", type_name: "Place", message },
                ParameterError::Missing { name: "to", type_name: "&Place" },
                ParameterError::Mistyped { name: "steps", .. },
                ParameterError::Unknown { name: form, known },
                ParameterError::Unknown { .. },
            ] if message.contains("missing field `city`")
                && form == "form"
                && *known == ["from", "to", "steps", "plain"]
        ),
        "{wrong:?}"
    );
    assert!(matches!(
        errors(&halve, json!([1.0]))[..],
        [ParameterError::NotAnObject { found: "a list" }]
    ));
    for (definition, wanted) in [
        (&swallow as &dyn Definition, "argument_0"),
        (&takes_words, "_words"),
    ] {
        let wrong = errors(definition, json!({}));
        assert!(
            matches!(wrong[..], [ParameterError::Unreadable { name, .. }] if name == wanted),
            "{wrong:?}"
        );
    }
}

#[test]
fn a_copy_is_called_with_its_own_options() {
    run(async {
        let named = stumbles.with_options(|o| o.flow_run_name("over-{reason}"));
        let steps: HashMap<&str, &dyn Definition> = HashMap::from([("a", &named as _)]);
        let call = steps["a"].call_json(json!({"reason": "roots"})).unwrap();
        let error = call.await.unwrap_err();
        assert_eq!(error.run_name(), Some("over-roots"));
    });
}

#[task]
fn increment(x: i64) -> i64 {
    x + 1
}

#[flow]
async fn square(x: i64) -> i64 {
    x * x
}

#[test]
fn what_has_one_signature_stands_in_one_list() {
    type Step = dyn Fn(i64) -> Call<'static, i64> + Send + Sync;
    run(async {
        let again = increment.with_options(|o| o.retries(2));
        let steps: Vec<&Step> = vec![&*increment, &*square, &*again];
        let mut x = 2;
        for step in &steps {
            x = step(x).await.unwrap();
        }
        assert_eq!(x, 10);
        let by_name: BTreeMap<&str, &Step> = BTreeMap::from([("square", steps[1])]);
        assert_eq!(by_name["square"](4).await.unwrap(), 16);
    });
}
