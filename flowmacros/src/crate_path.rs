//! The path of `flowcore` in generated code.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};

/// What the module for generated code is called in it.
const ALIAS: &str = "__flowcore";

/// `::flowcore`, or what `crate = path` says.
pub(crate) struct CratePath(TokenStream);

impl Default for CratePath {
    fn default() -> Self {
        Self(quote!(::flowcore))
    }
}

impl CratePath {
    pub(crate) fn new(path: &syn::Path) -> Self {
        Self(path.to_token_stream())
    }

    /// The crate's module for generated code where [`Self::alias`] is in scope,
    /// with the span of something that the user wrote.
    ///
    /// The compiler joins the spans of an expression or a bound; one token at
    /// the attribute would move the whole message there.
    #[expect(clippy::unused_self, reason = "no path without a crate that it is of")]
    pub(crate) fn private(&self, span: Span) -> TokenStream {
        Ident::new(ALIAS, span).into_token_stream()
    }

    /// Makes the module known by a name of one token: there are many paths to
    /// it, and each token costs.
    pub(crate) fn alias(&self) -> TokenStream {
        let private = self.full(Span::call_site());
        let alias = Ident::new(ALIAS, Span::call_site());
        quote!(use #private as #alias;)
    }

    /// The crate itself.
    pub(crate) fn path(&self) -> &TokenStream {
        &self.0
    }

    /// The module where it has no other name.
    pub(crate) fn full(&self, span: Span) -> TokenStream {
        let path = self.0.clone().into_iter().map(|mut token| {
            token.set_span(span);
            token
        });
        let private = Ident::new("__private", span);
        quote_spanned!(span=> #(#path)*::#private)
    }
}

/// Where tokens begin and end. The compiler underlines a type from its first
/// to its last token; one span for all of it would be that of the first.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) start: Span,
    pub(crate) end: Span,
}

impl Place {
    pub(crate) fn of(tokens: impl ToTokens) -> Self {
        let mut spans = tokens
            .into_token_stream()
            .into_iter()
            .map(|token| match token {
                TokenTree::Group(group) => (group.span_open(), group.span_close()),
                token => (token.span(), token.span()),
            });
        let (start, first) = spans
            .next()
            .unwrap_or_else(|| (Span::call_site(), Span::call_site()));
        let end = spans.last().map_or(first, |(_, end)| end);
        Self { start, end }
    }

    pub(crate) fn at(span: Span) -> Self {
        Self {
            start: span,
            end: span,
        }
    }
}

/// The tokens at another place; names are still looked up where they were.
pub(crate) fn located(tokens: TokenStream, span: Span) -> TokenStream {
    tokens
        .into_iter()
        .map(|token| match token {
            TokenTree::Group(group) => {
                let mut moved = Group::new(group.delimiter(), located(group.stream(), span));
                moved.set_span(group.span().located_at(span));
                TokenTree::Group(moved)
            }
            mut token => {
                token.set_span(token.span().located_at(span));
                token
            }
        })
        .collect()
}
