//! The annotated function: signature parsed, body kept as tokens.
//!
//! While somebody types, the body is broken most of the time. It is only moved
//! from one place to another, so nothing here looks into it, and the task keeps
//! its type and its methods meanwhile.

mod carried;
mod documentation;
mod known;
mod output;
mod parameter;
mod pattern;
mod type_text;
mod types;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, FnArg, GenericParam, Safety, Signature, Visibility};

pub(crate) use self::carried::Carried;
pub(crate) use self::documentation::documented;
pub(crate) use self::output::{Output, Shape};
pub(crate) use self::parameter::{Mode, Parameter};
pub(crate) use self::type_text::type_text;
pub(crate) use self::types::names_lifetime;

use crate::problems::Problems;

/// Most parameters that a task or a flow can have; `flowcore` implements its
/// traits for tuples up to this length.
pub(crate) const MOST_PARAMETERS: usize = 12;

/// Which macro the function is annotated with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Task,
    Flow,
}

impl Kind {
    /// The attribute's name.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Flow => "flow",
        }
    }
}

/// A function as it was written.
pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) signature: Signature,
    /// The braces and what is in them.
    pub(crate) body: TokenTree,
}

impl Function {
    /// Parses an item, which fails only if it is no function at all.
    pub(crate) fn parse(item: TokenStream, kind: Kind) -> syn::Result<Self> {
        let word = kind.word();
        let parser = |input: ParseStream<'_>| {
            let attributes = input.call(Attribute::parse_outer)?;
            let visibility: Visibility = input.parse()?;
            let ahead = input.fork();
            let signature: Signature = match input.parse() {
                Ok(signature) => signature,
                Err(error) => return Err(not_a_function(&ahead, word, error)),
            };
            let body: TokenTree = input.parse()?;
            match &body {
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {}
                other => {
                    return Err(syn::Error::new(
                        other.span(),
                        format!("a {word} needs a body: `{{ .. }}`"),
                    ));
                }
            }
            Ok(Self {
                attributes,
                visibility,
                signature,
                body,
            })
        };
        parser.parse2(item)
    }

    /// Notes what no task or flow can be, whatever its parameters are.
    pub(crate) fn check(&self, kind: Kind, problems: &mut Problems) {
        let word = kind.word();
        let signature = &self.signature;
        if let Some(constness) = &signature.constness {
            problems.push(
                constness,
                format!("a {word} cannot be `const`: it runs when a flow runs; remove `const`"),
            );
        }
        if let Safety::Unsafe(keyword) = &signature.safety {
            problems.push(
                keyword,
                format!(
                    "a {word} cannot be `unsafe`: callers could not keep its promises; \
                     remove `unsafe` and put an `unsafe` block into the body"
                ),
            );
        }
        if let Some(abi) = &signature.abi {
            problems.push(
                abi,
                format!("a {word} cannot be `extern`: it is called by the engine; remove `extern`"),
            );
        }
        if let Some(variadic) = &signature.variadic {
            problems.push(
                variadic,
                format!("a {word} cannot be variadic; take a `Vec<..>` instead"),
            );
        }
        self.check_generics(kind, problems);
        self.check_attributes(kind, problems);
        if let Some(first_too_many) = signature.inputs.iter().nth(MOST_PARAMETERS) {
            problems.push(
                first_too_many,
                format!(
                    "a {word} has at most {MOST_PARAMETERS} parameters; \
                     put some that belong together into a struct"
                ),
            );
        }
        if let Some(FnArg::Receiver(receiver)) = signature.inputs.first() {
            problems.push(
                receiver,
                format!(
                    "a {word} cannot take `self`: make it a function outside of the `impl` \
                     and pass the value as a parameter, such as `this: &Type`"
                ),
            );
        }
    }

    fn check_generics(&self, kind: Kind, problems: &mut Problems) {
        let word = kind.word();
        let generics = &self.signature.generics;
        let only_lifetimes = generics
            .params
            .iter()
            .all(|parameter| matches!(parameter, GenericParam::Lifetime(_)));
        if generics.params.is_empty() {
            if let Some(clause) = &generics.where_clause {
                problems.push(
                    clause,
                    format!("a {word} cannot have a `where` clause: it is not generic; remove it"),
                );
            }
        } else if only_lifetimes {
            problems.push(
                &generics.params,
                format!(
                    "a {word} needs no lifetime parameters: write `&T` or `&str`; \
                     each parameter is borrowed for the run, and what is returned is owned"
                ),
            );
        } else {
            let reason = match kind {
                Kind::Task => {
                    "a worker finds it by its name, and each type would need one of its own"
                }
                Kind::Flow => "a server knows it by its name, and each type would need its own",
            };
            problems.push(
                &generics.params,
                format!(
                    "a {word} cannot be generic: {reason}; \
                     write a generic function and one {word} per type that calls it"
                ),
            );
        }
    }

    fn check_attributes(&self, kind: Kind, problems: &mut Problems) {
        for attribute in &self.attributes {
            let Some(last) = attribute.path().segments.last() else {
                continue;
            };
            if last.ident == kind.word() {
                problems.push(
                    attribute,
                    format!("`#[{}]` stands here twice; remove one", kind.word()),
                );
            } else if last.ident == "task" || last.ident == "flow" {
                problems.push(
                    attribute,
                    "a function is a task or a flow, not both; \
                     write a second function that calls the first",
                );
            }
        }
    }

    /// The item without its macros of this crate, for a function that cannot be
    /// what they make of it. Nothing uses it then as it was meant.
    pub(crate) fn as_it_was(&self, kind: Kind) -> TokenStream {
        let attributes = self.attributes.iter().filter(|attribute| {
            let last = attribute.path().segments.last();
            last.is_none_or(|last| last.ident != kind.word())
        });
        let (visibility, signature, body) = (&self.visibility, self.plain_signature(), &self.body);
        quote! {
            #(#attributes)*
            #[allow(unused, clippy::all)]
            #visibility #signature #body
        }
    }

    /// The signature without what only the macro understands.
    pub(crate) fn plain_signature(&self) -> Signature {
        let mut signature = self.signature.clone();
        for input in &mut signature.inputs {
            if let FnArg::Typed(typed) = input {
                typed
                    .attrs
                    .retain(|attribute| !parameter::is_ours(attribute));
            }
        }
        signature
    }

    /// What the fingerprint covers: signature and body.
    pub(crate) fn code(&self) -> TokenStream {
        let mut code = self.signature.to_token_stream();
        self.body.to_tokens(&mut code);
        code
    }

    /// The parameters; a problem for each that cannot be one.
    pub(crate) fn parameters(
        &self,
        kind: Kind,
        local: bool,
        problems: &mut Problems,
    ) -> Vec<Parameter> {
        let mut parameters = Vec::new();
        for input in &self.signature.inputs {
            if let FnArg::Typed(typed) = input {
                parameters.push(Parameter::new(
                    typed,
                    parameters.len(),
                    kind,
                    local,
                    problems,
                ));
            }
        }
        parameter::check_names(&mut parameters, &self.signature.ident, kind, problems);
        parameters
    }
}

/// Says what the item is if it is plainly something else than a function.
fn not_a_function(input: ParseStream<'_>, word: &str, error: syn::Error) -> syn::Error {
    let Ok(TokenTree::Ident(keyword)) = input.parse::<TokenTree>() else {
        return error;
    };
    let others = [
        "struct",
        "enum",
        "union",
        "trait",
        "impl",
        "mod",
        "static",
        "type",
        "use",
        "macro_rules",
    ];
    if others.iter().any(|other| keyword == other) {
        return syn::Error::new(
            keyword.span(),
            format!("`#[{word}]` goes on a function: `fn` or `async fn`"),
        );
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    fn messages(item: TokenStream) -> Vec<String> {
        let mut problems = Problems::default();
        match Function::parse(item, Kind::Task) {
            Ok(function) => {
                function.check(Kind::Task, &mut problems);
                function.parameters(Kind::Task, false, &mut problems);
            }
            Err(error) => problems.add(error),
        }
        problems.messages()
    }

    fn one(item: TokenStream) -> String {
        let mut messages = messages(item);
        assert_eq!(messages.len(), 1, "{messages:?}");
        messages.remove(0)
    }

    #[test]
    fn ordinary_functions_have_no_problems() {
        for item in [
            quote!(
                fn inc(x: i64) -> i64 {
                    x + 1
                }
            ),
            quote!(
                pub(crate) async fn load(path: &Path, rows: &[f64], name: &str) {}
            ),
            quote!(
                fn sum((a, b): (i64, i64), mut c: i64, _: &Row) -> Result<i64, Bad> {}
            ),
            quote!(
                /** documented */
                #[cfg(test)]
                fn r#type(r#in: u8) {}
            ),
            quote!(
                fn text(value: Cow<'static, str>) {}
            ),
        ] {
            assert_eq!(messages(item.clone()), [""; 0], "{item}");
        }
    }

    #[test]
    fn a_body_may_be_anything_between_braces() {
        for item in [
            quote!(fn inc(x: i64) -> i64 { x. }),
            quote!(fn inc(x: i64) -> i64 { let = ; }),
        ] {
            assert_eq!(messages(item.clone()), [""; 0], "{item}");
        }
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let found = messages(quote!(
            const unsafe extern "C" fn bad<T: Copy>(self, x: impl Fn()) {}
        ));
        for (part, message) in ["const", "unsafe", "extern", "generic", "self", "impl"]
            .iter()
            .zip(&found)
        {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert_eq!(found.len(), 6, "{found:?}");
    }

    #[test]
    fn what_is_no_function_says_so() {
        assert!(
            one(quote!(
                struct Row;
            ))
            .contains("goes on a function")
        );
        assert!(
            one(quote!(
                pub mod rows {}
            ))
            .contains("goes on a function")
        );
        assert!(
            one(quote!(
                fn inc(x: i64) -> i64;
            ))
            .contains("needs a body")
        );
    }

    #[test]
    fn lifetimes_are_told_apart_from_generics() {
        assert!(
            one(quote!(
                fn f<'a>(x: &'a str) {}
            ))
            .contains("needs no lifetime")
        );
        assert!(
            one(quote!(
                fn f<T>(x: T) {}
            ))
            .contains("cannot be generic")
        );
        assert!(
            one(quote!(
                fn f(x: i64)
                where
                    i64: Copy,
                {
                }
            ))
            .contains("`where` clause")
        );
    }

    #[test]
    fn two_macros_on_one_function_are_refused() {
        assert!(
            one(quote!(
                #[flow]
                fn f() {}
            ))
            .contains("not both")
        );
        assert!(
            one(quote!(
                #[flowcore::task]
                fn f() {}
            ))
            .contains("twice")
        );
    }

    #[test]
    fn a_thirteenth_parameter_is_refused() {
        let names = (0..13).map(|n| quote::format_ident!("p{n}"));
        assert!(one(quote!(fn f(#(#names: u8),*) {})).contains("at most 12"));
    }
}
