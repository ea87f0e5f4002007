//! Run names from templates: `"fetch-{url}"`.

use crate::error::{Error, Result};

/// Fills a template. `{name}` is replaced by `value(name)`, `{{` and `}}` are
/// braces; a placeholder without a value stays as it is. (The macros check
/// placeholders of literals at compile time.)
pub(crate) fn render(template: &str, mut value: impl FnMut(&str) -> Option<String>) -> String {
    let mut name = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        name.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            name.push_str(brace);
            rest = after;
        } else if let ("{", Some(end)) = (brace, rest.find('}')) {
            match value(rest[..end].trim()) {
                Some(text) => name.push_str(&text),
                None => name.push_str(&format!("{{{}}}", &rest[..end])),
            }
            rest = &rest[end + 1..];
        } else {
            name.push_str(brace);
        }
    }
    name.push_str(rest);
    name
}

/// Checks a template that no macro has seen, the value of an option.
///
/// # Errors
///
/// It has a placeholder that is none of the parameters.
pub(crate) fn check(option: &str, template: &str, parameters: &[&str]) -> Result<()> {
    let mut unknown = None;
    render(template, |name| {
        if !parameters.contains(&name) {
            unknown.get_or_insert_with(|| name.to_owned());
        }
        None
    });
    let Some(unknown) = unknown else {
        return Ok(());
    };
    let known = match parameters {
        [] => "there are none".to_owned(),
        names => format!("there are `{}`", names.join("`, `")),
    };
    Err(Error::invalid(format!(
        "`{option}` wants the parameter `{unknown}`, but {known}; a brace itself is written twice, \
         `{{{{`"
    )))
}

#[cfg(test)]
mod tests {
    use super::{check, render};

    #[test]
    fn what_is_no_parameter_is_named() {
        check("name", "{x} of {{y}}", &["x"]).unwrap();
        let error = check("name", "{x}-{z}", &["x", "y"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`name` wants the parameter `z`, but there are `x`, `y`; a brace itself is written \
             twice, `{{`"
        );
        assert!(check("name", "{x}", &[]).is_err());
    }

    #[test]
    fn placeholders_are_filled() {
        let value = |name: &str| (name == "x").then(|| "7".to_owned());
        assert_eq!(render("a-{x}-{ x }", value), "a-7-7");
        assert_eq!(render("{{x}} {y} }", value), "{x} {y} }");
        assert_eq!(render("open {x", value), "open {x");
    }
}
