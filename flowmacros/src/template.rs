//! Names of runs with placeholders: `task_run_name = "fetch-{url}"`.

use crate::suggestion::{listed, nearest};

/// Checks that every placeholder of a template is a parameter's name, and gives
/// them.
///
/// `{{` and `}}` stand for single braces.
pub(crate) fn check(template: &str, parameters: &[String]) -> Result<Vec<String>, String> {
    let mut rest = template;
    let mut named = Vec::new();
    while let Some(at) = rest.find(['{', '}']) {
        let brace = &rest[at..=at];
        let after = &rest[at + 1..];
        if let Some(escaped) = after.strip_prefix(brace) {
            rest = escaped;
        } else if brace == "}" {
            return Err("`}` without `{`; write `}}` for a brace that stands for itself".into());
        } else {
            let Some((placeholder, tail)) = after.split_once('}') else {
                return Err(
                    "`{` without `}`; write `{{` for a brace that stands for itself".into(),
                );
            };
            check_placeholder(placeholder.trim(), parameters)?;
            named.push(placeholder.trim().to_owned());
            rest = tail;
        }
    }
    Ok(named)
}

fn check_placeholder(placeholder: &str, parameters: &[String]) -> Result<(), String> {
    if parameters.iter().any(|parameter| parameter == placeholder) {
        return Ok(());
    }
    if placeholder.is_empty() {
        return Err(format!(
            "`{{}}` names no parameter; {}",
            parameters_there_are(parameters)
        ));
    }
    let word_ends = placeholder
        .find(|letter: char| !letter.is_alphanumeric() && letter != '_')
        .unwrap_or(placeholder.len());
    if word_ends < placeholder.len()
        && parameters
            .iter()
            .any(|name| *name == placeholder[..word_ends])
    {
        return Err(format!(
            "`{{{placeholder}}}` is more than a name; a placeholder is a parameter's name alone: `{{{}}}`",
            &placeholder[..word_ends]
        ));
    }
    let cure = match nearest(placeholder, parameters.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{{{near}}}`?"),
        None => parameters_there_are(parameters),
    };
    Err(format!("no parameter is called `{placeholder}`; {cure}"))
}

fn parameters_there_are(parameters: &[String]) -> String {
    if parameters.is_empty() {
        "the function has no parameters".into()
    } else {
        let names = listed(parameters.iter().map(String::as_str));
        format!("the parameters are {names}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(template: &str) -> Result<Vec<String>, String> {
        check(template, &["url".into(), "attempts".into()])
    }

    #[test]
    fn known_placeholders_and_escapes_pass() {
        for (template, named) in [
            ("", &[][..]),
            ("fetch", &[]),
            ("fetch-{url}", &["url"]),
            ("{url}{attempts}", &["url", "attempts"]),
            ("{{url}}", &[]),
            ("{{{url}}}", &["url"]),
            ("{ url }", &["url"]),
        ] {
            let found = checked(template).expect(template);
            assert_eq!(found, named, "{template}");
        }
    }

    #[test]
    fn mistakes_name_the_cure() {
        for (template, part) in [
            (
                "{ulr}",
                "no parameter is called `ulr`; did you mean `{url}`?",
            ),
            ("{when}", "the parameters are `url`, `attempts`"),
            ("{}", "`{}` names no parameter"),
            (
                "{url:>8}",
                "a placeholder is a parameter's name alone: `{url}`",
            ),
            ("{url.host}", "`{url.host}` is more than a name"),
            ("{url", "`{` without `}`"),
            ("url}", "`}` without `{`"),
        ] {
            let message = checked(template).expect_err(template);
            assert!(message.contains(part), "{template}: {message}");
        }
        let message = check("{url}", &[]).expect_err("no parameters");
        assert!(message.contains("has no parameters"), "{message}");
    }
}
