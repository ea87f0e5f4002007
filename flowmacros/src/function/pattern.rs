//! The name that a parameter shows to callers.
//!
//! A pattern such as `(a, b): (i64, i64)` has none, yet the methods need one.
//! It is made of the names that the pattern binds.

use proc_macro2::{Ident, Span};
use quote::format_ident;
use syn::Pat;
use syn::ext::IdentExt;

/// The name for a pattern, or nothing if it binds none.
pub(crate) fn name(pattern: &Pat) -> Option<Ident> {
    let mut bound = Vec::new();
    collect(pattern, &mut bound);
    match bound.as_slice() {
        [] => None,
        [single] => Some((*single).clone()),
        several => {
            let joined: Vec<String> = several
                .iter()
                .map(|ident| ident.unraw().to_string())
                .collect();
            let span: Span = several[0].span();
            Some(format_ident!("{}", joined.join("_"), span = span))
        }
    }
}

fn collect<'a>(pattern: &'a Pat, bound: &mut Vec<&'a Ident>) {
    match pattern {
        Pat::Ident(ident) => bound.push(&ident.ident),
        Pat::Paren(paren) => collect(&paren.pat, bound),
        Pat::Reference(reference) => collect(&reference.pat, bound),
        Pat::Type(typed) => collect(&typed.pat, bound),
        // Every case binds the same names.
        Pat::Or(or) => {
            if let Some(case) = or.cases.first() {
                collect(case, bound);
            }
        }
        Pat::Tuple(tuple) => tuple.elems.iter().for_each(|part| collect(part, bound)),
        Pat::TupleStruct(tuple) => tuple.elems.iter().for_each(|part| collect(part, bound)),
        Pat::Slice(slice) => slice.elems.iter().for_each(|part| collect(part, bound)),
        Pat::Struct(fields) => fields
            .fields
            .iter()
            .for_each(|field| collect(&field.pat, bound)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;
    use syn::parse::Parser;

    fn named(pattern: proc_macro2::TokenStream) -> Option<String> {
        let pattern = Pat::parse_single.parse2(pattern).expect("a pattern");
        name(&pattern).map(|ident| ident.to_string())
    }

    #[test]
    fn patterns_are_named_after_what_they_bind() {
        assert_eq!(named(quote!(x)).as_deref(), Some("x"));
        assert_eq!(named(quote!(mut x)).as_deref(), Some("x"));
        assert_eq!(named(quote!((a, b))).as_deref(), Some("a_b"));
        assert_eq!(
            named(quote!(Point { x, y: (p, _) })).as_deref(),
            Some("x_p")
        );
        assert_eq!(named(quote!(Wrapper(inner))).as_deref(), Some("inner"));
        assert_eq!(
            named(quote!([first, .., last])).as_deref(),
            Some("first_last")
        );
        assert_eq!(named(quote!(r#type)).as_deref(), Some("r#type"));
    }

    #[test]
    fn some_patterns_bind_nothing() {
        assert_eq!(named(quote!(_)), None);
        assert_eq!(named(quote!(())), None);
    }
}
