//! The flow as the engine sees it: facts, methods, the call.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ExprPath;

use crate::attribute::FlowAttribute;
use crate::crate_path::Place;
use crate::description;
use crate::function::{Mode, documented};
use crate::handle::{Handle, naming_text};
use crate::naming;

/// The methods of the flow's type.
pub(super) fn methods(handle: &Handle<'_>) -> TokenStream {
    let private = handle.full_private();
    let func = handle.func_method();
    let defaults = handle.default_methods();
    let visibility = &handle.function.visibility;
    let with_options = handle.with_options_method();
    let resume = handle.method("resume");
    let info_method = handle.info_method();
    let start = start_method(handle);
    let visualize = visualize_method(handle);
    handle.inherent(&quote! {
        #func

        #with_options

        /// A copy whose next call is that run again, with its id: tasks that
        /// finished and wrote their results down are found and do not run. The
        /// run must have ended, in whatever way.
        #[must_use]
        #visibility #resume(&self, run: #private::Uuid) -> Self {
            Self(self.0.resume(run))
        }

        #info_method

        #start

        #visualize

        #defaults
    })
}

/// The implementation of `FlowDefinition`, and one run.
pub(super) fn tokens(handle: &Handle<'_>, attribute: &FlowAttribute) -> TokenStream {
    let private = handle.private();
    let type_name = &handle.type_name;
    let info = info(handle, attribute);
    let call = call(handle, attribute);
    let names = handle.names();
    let callable = handle.callable(&quote!(Self::__start(&__configuration, #(#names),*)));
    let parameters = description::parameters(handle);
    let returns = description::returns(handle);
    let json_call = description::flow_call(handle);
    let mutable = handle.takes().then(|| quote!(mut));
    quote! {
        impl #type_name {
            #call
        }

        #[automatically_derived]
        impl #private::FlowDefinition for #type_name {
            #callable

            const INFO: &'static #private::FlowInfo = &#info;

            fn signature() -> #private::Signature {
                #private::Signature {
                    parameters: ::std::vec![#parameters],
                    returns: #returns,
                }
            }

            fn call_with(
                __configuration: &#private::FlowConfiguration,
                #mutable __values: #private::ReadValues,
            ) -> #private::JsonCall {
                #json_call
            }
        }

        #[automatically_derived]
        impl #private::Definition for #type_name {
            fn defined(&self) -> &dyn #private::Defined {
                &self.0
            }
        }
    }
}

/// The method `start`: a run that goes on by itself.
fn start_method(handle: &Handle<'_>) -> TokenStream {
    let private = handle.full_private();
    let visibility = &handle.function.visibility;
    let start = handle.method("start");
    let parameters = handle.parameters.iter().map(|parameter| {
        let name = &parameter.name;
        let ty = parameter.with_lifetime("'static");
        quote!(#name: #ty)
    });
    let names = handle.names();
    let value = &handle.output.value;
    quote! {
        /// Starts a run that goes on by itself, beside the caller. It can be
        /// awaited, watched and cancelled. Loans must be `'static`.
        #visibility #start(&self, #(#parameters),*) -> #private::FlowHandle<#value> {
            #private::start(Self::__start(self.0.configuration(), #(#names),*))
        }
    }
}

/// The method `visualize`: what the flow would submit.
fn visualize_method(handle: &Handle<'_>) -> TokenStream {
    let private = handle.full_private();
    let visibility = &handle.function.visibility;
    let visualize = handle.method("visualize");
    let generics = handle.call_generics();
    let lifetime = handle.call_lifetime();
    let parameters = handle.typed_parameters();
    let names = handle.names();
    let value = &handle.output.value;
    quote! {
        /// Draws what the flow would submit: its own code runs, its tasks do not.
        #visibility #visualize #generics(
            &self,
            #(#parameters),*
        ) -> #private::Visualize<#lifetime, #value> {
            #private::visualize(Self::__start(self.0.configuration(), #(#names),*))
        }
    }
}

fn info(handle: &Handle<'_>, attribute: &FlowAttribute) -> TokenStream {
    let private = handle.private();
    let place = handle.place();
    let function = &handle.function.signature.ident;
    let text = naming_text(function);
    let common = &attribute.common;
    let name = match &common.name {
        Some(name) => name.value(),
        None => naming::flow_name(function),
    };
    let description = match &common.description {
        Some(text) => text.value(),
        None => documented(&handle.function.attributes),
    };
    let is_async = handle.function.signature.asyncness.is_some();
    let tags = &common.tags;
    let version = common.version.iter();
    let retries = attribute.retries.iter();
    let retry_delay = attribute.retry_delay.iter();
    let retry_delay = retry_delay.map(|delay| delay.tokens(&private));
    let timeout = common.timeout.iter();
    let run_name = common.run_name.iter();
    let persist_result = attribute.persist_result.iter();
    let result_store = attribute.result_store.iter();
    let api = attribute.api.iter();
    let api = api.map(|name| Ident::new(name, Span::call_site()));
    let hooks = common.hooks().into_iter();
    let task_runner = attribute.task_runner.iter().map(|runner| {
        let Place { start, end } = Place::of(runner);
        let make = quote_spanned!(start=> ::std::sync::Arc::new);
        let mut argument = Group::new(Delimiter::Parenthesis, runner.to_token_stream());
        argument.set_span(end);
        quote!(#make #argument)
    });
    quote! {
        #private::FlowInfo {
            key: ::core::concat!(::core::module_path!(), "::", #text),
            #place
            is_async: #is_async,
            options: #private::FlowOptions::from_attributes(#private::FlowAttributes {
                description: #description,
                tags: &[#(#tags),*],
                #(version: ::core::option::Option::Some(#version),)*
                #(retries: #retries, has_retries: true,)*
                #(retry_delay: #retry_delay, has_retry_delay: true,)*
                #(timeout: ::core::option::Option::Some(#timeout),)*
                #(flow_run_name: ::core::option::Option::Some(#run_name),)*
                #(persist_result: ::core::option::Option::Some(#persist_result),)*
                #(result_store: ::core::option::Option::Some(#result_store),)*
                #(api: #private::Api::#api,)*
                #(hooks: #hooks,)*
                #(task_runner: ::core::option::Option::Some(
                    || #task_runner
                ),)*
                ..#private::FlowAttributes::named(#name)
            }),
        }
    }
}

/// `__start`: one run of the flow.
fn call(handle: &Handle<'_>, attribute: &FlowAttribute) -> TokenStream {
    let private = handle.private();
    let generics = handle.call_generics();
    let lifetime = handle.call_lifetime();
    let parameters = handle.typed_parameters();
    let value = &handle.output.value;
    let parameters_with = |answer: &dyn Fn(TokenStream, TokenStream) -> TokenStream| {
        let parameters = handle.parameters.iter().map(|parameter| {
            let (name, text) = (&parameter.name, parameter.text());
            let (ty, value) = match parameter.mode {
                Mode::Owned => (parameter.owned.clone(), quote!(&#name)),
                Mode::Shared => (parameter.lent().to_token_stream(), quote!(#name)),
            };
            let answer = answer(ty, value);
            quote!((#text, #answer))
        });
        quote!(#(#parameters),*)
    };
    let texts = parameters_with(&|ty, value| {
        let show = handle.show(&ty);
        quote!(#show(#value))
    });
    let packed = parameters_with(
        &|ty, value| quote!(#private::probe::packed(#value, #private::probe::Probe::<#ty>::PACK)),
    );
    let code = code(handle, attribute);
    let repeatable = attribute.retries.as_ref().map(|_| repeatable(handle));
    quote! {
        fn __start #generics(
            __configuration: &#private::FlowConfiguration,
            #(#parameters),*
        ) -> #private::Call<#lifetime, #value> {
            #repeatable
            let __parameters = [#texts];
            let __written = #private::flow_parameters(|| ::std::vec![#packed]);
            #private::call_flow(
                <Self as #private::FlowDefinition>::INFO,
                __configuration,
                &__parameters,
                __written,
                #code,
                #private::probe::Probe::<#value>::RUNS,
            )
        }
    }
}

/// Stops the compilation at an owned argument that is there only once.
fn repeatable(handle: &Handle<'_>) -> TokenStream {
    let owned = handle.parameters.iter();
    let owned = owned.filter(|parameter| parameter.mode == Mode::Owned);
    let checks = owned.map(|parameter| {
        let Place { start, end } = parameter.place;
        let private = handle.krate.private(start);
        let ty = &parameter.owned;
        let open = quote_spanned!(start=> #private::probe::repeatable::<);
        let close = quote_spanned!(end=> >());
        quote!(#open #ty #close;)
    });
    quote!(#(#checks)*)
}

/// What makes the body of each attempt: owned arguments wait beside it for the
/// last one.
fn code(handle: &Handle<'_>, attribute: &FlowAttribute) -> TokenStream {
    let private = handle.private();
    let owned = handle.parameters.iter();
    let owned: Vec<_> = owned
        .filter(|parameter| parameter.mode == Mode::Owned)
        .collect();
    let names: Vec<_> = owned.iter().map(|parameter| &parameter.name).collect();
    let waiting = owned.iter().map(|parameter| {
        let (name, ty, text) = (&parameter.name, &parameter.owned, parameter.text());
        let Place { start, end } = parameter.place;
        let there = handle.krate.private(start);
        let open = quote_spanned!(start=> #there::FlowArgument::< <);
        let close = quote_spanned!(end=> as #there::probe::Movable>::Itself>);
        quote! {
            let mut #name = #open #ty #close::new(
                #text,
                #name,
                #private::probe::Probe::<#ty>::CLONE,
            );
        }
    });
    let validation = attribute.validate.as_ref();
    let validation = validation.map(|function| validation_call(handle, function));
    let plain = &handle.plain;
    let all = handle.names();
    let call = quote!(#plain(#(#all),*));
    let span = handle.span();
    let is_async = handle.function.signature.asyncness.is_some();
    let body = if is_async {
        let outcome = handle.converted(&quote!(#call.await));
        let future = quote_spanned!(span=> ::std::boxed::Box::pin(async move { #outcome }));
        quote!(#private::FlowBody::Future(#future))
    } else {
        let outcome = handle.converted(&call);
        let function = quote_spanned!(span=> ::std::boxed::Box::new(move || #outcome));
        if handle.borrows() {
            quote!(#private::FlowBody::Blocking(#function))
        } else {
            quote!(#private::FlowBody::Thread(#function))
        }
    };
    let blocks = !is_async && handle.borrows();
    quote! {
        {
            #(#waiting)*
            #private::FlowCode::new(#blocks, [#(#names.taken_once()),*], move |__attempt| {
                #validation
                #(let #names = #names.obtain(__attempt);)*
                ::core::result::Result::Ok(#body)
            })
        }
    }
}

/// Asks the flow's `validate`, before the first attempt.
fn validation_call(handle: &Handle<'_>, function: &ExprPath) -> TokenStream {
    let Place { start, end } = Place::of(function);
    let private = handle.krate.private(start);
    let arguments = handle.parameters.iter().map(|parameter| {
        let name = &parameter.name;
        match parameter.mode {
            // At the parameter, where a type that does not fit is told.
            Mode::Owned => quote_spanned!(parameter.place.end=> #name.look()),
            Mode::Shared => quote!(#name),
        }
    });
    let arguments = quote_spanned!(end=> (#(#arguments),*));
    let ask = quote_spanned!(start=> #private::validated);
    let call = quote_spanned!(end=> (|| #function #arguments)?);
    quote! {
        if __attempt.is_first {
            #ask #call;
        }
    }
}
