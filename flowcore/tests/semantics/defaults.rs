//! Defaults of parameters: named by callers, filled in for calls with JSON.

use flowcore::prelude::*;
use flowcore::{Definition, ParameterErrors};
use serde_json::json;

use crate::support::run;

const PAGE: usize = 3;

#[task]
fn fetch(
    url: &str,
    #[default(PAGE * 2)] size: usize,
    #[default("json".into())] kind: String,
) -> String {
    format!("{url} {size} {kind}")
}

#[derive(Clone)]
struct Opaque(u32);

#[flow]
async fn crawl(
    start: String,
    #[default(vec![1, 2])] pages: Vec<i64>,
    #[default(Some(4))] limit: Option<u32>,
    #[default(Opaque(9))] opaque: Opaque,
) -> i64 {
    let sum: i64 = pages.iter().sum();
    start.len() as i64 + sum + i64::from(limit.unwrap_or(0)) + i64::from(opaque.0)
}

#[flow]
async fn everywhere() -> Result<Vec<String>> {
    let kind = || fetch.default_kind();
    let called = fetch("a", fetch.default_size(), kind()).await?;
    let submitted = fetch.submit("b", 1, kind()).await?;
    let mapped = fetch.map(["c", "d"], unmapped(fetch.default_size()), unmapped(kind()));
    Ok([vec![called, submitted], mapped.await?].concat())
}

#[test]
fn a_default_is_a_value_that_every_call_takes() {
    run(async {
        assert_eq!(
            everywhere().await.unwrap(),
            ["a 6 json", "b 1 json", "c 6 json", "d 6 json"]
        );
        let value = crawl(
            "ab".into(),
            vec![],
            crawl.default_limit(),
            crawl.default_opaque(),
        );
        assert_eq!(value.await.unwrap(), 15);
    });
}

#[test]
fn a_call_with_json_fills_them_in() {
    run(async {
        let value = fetch.call_json(json!({"url": "x", "size": 2})).unwrap();
        assert_eq!(value.await.unwrap().unwrap(), json!("x 2 json"));
        // Even where the type cannot be read.
        let value = crawl.call_json(json!({"start": "a"})).unwrap();
        assert_eq!(value.await.unwrap().unwrap(), json!(17));
        // What is given counts, nothing included.
        let given = json!({"start": "a", "pages": [], "limit": null});
        let value = crawl.call_json(given).unwrap();
        assert_eq!(value.await.unwrap().unwrap(), json!(10));
        let error = crawl.call_json(json!({"pages": "x"})).unwrap_err();
        let errors = error.downcast_ref::<ParameterErrors>().unwrap();
        assert_eq!(errors.errors().len(), 2, "{errors}");
    });
}

#[test]
fn descriptions_and_schemas_tell_them() {
    let description = crawl.describe();
    let required = description.parameters.iter().map(|it| it.required);
    assert_eq!(required.collect::<Vec<_>>(), [true, false, false, false]);
    let schema = &description.parameter_openapi_schema;
    assert_eq!(schema["required"], json!(["start"]));
    assert_eq!(schema["properties"]["pages"]["default"], json!([1, 2]));
    assert_eq!(schema["properties"]["limit"]["default"], json!(4));
    // One that cannot be written.
    assert_eq!(schema["properties"]["opaque"]["default"], json!(null));
}
