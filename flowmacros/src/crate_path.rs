//! The path of `flowcore` in generated code.

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};

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

    /// The crate's module for generated code, located at a place of the user's.
    ///
    /// The compiler joins the spans of an expression or a bound; one token at
    /// the attribute would move the whole message there.
    pub(crate) fn private(&self, span: Span) -> TokenStream {
        let path = &self.0;
        located(quote!(#path::__private), span)
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
