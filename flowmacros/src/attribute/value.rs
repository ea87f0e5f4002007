//! Values of options: texts, numbers, durations, lists.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Expr, ExprLit, ExprPath, Lit, LitStr, UnOp};

use super::Given;
use crate::crate_path::CratePath;
use crate::duration;
use crate::problems::Problems;
use crate::suggestion::{did_you_mean, listed};

/// The expression without the invisible group that `macro_rules` makes.
pub(super) fn bare(value: &Expr) -> &Expr {
    match value {
        Expr::Group(group) => bare(&group.expr),
        value => value,
    }
}

/// The value, or a problem that says what one looks like.
pub(super) fn required<'a>(
    given: &'a Given,
    example: &str,
    problems: &mut Problems,
) -> Option<&'a Expr> {
    let value = given.value.as_ref().map(bare);
    if value.is_none() {
        let name = given.name();
        problems.push(
            &given.key,
            format!("`{name}` needs a value: `{name} = {example}`"),
        );
    }
    value
}

/// The path of a function; `wrong` is what is said of anything else.
pub(super) fn function(
    given: &Given,
    example: &str,
    wrong: &str,
    problems: &mut Problems,
) -> Option<ExprPath> {
    match required(given, example, problems)? {
        Expr::Path(path) => Some(path.clone()),
        other => {
            problems.push(other, wrong);
            None
        }
    }
}

/// A string literal.
pub(super) fn text(given: &Given, example: &str, problems: &mut Problems) -> Option<LitStr> {
    let value = required(given, example, problems)?;
    if let Expr::Lit(ExprLit {
        lit: Lit::Str(text),
        ..
    }) = value
    {
        return Some(text.clone());
    }
    let name = given.name();
    problems.push(
        value,
        format!("`{name}` wants a string literal: `{name} = {example}`"),
    );
    None
}

/// A string literal with something in it.
pub(super) fn nonempty_text(
    given: &Given,
    example: &str,
    problems: &mut Problems,
) -> Option<LitStr> {
    let text = text(given, example, problems)?;
    if text.value().trim().is_empty() {
        problems.push(&text, format!("`{}` must not be empty", given.name()));
        return None;
    }
    Some(text)
}

/// A bare word, or `= true` and `= false`.
pub(super) fn flag(given: &Given, problems: &mut Problems) -> bool {
    match given.value.as_ref().map(bare) {
        None => true,
        Some(Expr::Lit(ExprLit {
            lit: Lit::Bool(value),
            ..
        })) => value.value,
        Some(other) => {
            let name = given.name();
            problems.push(other, format!("`{name}` is a word of its own: `{name}`"));
            true
        }
    }
}

/// `= true` or `= false`.
pub(super) fn switch(given: &Given, problems: &mut Problems) -> Option<bool> {
    match bare(required(given, "false", problems)?) {
        Expr::Lit(ExprLit {
            lit: Lit::Bool(value),
            ..
        }) => Some(value.value),
        other => {
            let name = given.name();
            problems.push(other, format!("`{name}` wants `true` or `false`"));
            None
        }
    }
}

/// One of these words, what it stands for, and where it is written.
pub(super) fn word<'a, T: Copy>(
    given: &'a Given,
    words: &[(&'static str, T)],
    example: &str,
    problems: &mut Problems,
) -> Option<(T, &'a Expr)> {
    let written = required(given, example, problems)?;
    let word = match written {
        Expr::Path(path) => path.path.get_ident().map(ToString::to_string),
        _ => None,
    };
    let word = word.unwrap_or_default();
    if let Some((_, meaning)) = words.iter().find(|(known, _)| *known == word) {
        return Some((*meaning, written));
    }
    let known = || words.iter().map(|(known, _)| *known);
    let near = did_you_mean(&word, known());
    let name = given.name();
    let (last, others) = words.split_last()?;
    let others = listed(others.iter().map(|(known, _)| *known));
    let last = last.0;
    problems.push(
        written,
        format!("`{name}` is {others} or `{last}`: `{name} = {example}`{near}"),
    );
    None
}

/// A [`count`] from 1 on, as far as it is a literal.
pub(super) fn positive_count(given: &Given, problems: &mut Problems) -> Option<TokenStream> {
    let name = given.name();
    if let Some(Expr::Lit(ExprLit {
        lit: Lit::Int(number),
        ..
    })) = &given.value
        && number.base10_parse::<u32>().is_ok_and(|number| number == 0)
    {
        problems.push(number, format!("`{name}` is at least 1: `{name} = 1`"));
        return None;
    }
    count(given, problems)
}

/// A count: an integer literal, or an expression of type `u32`.
pub(super) fn count(given: &Given, problems: &mut Problems) -> Option<TokenStream> {
    let name = given.name();
    let value = required(given, "3", problems)?;
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Int(number),
            ..
        }) if matches!(number.suffix(), "" | "u32") => match number.base10_parse::<u32>() {
            Ok(number) => Some(quote!(#number)),
            Err(_) => {
                problems.push(
                    value,
                    format!("`{name}` is at most {}: `{name} = 3`", u32::MAX),
                );
                None
            }
        },
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => {
            problems.push(value, format!("`{name}` cannot be negative: `{name} = 3`"));
            None
        }
        Expr::Lit(_) | Expr::Array(_) | Expr::Tuple(_) => {
            problems.push(
                value,
                format!("`{name}` wants a whole number: `{name} = 3`"),
            );
            None
        }
        other => Some(other.to_token_stream()),
    }
}

/// A priority: an integer literal, or an expression of type `i32`.
pub(super) fn priority(given: &Given, problems: &mut Problems) -> Option<TokenStream> {
    let value = required(given, "10", problems)?;
    let digits = match value {
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => bare(&unary.expr),
        value => value,
    };
    let message = match digits {
        Expr::Lit(ExprLit {
            lit: Lit::Int(_), ..
        }) => {
            let text = value.to_token_stream().to_string().replace([' ', '_'], "");
            match text.trim_end_matches("i32").parse::<i32>() {
                Ok(number) => return Some(quote!(#number)),
                Err(_) => format!(
                    "`priority` is a number from {} to {}: `priority = 10`",
                    i32::MIN,
                    i32::MAX
                ),
            }
        }
        Expr::Lit(_) | Expr::Array(_) | Expr::Tuple(_) => {
            "`priority` wants a whole number, higher ones first: `priority = 10`".to_owned()
        }
        _ => return Some(value.to_token_stream()),
    };
    problems.push(value, message);
    None
}

/// A duration: `"30s"`, a number of seconds, or an expression of that type.
pub(super) fn duration(given: &Given, problems: &mut Problems) -> Option<TokenStream> {
    let value = required(given, "\"30s\"", problems)?;
    duration_of(&given.name(), value, problems)
}

/// A duration that stands in the option `name`.
pub(super) fn duration_of(
    name: &str,
    value: &Expr,
    problems: &mut Problems,
) -> Option<TokenStream> {
    let parsed = match value {
        Expr::Lit(ExprLit { lit, .. }) => match lit {
            Lit::Str(text) => duration::parse(&text.value()),
            Lit::Int(number) if number.suffix().is_empty() => {
                duration::parse_seconds(number.base10_digits())
            }
            Lit::Float(number) if number.suffix().is_empty() => {
                duration::parse_seconds(number.base10_digits())
            }
            _ => Err("a duration looks like `\"30s\"`".to_owned()),
        },
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => {
            Err("a duration cannot be negative".to_owned())
        }
        Expr::Array(_) | Expr::Tuple(_) => Err("one duration is wanted".to_owned()),
        other => return Some(other.to_token_stream()),
    };
    match parsed {
        Ok(duration) => Some(constructed(duration)),
        Err(message) => {
            problems.push(value, format!("bad `{name}`: {message}"));
            None
        }
    }
}

/// Like [`duration`], but a literal zero is a mistake.
pub(super) fn positive_duration(given: &Given, problems: &mut Problems) -> Option<TokenStream> {
    let tokens = duration(given, problems)?;
    if tokens.to_string() == constructed(Duration::ZERO).to_string() {
        let name = given.name();
        problems.push(
            &given.value,
            format!("a `{name}` of zero would end each run at once; leave it out for no limit"),
        );
        return None;
    }
    Some(tokens)
}

fn constructed(duration: Duration) -> TokenStream {
    let seconds = duration.as_secs();
    let nanoseconds = duration.subsec_nanos();
    quote!(::core::time::Duration::new(#seconds, #nanoseconds))
}

/// `["a", "b"]`
pub(super) fn texts(given: &Given, problems: &mut Problems) -> Vec<LitStr> {
    let name = given.name();
    let example = "[\"nightly\"]";
    let Some(value) = required(given, example, problems) else {
        return Vec::new();
    };
    let array = match value {
        Expr::Array(array) => array,
        Expr::Reference(reference) => match bare(&reference.expr) {
            Expr::Array(array) => array,
            _ => return not_texts(value, &name, problems),
        },
        _ => return not_texts(value, &name, problems),
    };
    let mut texts = Vec::new();
    for element in &array.elems {
        match bare(element) {
            Expr::Lit(ExprLit {
                lit: Lit::Str(text),
                ..
            }) if !text.value().trim().is_empty() => texts.push(text.clone()),
            other => problems.push(
                other,
                format!("each of `{name}` is a string literal: `{name} = {example}`"),
            ),
        }
    }
    texts
}

fn not_texts(value: &Expr, name: &str, problems: &mut Problems) -> Vec<LitStr> {
    let example = match value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => format!("[{:?}]", text.value()),
        _ => "[\"nightly\"]".to_owned(),
    };
    problems.push(
        value,
        format!("`{name}` wants a list of string literals: `{name} = {example}`"),
    );
    Vec::new()
}

/// `crate = path`; nothing for other options.
pub(super) fn crate_path(given: &Given, problems: &mut Problems) -> Option<CratePath> {
    if given.name() != "crate" {
        return None;
    }
    let value = required(given, "path::to::flowcore", problems)?;
    let path = match value {
        Expr::Path(path) if path.qself.is_none() => Some(path.path.clone()),
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => text.parse().ok(),
        _ => None,
    };
    if path.is_none() {
        problems.push(
            value,
            "`crate` wants the path of `flowcore`: `crate = path::to::flowcore`",
        );
    }
    path.as_ref().map(CratePath::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    fn given(value: Expr) -> Given {
        Given {
            key: parse_quote!(option),
            value: Some(value),
        }
    }

    fn problem<T>(read: impl FnOnce(&mut Problems) -> T) -> String {
        let mut problems = Problems::default();
        read(&mut problems);
        let messages = problems.messages();
        assert_eq!(messages.len(), 1, "{messages:?}");
        messages[0].clone()
    }

    #[test]
    fn durations_are_literals_or_expressions() {
        let mut problems = Problems::default();
        let mut read = |value| {
            let tokens = duration(&given(value), &mut problems).expect("a duration");
            tokens.to_string().replace(' ', "")
        };
        let expected = "::core::time::Duration::new(90u64,0u32)";
        assert_eq!(read(parse_quote!("1m 30s")), expected);
        assert_eq!(read(parse_quote!(90)), expected);
        assert_eq!(read(parse_quote!(90.0)), expected);
        assert_eq!(read(parse_quote!(DELAY)), "DELAY");
        assert_eq!(
            read(parse_quote!(Duration::from_secs(3))),
            "Duration::from_secs(3)"
        );
        assert!(problems.is_empty());
    }

    #[test]
    fn mistakes_name_the_cure() {
        for (value, part) in [
            (parse_quote!("30"), "has no unit"),
            (parse_quote!(-3), "cannot be negative"),
            (parse_quote!(true), "looks like `\"30s\"`"),
            (parse_quote!(["1s", "2s"]), "one duration is wanted"),
            (parse_quote!("0s"), "would end each run at once"),
        ] {
            let message = problem(|problems| positive_duration(&given(value), problems));
            assert!(message.contains(part), "{part}: {message}");
        }
        for (value, part) in [
            (parse_quote!(-1), "cannot be negative"),
            (parse_quote!("3"), "wants a whole number"),
            (parse_quote!(99999999999), "at most"),
        ] {
            let message = problem(|problems| count(&given(value), problems));
            assert!(message.contains(part), "{part}: {message}");
        }
        let message = problem(|problems| texts(&given(parse_quote!("io")), problems));
        assert!(message.contains("`option = [\"io\"]`"), "{message}");
        let message = problem(|problems| text(&given(parse_quote!(NAME)), "\"x\"", problems));
        assert!(message.contains("wants a string literal"), "{message}");
    }
}
