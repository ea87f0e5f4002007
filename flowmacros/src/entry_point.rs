//! The expansions of `#[flowcore::main]` and `#[flowcore::test]`: functions
//! whose code runs where flows can.

use proc_macro2::{TokenStream, TokenTree};
use quote::{quote, quote_spanned};
use syn::parse::{ParseStream, Parser};
use syn::spanned::Spanned;
use syn::{Attribute, ReturnType, Signature, Visibility};

use crate::attribute;
use crate::problems::Problems;

/// The function as it was written.
struct Written {
    attributes: Vec<Attribute>,
    visibility: Visibility,
    signature: Signature,
    body: TokenTree,
}

impl Written {
    fn parse(item: &TokenStream) -> syn::Result<Self> {
        let parser = |input: ParseStream<'_>| {
            Ok(Self {
                attributes: input.call(Attribute::parse_outer)?,
                visibility: input.parse()?,
                signature: input.parse()?,
                body: input.parse()?,
            })
        };
        parser.parse2(item.clone())
    }

    /// Whether it does nothing by itself.
    fn is_empty(&self) -> bool {
        matches!(&self.body, TokenTree::Group(body) if body.stream().is_empty())
    }

    /// Its code as a future. A block that is typed as the function is gets the
    /// compiler's messages about a wrong value at the value, and `?` knows its
    /// error type.
    fn future(&self) -> TokenStream {
        let body = &self.body;
        let written = match &self.signature.output {
            ReturnType::Default => quote!(()),
            ReturnType::Type(_, ty) => quote!(#ty),
        };
        let future = if self.signature.asyncness.is_some() {
            quote!(async move {
                let __output: #written = #body;
                #[allow(unreachable_code)]
                __output
            })
        } else {
            quote!(async move {
                #[allow(clippy::redundant_closure_call)]
                (move || -> #written #body)()
            })
        };
        quote_spanned!(self.signature.ident.span()=> #future)
    }
}

/// Expands `#[flowcore::main(arguments)] item`.
pub(crate) fn expand(arguments: TokenStream, item: &TokenStream) -> TokenStream {
    let mut problems = Problems::default();
    let attribute::EntryPoint {
        krate,
        signals,
        cli,
    } = attribute::entry_point(arguments, &mut problems);
    let main = match Written::parse(item) {
        Ok(main) => main,
        Err(_) => {
            problems.push_at(
                item.span(),
                "`#[flowcore::main]` goes on `async fn main()` or `fn main()`",
            );
            let problems = problems.into_tokens();
            return quote!(#item #problems);
        }
    };
    check(&main.signature, &mut problems);

    let future = main.future();
    let is_empty = main.is_empty();
    let Written {
        attributes,
        visibility,
        signature,
        ..
    } = main;
    let (name, output) = (&signature.ident, &signature.output);
    let private = krate.full(proc_macro2::Span::call_site());
    let problems = problems.into_tokens();
    let aborts = quote!(::core::cfg!(panic = "abort"));
    let run = match cli {
        false => quote!(#private::run_main(#aborts, #signals, #future)),
        true => quote!(#private::run_main_or_command(#aborts, #signals, #is_empty, #future)),
    };
    quote! {
        #(#attributes)*
        #visibility fn #name() #output {
            #run
        }
        #problems
    }
}

/// Expands `#[flowcore::test(arguments)] item`.
pub(crate) fn expand_test(arguments: TokenStream, item: &TokenStream) -> TokenStream {
    let mut problems = Problems::default();
    let krate = attribute::test(arguments, &mut problems);
    let Ok(test) = Written::parse(item) else {
        problems.push_at(item.span(), "`#[flowcore::test]` goes on `async fn name()`");
        let problems = problems.into_tokens();
        return quote!(#item #problems);
    };
    check_test(&test.signature, &mut problems);

    let future = test.future();
    let Written {
        attributes,
        visibility,
        signature,
        ..
    } = test;
    let (name, output) = (&signature.ident, &signature.output);
    let path = krate.path();
    let problems = problems.into_tokens();
    quote! {
        #[::core::prelude::v1::test]
        #(#attributes)*
        #visibility fn #name() #output {
            #path::testing::run(#future)
        }
        #problems
    }
}

fn check_test(signature: &Signature, problems: &mut Problems) {
    if signature.asyncness.is_none() {
        problems.push(
            signature.fn_token,
            "`#[flowcore::test]` is for `async fn`: without `async` nothing could be awaited, and \
             `#[test]` does",
        );
    }
    if !signature.inputs.is_empty() {
        problems.push(&signature.inputs, "a test takes no parameters");
    }
    if !signature.generics.params.is_empty() {
        problems.push(&signature.generics.params, "a test cannot be generic");
    }
}

fn check(signature: &Signature, problems: &mut Problems) {
    if signature.ident != "main" {
        problems.push(
            &signature.ident,
            "`#[flowcore::main]` goes on the function `main`",
        );
    }
    if !signature.inputs.is_empty() {
        problems.push(
            &signature.inputs,
            "`main` takes no parameters: read the program's arguments with `std::env::args()`",
        );
    }
    if !signature.generics.params.is_empty() {
        problems.push(&signature.generics.params, "`main` cannot be generic");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(item: &TokenStream) -> String {
        expand(TokenStream::new(), item).to_string()
    }

    #[test]
    fn main_is_recognised() {
        let tokens = expanded(&quote!(
            async fn main() -> Result<()> {
                Ok(())
            }
        ));
        assert!(tokens.contains("run_main"), "{tokens}");
        assert!(!tokens.contains("compile_error"), "{tokens}");
    }

    #[test]
    fn a_command_line_is_asked_for_by_a_word() {
        for (item, is_empty) in [
            (
                quote!(
                    fn main() {}
                ),
                "true",
            ),
            (
                quote!(
                    async fn main() {
                        work().await
                    }
                ),
                "false",
            ),
        ] {
            let tokens = expand(quote!(cli), &item).to_string();
            let call = format!(
                "run_main_or_command (:: core :: cfg ! (panic = \"abort\") , true , {is_empty}"
            );
            assert!(tokens.contains(&call), "{tokens}");
        }
    }

    #[test]
    fn mistakes_name_the_cure() {
        for (item, part) in [
            (
                quote!(
                    async fn start() {}
                ),
                "goes on the function `main`",
            ),
            (
                quote!(
                    fn main(arguments: Vec<String>) {}
                ),
                "std::env::args",
            ),
            (
                quote!(
                    struct Main;
                ),
                "goes on `async fn main()`",
            ),
        ] {
            let tokens = expanded(&item);
            assert!(tokens.contains(part), "{part}: {tokens}");
        }
    }

    #[test]
    fn a_test_runs_its_code_in_a_world_of_its_own() {
        let item = quote!(
            #[should_panic]
            async fn fails() -> Result<()> {
                Ok(())
            }
        );
        let tokens = expand_test(quote!(crate = a::flowcore), &item).to_string();
        assert!(
            tokens.contains("a :: flowcore :: testing :: run"),
            "{tokens}"
        );
        assert!(tokens.contains("should_panic"), "{tokens}");
        assert!(!tokens.contains("compile_error"), "{tokens}");
    }

    #[test]
    fn mistakes_of_tests_name_the_cure() {
        for (item, part) in [
            (
                quote!(
                    fn sync() {}
                ),
                "`#[test]` does",
            ),
            (
                quote!(
                    async fn takes(x: i64) {}
                ),
                "takes no parameters",
            ),
            (
                quote!(
                    async fn generic<T>() {}
                ),
                "cannot be generic",
            ),
            (
                quote!(
                    struct Test;
                ),
                "goes on `async fn name()`",
            ),
        ] {
            let tokens = expand_test(TokenStream::new(), &item).to_string();
            assert!(tokens.contains(part), "{part}: {tokens}");
        }
    }
}
