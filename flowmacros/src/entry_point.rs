//! The expansion of `#[flowcore::main]`.

use proc_macro2::{TokenStream, TokenTree};
use quote::{quote, quote_spanned};
use syn::parse::{ParseStream, Parser};
use syn::spanned::Spanned;
use syn::{Attribute, ReturnType, Signature, Visibility};

use crate::attribute;
use crate::problems::Problems;

struct Main {
    attributes: Vec<Attribute>,
    visibility: Visibility,
    signature: Signature,
    body: TokenTree,
}

/// Expands `#[flowcore::main(arguments)] item`.
pub(crate) fn expand(arguments: TokenStream, item: &TokenStream) -> TokenStream {
    let mut problems = Problems::default();
    let attribute::EntryPoint { krate, signals } = attribute::entry_point(arguments, &mut problems);
    let parser = |input: ParseStream<'_>| {
        Ok(Main {
            attributes: input.call(Attribute::parse_outer)?,
            visibility: input.parse()?,
            signature: input.parse()?,
            body: input.parse()?,
        })
    };
    let main = match parser.parse2(item.clone()) {
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

    let Main {
        attributes,
        visibility,
        signature,
        body,
    } = main;
    let name = &signature.ident;
    let output = &signature.output;
    let written = match output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, ty) => quote!(#ty),
    };
    let private = krate.full(proc_macro2::Span::call_site());
    // A block that is typed as the function is gets the compiler's messages
    // about a wrong value at the value, and `?` knows its error type.
    let future = if signature.asyncness.is_some() {
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
    let future = quote_spanned!(name.span()=> #future);
    let problems = problems.into_tokens();
    quote! {
        #(#attributes)*
        #visibility fn #name() #output {
            #private::run_main(::core::cfg!(panic = "abort"), #signals, #future)
        }
        #problems
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
}
