//! Where the function's other attributes go.
//!
//! One function becomes several items. What was written under `#[task]` must
//! reach those that it is meant for: a `#[cfg]` all of them, a `#[deprecated]`
//! what people name, a `#[tracing::instrument]` the function.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::punctuated::Punctuated;
use syn::{Attribute, Meta, Token};

/// The attributes by the items that they go to.
#[derive(Default)]
pub(crate) struct Carried {
    /// `#[cfg]`: every item.
    pub(crate) conditions: TokenStream,
    /// Lint levels: every item but macro calls, which have none.
    pub(crate) lints: TokenStream,
    /// Doc comments: what people see.
    pub(crate) documentation: TokenStream,
    /// `#[deprecated]` and expected lints about use: the static.
    pub(crate) handle: TokenStream,
    /// Everything else: the function itself.
    pub(crate) function: TokenStream,
}

enum Destination {
    Conditions,
    Lints,
    Documentation,
    Handle,
    Function,
    Nowhere,
}

impl Carried {
    pub(crate) fn new(attributes: &[Attribute]) -> Self {
        let mut carried = Self::default();
        for attribute in attributes {
            if attribute.path().is_ident("cfg_attr") {
                carried.conditional(attribute);
            } else if let Some(tokens) = carried.destination(&attribute.meta) {
                attribute.to_tokens(tokens);
            }
        }
        carried
    }

    /// Splits `#[cfg_attr(condition, a, b)]` into one for each destination.
    fn conditional(&mut self, attribute: &Attribute) {
        let parsed = attribute.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
        let Ok(parts) = parsed else {
            attribute.to_tokens(&mut self.function);
            return;
        };
        let mut parts = parts.into_iter();
        let Some(condition) = parts.next() else {
            return;
        };
        for part in parts {
            if let Some(tokens) = self.destination(&part) {
                tokens.extend(quote!(#[cfg_attr(#condition, #part)]));
            }
        }
    }

    fn destination(&mut self, meta: &Meta) -> Option<&mut TokenStream> {
        match destination(meta) {
            Destination::Conditions => Some(&mut self.conditions),
            Destination::Lints => Some(&mut self.lints),
            Destination::Documentation => Some(&mut self.documentation),
            Destination::Handle => Some(&mut self.handle),
            Destination::Function => Some(&mut self.function),
            Destination::Nowhere => None,
        }
    }
}

fn destination(meta: &Meta) -> Destination {
    let path = meta.path();
    let Some(name) = path.get_ident().map(ToString::to_string) else {
        return Destination::Function;
    };
    match name.as_str() {
        "cfg" => Destination::Conditions,
        "allow" | "warn" | "deny" | "forbid" => Destination::Lints,
        "doc" => Destination::Documentation,
        "deprecated" => Destination::Handle,
        // An expectation must be met where it stands, and unused tasks show at
        // the static.
        "expect" if mentions_use(meta) => Destination::Handle,
        // What a call returns is `must_use` anyway.
        "must_use" => Destination::Nowhere,
        _ => Destination::Function,
    }
}

fn mentions_use(meta: &Meta) -> bool {
    let Meta::List(list) = meta else {
        return false;
    };
    list.tokens.clone().into_iter().any(|token| {
        let text = token.to_string();
        text == "dead_code" || text == "unused" || text == "unreachable_pub"
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    #[test]
    fn each_attribute_finds_its_items() {
        let attributes: Vec<Attribute> = vec![
            parse_quote!(#[cfg(unix)]),
            parse_quote!(#[doc = "text"]),
            parse_quote!(#[deprecated]),
            parse_quote!(#[tracing::instrument]),
            parse_quote!(#[must_use]),
            parse_quote!(#[expect(dead_code)]),
            parse_quote!(#[expect(clippy::too_many_lines)]),
        ];
        let carried = Carried::new(&attributes);
        assert_eq!(
            carried.conditions.to_string(),
            quote!(#[cfg(unix)]).to_string()
        );
        assert_eq!(
            carried.documentation.to_string(),
            quote!(#[doc = "text"]).to_string()
        );
        assert_eq!(
            carried.handle.to_string(),
            quote!(#[deprecated] #[expect(dead_code)]).to_string()
        );
        assert_eq!(
            carried.function.to_string(),
            quote!(#[tracing::instrument] #[expect(clippy::too_many_lines)]).to_string()
        );
    }

    #[test]
    fn conditional_attributes_are_split() {
        let carried =
            Carried::new(&[parse_quote!(#[cfg_attr(test, deprecated, inline, cfg(unix))])]);
        assert_eq!(
            carried.conditions.to_string(),
            quote!(#[cfg_attr(test, cfg(unix))]).to_string()
        );
        assert_eq!(
            carried.handle.to_string(),
            quote!(#[cfg_attr(test, deprecated)]).to_string()
        );
        assert_eq!(
            carried.function.to_string(),
            quote!(#[cfg_attr(test, inline)]).to_string()
        );
    }
}
