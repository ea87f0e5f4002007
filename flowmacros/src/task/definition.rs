//! The task as the engine sees it: facts, types, one attempt.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ExprPath;

use super::call;
use crate::attribute::{Codec, Resource, TaskAttribute};
use crate::crate_path::Place;
use crate::description;
use crate::fingerprint::fingerprint;
use crate::function::{Mode, Parameter, documented, type_text};
use crate::handle::{Handle, naming_text};

/// The implementation of `TaskDefinition`.
pub(super) fn tokens(handle: &Handle<'_>, attribute: &TaskAttribute) -> TokenStream {
    let private = handle.private();
    let type_name = &handle.type_name;
    let facts = facts(handle, attribute);
    let of_parameters = of_parameters(handle, attribute);
    let of_output = of_output(handle);
    let compact_type = compact_type(handle, attribute);
    let header = quote_spanned!(handle.span()=> #private::TaskDefinition for #type_name);
    let is_known = is_known(handle, attribute);
    let known = quote!(#private::AllKnown);
    let own = quote!(Self);
    let (types, types_of) = if is_known {
        (&known, None)
    } else {
        (&own, Some(types_of(handle, attribute)))
    };
    let (calls, calls_of) = if is_known && !handle.borrows() {
        (&known, None)
    } else {
        (&own, Some(calls_of(handle, attribute)))
    };
    quote! {
        #[automatically_derived]
        impl #header {
            type Types = #types;
            type Calls = #calls;
            #of_parameters
            #of_output
            #facts

            fn task(&self) -> &#private::Task<Self> {
                &self.0
            }
        }

        #types_of

        #calls_of

        #compact_type
    }
}

/// Whether `flowcore` knows all types, and that their values travel as usual.
fn is_known(handle: &Handle<'_>, attribute: &TaskAttribute) -> bool {
    !attribute.local
        && attribute.codec == Codec::MessagePack
        && handle.output.is_known
        && handle.parameters.iter().all(|parameter| parameter.is_known)
}

/// What makes the direct call.
fn calls_of(handle: &Handle<'_>, attribute: &TaskAttribute) -> TokenStream {
    let type_name = &handle.type_name;
    let list = handle.parameter_list();
    let private = handle.krate.private(list);
    let method = if handle.borrows() {
        handle.callable(&call::tokens(handle, attribute))
    } else {
        quote_spanned! {list=>
            fn callable(
                __configuration: #private::TaskConfiguration,
            ) -> ::std::boxed::Box<<Self as ::core::ops::Deref>::Target> {
                #private::owned_call::<<Self as ::core::ops::Deref>::Target>(#private::call::<Self>, __configuration)
            }
        }
    };
    quote_spanned! {list=>
        impl #private::CallsOf<Self> for #type_name {
            #method
        }
    }
}

/// The constant of all that is no code and needs no types.
fn facts(handle: &Handle<'_>, attribute: &TaskAttribute) -> TokenStream {
    let private = handle.private();
    let place = handle.place();
    let function = naming_text(&handle.function.signature.ident);
    let key = match &attribute.common.name {
        Some(name) => quote!(#name),
        None => quote!(::core::concat!(::core::module_path!(), "::", #function)),
    };
    let types = handle.parameters.iter();
    let types = types.map(|parameter| type_text(&parameter.written));
    let returns = description::returns(handle);
    let fingerprint = fingerprint(handle.function.code());
    let is_async = handle.function.signature.asyncness.is_some();
    let is_local = attribute.local;
    let defaults = handle.parameters.iter().enumerate();
    let defaults = defaults.filter_map(|(index, parameter)| {
        let default = description::default(handle, parameter)?;
        Some(quote!((#index, #default)))
    });
    let descriptions = handle.parameters.iter().enumerate();
    let descriptions = descriptions.filter(|(_, parameter)| !parameter.description.is_empty());
    let descriptions = descriptions.map(|(index, parameter)| {
        let description = &parameter.description;
        quote!((#index, #description))
    });
    let attributes = attributes(handle, attribute);
    quote! {
        const FACTS: #private::TaskFacts = #private::TaskFacts {
            key: #key,
            #place
            types: &[#(#types),*],
            returns: #returns,
            fingerprint: #fingerprint,
            is_async: #is_async,
            is_local: #is_local,
            descriptions: &[#(#descriptions),*],
            defaults: &[#(#defaults),*],
            attributes: #attributes,
        };
    }
}

/// What is known of the types.
fn types_of(handle: &Handle<'_>, attribute: &TaskAttribute) -> TokenStream {
    let type_name = &handle.type_name;
    let list = handle.parameter_list();
    let private = handle.krate.private(list);
    let access = handle
        .parameters
        .iter()
        .map(|parameter| parameter_access(handle, parameter, attribute.local));
    let access = group(Delimiter::Parenthesis, quote!(#(#access,)*), list);
    let (value, place) = (&handle.output.value, handle.output.value_place);
    let codec = match attribute.codec {
        Codec::MessagePack => "CODEC",
        Codec::Bincode => "BINCODE",
    };
    let output = access_of(handle, value, place, (!attribute.local).then_some(codec));
    quote_spanned! {list=>
        impl #private::TypesOf<Self> for #type_name {
            fn types() -> #private::TaskTypes<
                <<Self as #private::TaskDefinition>::Parameters as #private::Parameters>::Access,
                <Self as #private::TaskDefinition>::Output,
            > {
                #private::TaskTypes {
                    access: #access,
                    output: #output,
                    write: #private::probe::Probe::<#value>::WRITE,
                }
            }
        }
    }
}

/// Readers with another codec find the type of the results by its entry.
fn compact_type(handle: &Handle<'_>, attribute: &TaskAttribute) -> Option<TokenStream> {
    if attribute.local || attribute.codec != Codec::Bincode {
        return None;
    }
    let private = handle.private();
    let type_name = &handle.type_name;
    let conditions = &handle.carried.conditions;
    Some(quote! {
        #conditions
        #private::inventory::submit! {
            #private::CompactType::of::<<#type_name as #private::TaskDefinition>::Output>()
        }
    })
}

/// The items that name all parameters. Their spans are those of the parameter
/// list from the first token to the last, because the compiler judges each of
/// them: so errors about a parameter's type are there, and equal ones are one.
fn of_parameters(handle: &Handle<'_>, attribute: &TaskAttribute) -> TokenStream {
    let list = handle.parameter_list();
    let private = handle.krate.private(list);
    let names = values(handle);
    let parameters = parameters(handle);
    let tuple = group(Delimiter::Parenthesis, quote!(#(#parameters,)*), list);
    let run = group(Delimiter::Brace, run(handle), list);
    let cache_key = attribute.results.cache_key.as_ref().map(|function| {
        // A value that the function does not take is told at its parameter.
        let parameters = handle.parameters.iter().zip(&names);
        let names: Vec<_> = parameters
            .map(|(parameter, name)| Ident::new(&name.to_string(), parameter.name.span()))
            .collect();
        let call = key_call(
            handle,
            function,
            names.iter().map(ToTokens::to_token_stream),
        );
        quote_spanned! {list=>
            #[allow(unused_variables)]
            fn cache_key(
                (#(#names,)*): &<Self::Parameters as #private::Parameters>::Values,
            ) -> #private::CacheKey { #call }
        }
    });
    let is_known = handle.parameters.iter().all(|parameter| parameter.is_known);
    let values = if is_known {
        let values = handle.parameters.iter().map(|parameter| {
            let owned = &parameter.owned;
            match parameter.mode {
                Mode::Owned => quote!(#owned),
                Mode::Shared => quote!(::std::sync::Arc<#owned>),
            }
        });
        quote!((#(#values,)*))
    } else {
        quote_spanned!(list=> <Self::Parameters as #private::Parameters>::Values)
    };
    quote_spanned! {list=>
        type Parameters = #tuple;

        fn run((#(#names,)*): #values) -> #private::TaskBody<Self::Output> #run

        #cache_key
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

/// The item that names the output, with its spans.
fn of_output(handle: &Handle<'_>) -> TokenStream {
    let output = &handle.output;
    let Place { start, end } = output.value_place;
    let value = if output.is_known {
        output.value.clone()
    } else {
        shareable(handle, &output.value, output.value_place)
    };
    let name = Ident::new("Output", end);
    let semicolon = quote_spanned!(end=> ;);
    quote_spanned!(start=> type #name = #value #semicolon)
}

/// Brackets with a span of their own around tokens that keep theirs.
fn group(delimiter: Delimiter, tokens: TokenStream, span: Span) -> Group {
    let mut group = Group::new(delimiter, tokens);
    group.set_span(span);
    group
}

/// What the attribute says, as calls.
fn attributes(handle: &Handle<'_>, attribute: &TaskAttribute) -> TokenStream {
    let private = handle.private();
    let function = naming_text(&handle.function.signature.ident);
    let common = &attribute.common;
    let name = match &common.name {
        Some(name) => quote!(#name),
        None => quote!(#function),
    };
    let description = match &common.description {
        Some(text) => text.value(),
        None => documented(&handle.function.attributes),
    };
    let tags = list(&common.tags);
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
    let report = attribute.report.iter();
    let report = report.map(|name| Ident::new(name, Span::call_site()));
    let resources: Vec<_> = attribute.resources.iter().map(Resource::tokens).collect();
    let resources = list(&resources);
    let version = common.version.iter();
    let timeout = common.timeout.iter();
    let run_name = common.run_name.iter();
    let results = &attribute.results;
    let results = results
        .is_some()
        .then(|| results.tokens(&private))
        .into_iter();
    let hooks = common.hooks().into_iter();
    let transaction_hooks = attribute.transaction_hooks().into_iter();
    quote! {
        #private::TaskAttributes::new(#name, #description)
            #(.tags(#tags))*
            #(.retries(#retries))*
            #(.retry_delay(#retry_delay))*
            #(.retry_jitter(#retry_jitter))*
            #(.retry_if(#retry_if))*
            #(.priority(#priority))*
            #(.batch(#batch))*
            #(.report(#private::MapReport::#report))*
            #(.resources(#resources))*
            #(.version(#version))*
            #(.timeout(#timeout))*
            #(.task_run_name(#run_name))*
            #(.results(#results))*
            #(.hooks(#hooks))*
            #(.transaction_hooks(#transaction_hooks))*
    }
}

/// A slice of these, if there are any.
fn list(items: &[impl ToTokens]) -> std::option::IntoIter<TokenStream> {
    (!items.is_empty())
        .then(|| quote!(&[#(#items),*]))
        .into_iter()
}

/// `Owned<i64>`, `Shared<String>`, each at its parameter's place.
fn parameters(handle: &Handle<'_>) -> Vec<TokenStream> {
    let tokens = handle.parameters.iter().map(|parameter| {
        let Place { start, end } = parameter.place;
        let private = handle.krate.private(start);
        let owned = if parameter.is_known {
            parameter.owned.clone()
        } else {
            shareable(handle, &parameter.owned, parameter.place)
        };
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

/// What can be done with a parameter's values.
fn parameter_access(handle: &Handle<'_>, parameter: &Parameter, local: bool) -> TokenStream {
    let private = handle.krate.private(parameter.place.start);
    let owned = &parameter.owned;
    if parameter.is_known && !local {
        return quote!(#private::ParameterAccess::<#owned>::KNOWN);
    }
    let codec = (!local).then_some("CODEC");
    let access = access_of(handle, owned, parameter.place, codec);
    let show = handle.show(owned);
    let read = description::read(handle, owned);
    quote! {
        #private::ParameterAccess {
            value: #access,
            show: #show,
            read: #read,
            schema: #private::probe::Probe::<#owned>::SCHEMA,
        }
    }
}

/// How values of a type are copied, and coded by this constant of `Portable`.
/// The one place that asks for `Serialize` and `DeserializeOwned`.
fn access_of(
    handle: &Handle<'_>,
    ty: &TokenStream,
    Place { start: span, end }: Place,
    codec: Option<&str>,
) -> TokenStream {
    let private = handle.krate.private(span);
    let codec = match codec {
        None => quote!(::core::option::Option::None),
        Some(codec) => {
            let codec = Ident::new(codec, end);
            let open = quote_spanned!(span=> <);
            let codec = quote_spanned!(end=> as #private::probe::Portable>::#codec);
            quote_spanned!(span=> ::core::option::Option::Some(#open #ty #codec))
        }
    };
    quote_spanned!(span=> #private::Access::new(#private::probe::Probe::<#ty>::CLONE, #codec))
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
    let arguments = handle.parameters.iter().zip(&values);
    let arguments = arguments.map(|(parameter, value)| match parameter.mode {
        Mode::Owned => quote!(#value),
        Mode::Shared => quote!(&#value),
    });
    let arguments: Vec<_> = arguments.collect();
    let plain = &handle.plain;
    let call = quote!(#plain(#(#arguments),*));
    if handle.function.signature.asyncness.is_none() {
        let outcome = handle.converted(&call);
        return quote!(#private::TaskBody::Done(#outcome));
    }
    let span = handle.span();
    // What it borrows must live in the future.
    if handle.borrows() {
        let outcome = handle.converted(&quote!(#call.await));
        let future = quote_spanned!(span=> ::std::boxed::Box::pin(async move { #outcome }));
        return quote!(#private::TaskBody::Future(#future));
    }
    let future = quote_spanned!(span=> #plain(#(#arguments),*));
    let convert = handle.converter();
    quote_spanned!(span=> #private::TaskBody::future(#future, #convert))
}
