//! Run names from templates: `"fetch-{url}"`.

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

#[cfg(test)]
mod tests {
    use super::render;

    #[test]
    fn placeholders_are_filled() {
        let value = |name: &str| (name == "x").then(|| "7".to_owned());
        assert_eq!(render("a-{x}-{ x }", value), "a-7-7");
        assert_eq!(render("{{x}} {y} }", value), "{x} {y} }");
        assert_eq!(render("open {x", value), "open {x");
    }
}
