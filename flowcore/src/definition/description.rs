//! What is known of a task or a flow, as text and as data.
//!
//! The schemas are made when somebody asks, never before.

use std::fmt;

use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::callable::{DefinitionKind, Facts, ParameterSignature, Signature, fact};

/// What is known of a task or a flow; made by
/// [`Definition::describe`](crate::Definition::describe).
///
/// It displays as a text of some lines and serializes as data.
///
/// ```
/// use flowcore::prelude::*;
/// use flowcore::Definition;
///
/// /// Loads what a day brought.
/// #[flow(version = "2", tags = ["nightly"])]
/// async fn load(day: String, limit: Option<u32>) -> usize {
///     day.len() + limit.unwrap_or_default() as usize
/// }
///
/// let description = load.describe();
/// println!("{description}");
/// assert_eq!(description.name, "load");
/// assert!(description.parameters[0].required && !description.parameters[1].required);
///
/// let schema = &description.parameter_openapi_schema;
/// assert_eq!(schema["properties"]["day"]["type"], "string");
/// assert_eq!(schema["required"], serde_json::json!(["day"]));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Description {
    /// A task or a flow.
    pub kind: DefinitionKind,
    /// The name in force.
    pub name: String,
    /// The key, which no other of its kind has.
    pub key: &'static str,
    /// What it does.
    pub description: String,
    /// The version of its code.
    pub version: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// The module it stands in.
    pub module: &'static str,
    /// The source file.
    pub file: &'static str,
    /// The line of the function.
    pub line: u32,
    /// Whether the function is an `async fn`.
    pub is_async: bool,
    /// The parameters, in order.
    pub parameters: Vec<ParameterDescription>,
    /// The return type as written.
    pub returns: &'static str,
    /// The schema of all parameters, as Prefect keeps it with deployments.
    pub parameter_openapi_schema: Value,
}

/// One parameter of a [`Description`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ParameterDescription {
    /// Its name.
    pub name: &'static str,
    /// What its doc comment says.
    pub description: &'static str,
    /// Its type as written.
    #[serde(rename = "type")]
    pub type_name: &'static str,
    /// Whether [`call_json`](crate::Definition::call_json) must be given it.
    pub required: bool,
    /// Whether `call_json` can read it: its type is `Deserialize`.
    pub readable: bool,
}

impl Description {
    pub(super) fn new(facts: &Facts<'_>, signature: &Signature) -> Self {
        let parameter_openapi_schema = schema_of(&signature.parameters);
        let parameters = signature.parameters.iter();
        let parameters = parameters.map(|parameter| ParameterDescription {
            name: parameter.name,
            description: parameter.description,
            type_name: parameter.type_name,
            required: parameter.is_required(),
            readable: parameter.read.is_some(),
        });
        fact!(facts, info, options => Self {
            kind: facts.kind(),
            name: facts.name().to_owned(),
            key: info.key,
            description: facts.description().to_owned(),
            version: options.version_in_force().map(str::to_owned),
            tags: options.all_tags().map(str::to_owned).collect(),
            module: info.module,
            file: info.file,
            line: info.line,
            is_async: info.is_async,
            parameters: parameters.collect(),
            returns: signature.returns,
            parameter_openapi_schema,
        })
    }
}

/// The object that Prefect calls `parameter_openapi_schema`.
fn schema_of(parameters: &[ParameterSignature]) -> Value {
    // The draft whose shared schemas stand in `definitions`, as Prefect's do.
    let mut generator = SchemaSettings::draft07().into_generator();
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (position, parameter) in parameters.iter().enumerate() {
        let schema = match parameter.schema {
            Some(schema) => schema(&mut generator).to_value(),
            // Every value will do, and people see what is wanted.
            None => json!({"allOf": [{"title": parameter.type_name}]}),
        };
        let mut schema = schema;
        choose_between_types(&mut schema);
        let mut property = match schema {
            Value::Object(property) => property,
            // `true`: every value will do.
            _ => Map::new(),
        };
        property.insert("title".to_owned(), parameter.name.into());
        property.insert("position".to_owned(), position.into());
        if !parameter.description.is_empty() {
            // Instead of what the type says of itself.
            let description = parameter.description.into();
            property.insert("description".to_owned(), description);
        }
        if parameter.is_required() {
            required.push(Value::from(parameter.name));
        } else {
            let default = parameter.default.and_then(|default| (default.json)());
            property.insert("default".to_owned(), default.unwrap_or(Value::Null));
        }
        properties.insert(parameter.name.to_owned(), property.into());
    }
    let mut schema = json!({
        "title": "Parameters",
        "type": "object",
        "properties": properties,
        "required": required,
    });
    let mut definitions = Value::from(generator.take_definitions(true));
    if definitions.as_object().is_some_and(|all| !all.is_empty()) {
        choose_between_types(&mut definitions);
        schema["definitions"] = definitions;
    }
    schema
}

/// Several types become a choice of schemas with one each: Prefect's forms know
/// no other way to say that a value may be left out.
fn choose_between_types(schema: &mut Value) {
    match schema {
        Value::Array(schemas) => schemas.iter_mut().for_each(choose_between_types),
        Value::Object(schema) => {
            schema.values_mut().for_each(choose_between_types);
            let Some(Value::Array(types)) = schema.get("type") else {
                return;
            };
            let types = types.clone();
            let kept = ["title", "description", "default"].map(|name| schema.remove_entry(name));
            let whole = std::mem::take(schema);
            let choices = types.into_iter().map(|each| {
                if each == "null" {
                    return json!({"type": "null"});
                }
                let mut choice = whole.clone();
                choice.insert("type".to_owned(), each);
                choice.into()
            });
            schema.insert("anyOf".to_owned(), choices.collect());
            schema.extend(kept.into_iter().flatten());
        }
        _ => {}
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind, self.name)?;
        if let Some(version) = &self.version {
            write!(f, ", version {version}")?;
        }
        for line in self.description.lines() {
            write!(f, "\n  {line}")?;
        }
        write!(f, "\n  key         {}", self.key)?;
        write!(f, "\n  defined at  {}:{}", self.file, self.line)?;
        if !self.tags.is_empty() {
            write!(f, "\n  tags        {}", self.tags.join(", "))?;
        }
        write!(f, "\n  returns     {}", self.returns)?;
        if self.parameters.is_empty() {
            return f.write_str("\n  parameters  none");
        }
        f.write_str("\n  parameters")?;
        let wide = self.parameters.iter().map(|it| it.name.chars().count());
        let wide = wide.max().unwrap_or_default();
        for parameter in &self.parameters {
            let (name, type_name) = (parameter.name, parameter.type_name);
            write!(f, "\n    {name:wide$}  {type_name}")?;
            if !parameter.required {
                f.write_str("  (may be left out)")?;
            }
        }
        Ok(())
    }
}
