//! What a function returns, decided by how it is written.
//!
//! A trait that told `T` from `Result<T, E>` would need specialisation, and a
//! projection would show in every hover. So `Result` is recognised by its name;
//! an alias that hides it is caught by a check in the expansion.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::spanned::Spanned;
use syn::{GenericArgument, Path, PathArguments, ReturnType, Type};

use super::known::is_known;
use super::types::{self, Obstacle};
use super::{Function, Kind};
use crate::crate_path::Place;
use crate::problems::Problems;

/// How a function says that its run did not complete.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shape {
    /// Only by a panic.
    Plain,
    /// `Result<T, E>`
    Result,
    /// `State<T>`, of a task: the state becomes the run's.
    State,
}

/// A function's output.
pub(crate) struct Output {
    /// The whole type as written; `()` if nothing is.
    pub(crate) written: TokenStream,
    /// The type of a successful run's value.
    pub(crate) value: TokenStream,
    /// True if `flowcore` knows everything of that type.
    pub(crate) is_known: bool,
    pub(crate) shape: Shape,
    /// Where errors about the type of the value belong.
    pub(crate) value_place: Place,
    /// Where errors about the error's type belong.
    pub(crate) error_place: Place,
}

impl Output {
    /// Reads a function's output; without a type errors belong at its name.
    pub(crate) fn new(function: &Function, kind: Kind, problems: &mut Problems) -> Self {
        let signature = &function.signature;
        Self::of(&signature.output, kind, signature.ident.span(), problems)
    }

    fn of(output: &ReturnType, kind: Kind, name: Span, problems: &mut Problems) -> Self {
        let ReturnType::Type(_, ty) = output else {
            return Self::unit(name);
        };
        let ty = types::bare(ty);
        let span = ty.span();
        let found = match ty {
            Type::Path(path) if path.qself.is_none() => shaped(&path.path, kind),
            _ => None,
        };
        let Some((shape, arguments)) = found else {
            if !check_value(ty, kind, problems) {
                return Self::unit(span);
            }
            return Self {
                written: ty.to_token_stream(),
                value: ty.to_token_stream(),
                is_known: is_known(ty),
                shape: Shape::Plain,
                value_place: Place::of(ty),
                error_place: Place::of(ty),
            };
        };
        // `State`, `fmt::Result` and aliases like it have no arguments: `()` it is.
        let value = arguments.first().copied();
        if value.is_some_and(|value| !check_value(value, kind, problems)) {
            return Self::unit(span);
        }
        Self {
            written: ty.to_token_stream(),
            value: value.map_or_else(|| quote_spanned!(span=> ()), ToTokens::to_token_stream),
            is_known: value.is_none_or(is_known),
            shape,
            value_place: value.map_or_else(|| Place::of(ty), Place::of),
            error_place: arguments.get(1).map_or_else(|| Place::of(ty), Place::of),
        }
    }

    fn unit(span: Span) -> Self {
        let unit = quote_spanned!(span=> ());
        Self {
            written: unit.clone(),
            value: unit,
            is_known: true,
            shape: Shape::Plain,
            value_place: Place::at(span),
            error_place: Place::at(span),
        }
    }
}

/// The type arguments of a path that ends in `Result`, or for a task in
/// `State`. (A flow's state by hand is its value, from which its own follows.)
fn shaped(path: &Path, kind: Kind) -> Option<(Shape, Vec<&Type>)> {
    let last = path.segments.last()?;
    let shape = match kind {
        _ if last.ident == "Result" => Shape::Result,
        Kind::Task if last.ident == "State" => Shape::State,
        _ => return None,
    };
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return Some((shape, Vec::new()));
    };
    let types = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    Some((shape, types.collect()))
}

/// Notes what cannot be a run's value; false if the type must not be used.
fn check_value(ty: &Type, kind: Kind, problems: &mut Problems) -> bool {
    let word = kind.word();
    // A value borrowed for ever outlives its run, but no other process has it.
    let forever = match types::bare(ty) {
        Type::Reference(reference) => reference.lifetime.as_ref().map(ToTokens::to_token_stream),
        _ => None,
    };
    if let (Some(_), Kind::Task) = (&forever, kind) {
        problems.push(
            ty,
            format!(
                "the value of a {word} cannot be borrowed: return an owned type, such as `String`"
            ),
        );
        return false;
    }
    let Some(obstacle) = types::obstacle(ty) else {
        return true;
    };
    let (part, message) = match obstacle {
        Obstacle::Borrowed(part) | Obstacle::Lifetime(part) => (
            part,
            format!(
                "the value of a {word} outlives its arguments and cannot be borrowed from them: \
                 return an owned type, such as `String` for `&str` or `Vec<T>` for `&[T]`"
            ),
        ),
        Obstacle::Impl(part) => (
            part,
            format!("a {word} cannot return `impl Trait`: name the type, such as `Vec<T>`"),
        ),
        Obstacle::Inferred(part) => (part, format!("a {word} needs its types written out")),
        Obstacle::Never(part) => (
            part,
            format!("a {word} must return: `!` has no value; remove `-> !`"),
        ),
    };
    problems.push(part, message);
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    fn output(ty: TokenStream) -> (Output, Vec<String>) {
        let mut problems = Problems::default();
        let parsed: ReturnType = syn::parse2(ty).expect("a return type");
        let output = Output::of(&parsed, Kind::Task, Span::call_site(), &mut problems);
        (output, problems.messages())
    }

    #[test]
    fn results_are_told_by_their_name() {
        for (written, value, shape) in [
            (quote!(), "()", Shape::Plain),
            (quote!(-> i64), "i64", Shape::Plain),
            (
                quote!(-> Option<Result<i64>>),
                "Option<Result<i64>>",
                Shape::Plain,
            ),
            (quote!(-> Result<i64>), "i64", Shape::Result),
            (quote!(-> Result<Vec<u8>, Bad>), "Vec<u8>", Shape::Result),
            (quote!(-> std::io::Result<()>), "()", Shape::Result),
            (quote!(-> std::fmt::Result), "()", Shape::Result),
            (quote!(-> State<i64>), "i64", Shape::State),
            (quote!(-> flowcore::State), "()", Shape::State),
            (quote!(-> (Result<i64, Bad>)), "i64", Shape::Result),
        ] {
            let (found, problems) = output(written.clone());
            assert_eq!(problems, [""; 0], "{written}");
            assert_eq!(found.value.to_string().replace(' ', ""), value, "{written}");
            assert_eq!(found.shape, shape, "{written}");
        }
    }

    #[test]
    fn mistakes_name_the_cure() {
        for (written, part) in [
            (quote!(-> &str), "outlives its arguments"),
            (
                quote!(-> &'static str),
                "return an owned type, such as `String`",
            ),
            (quote!(-> Result<Cow<'_, str>>), "outlives its arguments"),
            (
                quote!(-> impl Iterator<Item = u8>),
                "cannot return `impl Trait`",
            ),
            (quote!(-> !), "must return"),
            (quote!(-> Vec<_>), "types written out"),
        ] {
            let (_, problems) = output(written.clone());
            assert_eq!(problems.len(), 1, "{written}: {problems:?}");
            assert!(problems[0].contains(part), "{written}: {problems:?}");
        }
    }
}
