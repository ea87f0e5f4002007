//! Doc comments as descriptions.

use syn::{Attribute, Expr, Lit, Meta};

/// The text of the doc comments: without the one space after `///` and without
/// empty lines around it. Empty if there are none.
pub(crate) fn documented(attributes: &[Attribute]) -> String {
    let mut lines = Vec::new();
    for attribute in attributes {
        let Meta::NameValue(meta) = &attribute.meta else {
            continue;
        };
        // `#[doc = include_str!("..")]` is not known here; it stays a comment.
        let (true, Expr::Lit(value)) = (meta.path.is_ident("doc"), &meta.value) else {
            continue;
        };
        if let Lit::Str(text) = &value.lit {
            // Not `lines()`, which gives nothing for an empty line of its own.
            lines.extend(text.value().split('\n').map(str::to_owned));
        }
    }
    // Markdown's indents mean something, so only the common one goes.
    let indent = lines
        .iter()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.len() - line.trim_start_matches(' ').len())
        .min()
        .unwrap_or(0);
    let lines: Vec<&str> = lines
        .iter()
        .map(|line| line.get(indent..).unwrap_or("").trim_end())
        .collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proc_macro2::TokenStream;
    use std::str::FromStr;
    use syn::parse::Parser;

    fn of(comments: &str) -> String {
        let tokens = TokenStream::from_str(comments).expect("comments");
        let attributes = Attribute::parse_outer.parse2(tokens).expect("attributes");
        documented(&attributes)
    }

    #[test]
    fn lines_are_joined_and_unindented() {
        assert_eq!(of("/// Adds one.\n"), "Adds one.");
        assert_eq!(
            of("///\n/// Adds.\n///\n///     code\n///\n"),
            "Adds.\n\n    code"
        );
        assert_eq!(of("/** Adds\n one. */"), "Adds\none.");
        assert_eq!(of("#[allow(unused)] #[doc(hidden)]"), "");
        assert_eq!(of(""), "");
    }
}
