//! The task as the engine sees it: facts, types, one attempt.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ExprPath;

use crate::attribute::{Resource, TaskAttribute};
use crate::crate_path::Place;
use crate::fingerprint::fingerprint;
use crate::function::{Mode, description};
use crate::handle::{Handle, naming_text};

/// The facts, the implementation of `TaskDefinition`, the registry's entry.
pub(super) fn tokens(handle: &Handle<'_>, attribute: &TaskAttribute) -> TokenStream {
    let private = handle.private();
    let before = handle.before_item();
    let type_name = &handle.type_name;
    let info = info(handle, attribute);
    let of_parameters = of_parameters(handle, attribute);
    let of_output = of_output(handle, attribute.local);
    let conditions = &handle.carried.conditions;
    let header = quote_spanned!(handle.span()=> #private::TaskDefinition for #type_name);
    quote! {
        #before
        impl #type_name {
            const __INFO: &'static #private::TaskInfo = &#info;
        }

        #before
        #[automatically_derived]
        impl #header {
            fn info() -> &'static #private::TaskInfo {
                Self::__INFO
            }

            #of_parameters
            #of_output
        }

        #conditions
        #private::inventory::submit! {
            #private::TaskEntry::of::<#type_name>(#type_name::__definition)
        }
    }
}

/// The items that name all parameters. Their spans are those of the parameter
/// list from the first token to the last, because the compiler judges each of
/// them: so errors about a parameter's type are there, and equal ones are one.
fn of_parameters(handle: &Handle<'_>, attribute: &TaskAttribute) -> TokenStream {
    let local = attribute.local;
    let list = handle.parameter_list();
    let private = handle.krate.private(list);
    let names = values(handle);
    let parameters = parameters(handle);
    let access = handle
        .parameters
        .iter()
        .map(|parameter| access(handle, &parameter.owned, parameter.place, local));
    let tuple = group(Delimiter::Parenthesis, quote!(#(#parameters,)*), list);
    let access = group(Delimiter::Brace, quote!((#(#access,)*)), list);
    let run = group(Delimiter::Brace, run(handle), list);
    let text = group(Delimiter::Brace, argument_text(handle), list);
    let cache_key = attribute.results.cache_key.as_ref().map(|function| {
        let arguments = handle.parameters.iter().zip(&names);
        let arguments = arguments.map(|(parameter, value)| match parameter.mode {
            Mode::Owned => quote!(#value),
            Mode::Shared => quote!(&**#value),
        });
        let call = key_call(handle, function, arguments);
        quote_spanned! {list=>
            #[allow(unused_variables)]
            fn cache_key(
                (#(#names,)*): &<Self::Parameters as #private::Parameters>::Values,
            ) -> #private::CacheKey { #call }
        }
    });
    quote_spanned! {list=>
        type Parameters = #tuple;

        fn access() -> <Self::Parameters as #private::Parameters>::Access #access

        fn run(
            (#(#names,)*): <Self::Parameters as #private::Parameters>::Values,
        ) -> #private::TaskBody<Self::Output> #run

        #cache_key

        #[allow(unused_variables)]
        fn argument_text(
            (#(#names,)*): &<Self::Parameters as #private::Parameters>::Values,
            __index: usize,
        ) -> ::std::string::String #text
    }
}

/// The task's `cache_key` with these arguments, whatever form its key has.
pub(super) fn key_call(
    handle: &Handle<'_>,
    function: &ExprPath,
    arguments: impl Iterator<Item = TokenStream>,
) -> TokenStream {
    let Place { start, end } = Place::of(function);
    let private = handle.krate.private(start);
    let convert = quote_spanned!(start=> #private::IntoCacheKey::into_cache_key);
    let call = quote_spanned!(end=> (#(#arguments),*));
    quote_spanned!(end=> #convert(#function #call))
}

/// The items that name the output, with its spans.
fn of_output(handle: &Handle<'_>, local: bool) -> TokenStream {
    let output = &handle.output;
    let Place { start, end } = output.value_place;
    let private = handle.krate.private(start);
    let value = shareable(handle, &output.value, output.value_place);
    let access = access(handle, &output.value, output.value_place, local);
    let access = group(Delimiter::Brace, access, end);
    let name = Ident::new("Output", end);
    let semicolon = quote_spanned!(end=> ;);
    let close = quote_spanned!(end=> >);
    quote_spanned! {start=>
        type #name = #value #semicolon

        fn output_access() -> #private::Access<Self::Output #close #access
    }
}

/// Brackets with a span of their own around tokens that keep theirs.
fn group(delimiter: Delimiter, tokens: TokenStream, span: Span) -> Group {
    let mut group = Group::new(delimiter, tokens);
    group.set_span(span);
    group
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
    let retry_delay = attribute
        .retry_delay
        .iter()
        .map(|delay| delay.tokens(&private));
    let retry_jitter = attribute.retry_jitter.iter();
    let retry_if = attribute.retry_if.iter().map(|path| {
        let name = path.to_token_stream().to_string().replace(' ', "");
        let Place { start, end } = Place::of(path);
        let ask = quote_spanned!(start=> #private::AnswersRetry::is_retriable);
        let arguments = quote_spanned!(end=> (&#path, __error, __attempt));
        quote! {
            #private::RetryCondition {
                name: #name,
                is_retriable: |__error, __attempt| #ask #arguments,
            }
        }
    });
    let priority = attribute.priority.iter();
    let batch = attribute.batch.iter();
    let resources = attribute.resources.iter().map(Resource::tokens);
    let version = common.version.iter();
    let timeout = common.timeout.iter();
    let run_name = common.run_name.iter();
    let results = &attribute.results;
    let results = results
        .is_some()
        .then(|| results.tokens(&private))
        .into_iter();
    let hooks = common.hooks();
    let transaction_hooks = attribute.transaction_hooks();
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
                #(retries: #retries, has_retries: true,)*
                #(retry_delay: #retry_delay, has_retry_delay: true,)*
                #(retry_jitter: #retry_jitter,)*
                #(retry_if: ::core::option::Option::Some(#retry_if),)*
                #(priority: #priority,)*
                #(batch: ::core::option::Option::Some(#batch),)*
                resources: &[#(#resources),*],
                #(version: ::core::option::Option::Some(#version),)*
                #(timeout: ::core::option::Option::Some(#timeout),)*
                #(task_run_name: ::core::option::Option::Some(#run_name),)*
                #(results: #results,)*
                #hooks
                #transaction_hooks
                ..#private::TaskAttributes::named(#name)
            }),
        }
    }
}

/// `Owned<i64>`, `Shared<String>`, each at its parameter's place.
fn parameters(handle: &Handle<'_>) -> Vec<TokenStream> {
    let tokens = handle.parameters.iter().map(|parameter| {
        let Place { start, end } = parameter.place;
        let private = handle.krate.private(start);
        let owned = shareable(handle, &parameter.owned, parameter.place);
        let mode = match parameter.mode {
            Mode::Owned => quote_spanned!(start=> #private::Owned<),
            Mode::Shared => quote_spanned!(start=> #private::Shared<),
        };
        let close = quote_spanned!(end=> >);
        quote!(#mode #owned #close)
    });
    tokens.collect()
}

/// The type, if threads can share its values. Otherwise the projection fails,
/// at the type and once: what is built on a type that is wrong is not judged.
fn shareable(handle: &Handle<'_>, ty: &TokenStream, place: Place) -> TokenStream {
    let private = handle.krate.private(place.start);
    let open = quote_spanned!(place.start=> <);
    let close = quote_spanned!(place.end=> as #private::probe::Shareable>::Itself);
    quote!(#open #ty #close)
}

/// How values of a type are copied and coded. The one place that asks for
/// `Serialize` and `DeserializeOwned`.
fn access(
    handle: &Handle<'_>,
    ty: &TokenStream,
    Place { start: span, end }: Place,
    local: bool,
) -> TokenStream {
    let private = handle.krate.private(span);
    let codec = if local {
        quote!(::core::option::Option::None)
    } else {
        let open = quote_spanned!(span=> <);
        let codec = quote_spanned!(end=> as #private::probe::Portable>::codec());
        quote_spanned!(span=> ::core::option::Option::Some(#open #ty #codec))
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
    if handle.function.signature.asyncness.is_some() {
        let span = handle.span();
        let outcome = handle.converted(&quote!(#call.await));
        let future = quote_spanned!(span=> ::std::boxed::Box::pin(async move { #outcome }));
        quote!(#private::TaskBody::Future(#future))
    } else {
        let outcome = handle.converted(&call);
        quote!(#private::TaskBody::Done(#outcome))
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
        #imports
        match __index {
            #(#arms)*
            _ => ::std::string::String::new(),
        }
    }
}
