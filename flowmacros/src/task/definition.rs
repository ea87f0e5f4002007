//! The task as the engine sees it: facts, types, one attempt.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};

use crate::attribute::TaskAttribute;
use crate::fingerprint::fingerprint;
use crate::function::{Mode, description};
use crate::handle::{Handle, naming_text};

/// The facts, the implementation of `TaskDefinition`, the registry's entry.
pub(super) fn tokens(handle: &Handle<'_>, attribute: &TaskAttribute) -> TokenStream {
    let private = handle.private();
    let before = handle.before_item();
    let type_name = &handle.type_name;
    let info = info(handle, attribute);
    let parameters = parameters(handle);
    let value = &handle.output.value;
    let access = handle
        .parameters
        .iter()
        .map(|parameter| access(handle, &parameter.owned, parameter.span, attribute.local));
    let access: Vec<TokenStream> = access.collect();
    let output_access = self::access(
        handle,
        &handle.output.value,
        handle.output.value_span,
        attribute.local,
    );
    let run = run(handle);
    let conditions = &handle.carried.conditions;
    let argument_text = argument_text(handle);
    let span = handle.span();
    let header = quote_spanned!(span=> #private::TaskDefinition for #type_name);
    quote! {
        #before
        impl #type_name {
            const __INFO: &'static #private::TaskInfo = &#info;
        }

        #before
        #[automatically_derived]
        impl #header {
            type Parameters = (#(#parameters,)*);
            type Output = #value;

            fn info() -> &'static #private::TaskInfo {
                Self::__INFO
            }

            fn access() -> <Self::Parameters as #private::Parameters>::Access {
                (#(#access,)*)
            }

            fn output_access() -> #private::Access<Self::Output> {
                #output_access
            }

            #run
            #argument_text
        }

        #conditions
        #private::inventory::submit! {
            #private::TaskEntry::of::<#type_name>()
        }
    }
}

fn info(handle: &Handle<'_>, attribute: &TaskAttribute) -> TokenStream {
    let private = handle.private();
    let place = handle.place();
    let function = naming_text(&handle.function.signature.ident);
    let common = &attribute.common;
    let key = match &common.name {
        Some(name) => quote!(#name),
        None => quote!(::core::concat!(::core::module_path!(), "::", #function)),
    };
    let fingerprint = fingerprint(handle.function.code());
    let is_async = handle.function.signature.asyncness.is_some();
    let is_local = attribute.local;
    let name = match &common.name {
        Some(name) => quote!(#name),
        None => quote!(#function),
    };
    let description = match &common.description {
        Some(text) => text.value(),
        None => description(&handle.function.attributes),
    };
    let tags = &common.tags;
    let retries = attribute.retries.iter();
    let retry_delay = attribute.retry_delay.iter();
    let timeout = common.timeout.iter();
    let run_name = common.run_name.iter();
    quote! {
        #private::TaskInfo {
            key: #key,
            #place
            fingerprint: #fingerprint,
            is_async: #is_async,
            is_local: #is_local,
            options: #private::TaskOptions::from_attributes(#private::TaskAttributes {
                description: #description,
                tags: &[#(#tags),*],
                #(retries: #retries,)*
                #(retry_delay: #retry_delay,)*
                #(timeout: ::core::option::Option::Some(#timeout),)*
                #(task_run_name: ::core::option::Option::Some(#run_name),)*
                ..#private::TaskAttributes::named(#name)
            }),
        }
    }
}

/// `Owned<i64>`, `Shared<String>`, each at its parameter's place.
fn parameters(handle: &Handle<'_>) -> Vec<TokenStream> {
    let tokens = handle.parameters.iter().map(|parameter| {
        let private = handle.krate.private(parameter.span);
        let owned = &parameter.owned;
        match parameter.mode {
            Mode::Owned => quote_spanned!(parameter.span=> #private::Owned<#owned>),
            Mode::Shared => quote_spanned!(parameter.span=> #private::Shared<#owned>),
        }
    });
    tokens.collect()
}

/// How values of a type are copied and coded. The one place that asks for
/// `Serialize` and `DeserializeOwned`.
fn access(
    handle: &Handle<'_>,
    ty: &TokenStream,
    span: proc_macro2::Span,
    local: bool,
) -> TokenStream {
    let private = handle.krate.private(span);
    let codec = if local {
        quote!(::core::option::Option::None)
    } else {
        quote_spanned!(span=> ::core::option::Option::Some(
            <#ty as #private::probe::Portable>::codec()
        ))
    };
    quote_spanned! {span=>
        #private::Access::new(
            {
                #[allow(unused_imports)]
                use #private::probe::{Cloner as _, NoCloner as _};
                (&&#private::probe::ValueProbe::<#ty>::new()).cloner()
            },
            #codec,
        )
    }
}

/// Names for the values of one attempt.
fn values(handle: &Handle<'_>) -> Vec<Ident> {
    (0..handle.parameters.len())
        .map(|index| format_ident!("__value_{index}"))
        .collect()
}

fn run(handle: &Handle<'_>) -> TokenStream {
    let private = handle.private();
    let values = values(handle);
    let arguments = handle
        .parameters
        .iter()
        .zip(&values)
        .map(|(parameter, value)| match parameter.mode {
            Mode::Owned => quote!(#value),
            Mode::Shared => quote!(&#value),
        });
    let plain = &handle.plain;
    let call = quote!(#plain(#(#arguments),*));
    let body = if handle.function.signature.asyncness.is_some() {
        let span = handle.span();
        let outcome = handle.converted(&quote!(#call.await));
        let future = quote_spanned!(span=> ::std::boxed::Box::pin(async move { #outcome }));
        quote!(#private::TaskBody::Future(#future))
    } else {
        let outcome = handle.converted(&call);
        quote!(#private::TaskBody::Done(#outcome))
    };
    quote! {
        fn run(
            (#(#values,)*): <Self::Parameters as #private::Parameters>::Values,
        ) -> #private::TaskBody<Self::Output> {
            #body
        }
    }
}

fn argument_text(handle: &Handle<'_>) -> TokenStream {
    let private = handle.private();
    let imports = handle.text_imports();
    let values = values(handle);
    let arms =
        handle
            .parameters
            .iter()
            .zip(&values)
            .enumerate()
            .map(|(index, (parameter, value))| {
                let ty = &parameter.owned;
                quote! {
                    #index => (&&&#private::probe::ValueProbe::<#ty>::new()).text(#value),
                }
            });
    quote! {
        #[allow(unused_variables)]
        fn argument_text(
            (#(#values,)*): &<Self::Parameters as #private::Parameters>::Values,
            __index: usize,
        ) -> ::std::string::String {
            #imports
            match __index {
                #(#arms)*
                _ => ::std::string::String::new(),
            }
        }
    }
}
