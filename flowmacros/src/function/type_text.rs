//! A type as people write it.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;

/// The text of a type with the spaces that rustfmt gives it, whatever the
/// spaces in the source.
pub(crate) fn type_text(ty: &impl ToTokens) -> String {
    let mut text = String::new();
    write(ty.to_token_stream(), &mut text);
    text
}

fn write(tokens: TokenStream, text: &mut String) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::None => ("", ""),
                };
                text.push_str(open);
                write(group.stream(), text);
                text.push_str(close);
            }
            TokenTree::Punct(punct) => match punct.as_char() {
                mark @ (',' | ';') => text.extend([mark, ' ']),
                mark @ ('+' | '=') => text.extend([' ', mark, ' ']),
                // An arrow.
                '>' if text.ends_with('-') => {
                    text.pop();
                    text.push_str(" -> ");
                }
                mark => text.push(mark),
            },
            word => {
                if text.ends_with(|last: char| last.is_alphanumeric() || last == '_') {
                    text.push(' ');
                }
                text.push_str(&word.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    #[test]
    fn types_read_as_written() {
        for (tokens, text) in [
            (quote!(i64), "i64"),
            (quote!(&str), "&str"),
            (quote!(&[f64]), "&[f64]"),
            (quote!(&'static str), "&'static str"),
            (quote!(Vec<Option<u8>>), "Vec<Option<u8>>"),
            (
                quote!(HashMap<String, (i64, u8)>),
                "HashMap<String, (i64, u8)>",
            ),
            (quote!([u8; 4]), "[u8; 4]"),
            (quote!(std::path::PathBuf), "std::path::PathBuf"),
            (
                quote!(Box<dyn Fn(i64) -> bool + Send>),
                "Box<dyn Fn(i64) -> bool + Send>",
            ),
            (quote!(()), "()"),
        ] {
            assert_eq!(type_text(&tokens), text);
        }
    }
}
