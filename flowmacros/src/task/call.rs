//! The direct call: `load(path).await?`.
//!
//! With owned values it is a run like any other, but here and now. With loans
//! its attempts borrow from the caller, so owned values wait beside them for
//! the attempt that may take them.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::Index;

use super::definition::key_call;
use crate::attribute::TaskAttribute;
use crate::function::{Mode, Parameter};
use crate::handle::Handle;

pub(super) fn tokens(handle: &Handle<'_>, attribute: &TaskAttribute) -> TokenStream {
    let private = handle.private();
    let before = handle.before_item();
    let type_name = &handle.type_name;
    let generics = handle.call_generics();
    let lifetime = handle.call_lifetime();
    let parameters = handle.typed_parameters();
    let value = &handle.output.value;
    let body = if handle.borrows() {
        borrowed(handle, attribute)
    } else {
        let names = handle.names();
        let list = handle.parameter_list();
        let private = handle.krate.private(list);
        quote_spanned!(list=> #private::call::<Self>(__configuration, (#(#names,)*)))
    };
    quote! {
        #before
        impl #type_name {
            fn __start #generics(
                __configuration: &#private::TaskConfiguration,
                #(#parameters),*
            ) -> #private::Call<#lifetime, #value> {
                #body
            }
        }
    }
}

fn borrowed(handle: &Handle<'_>, attribute: &TaskAttribute) -> TokenStream {
    let private = handle.private();
    let mut waiting = TokenStream::new();
    let mut obtained = TokenStream::new();
    for (index, parameter) in handle.parameters.iter().enumerate() {
        if parameter.mode == Mode::Shared {
            continue;
        }
        let name = &parameter.name;
        let index = Index::from(index);
        waiting.extend(quote!(let #name = #private::OwnedValue::new(#name);));
        obtained.extend(quote! {
            let #name = match #name.obtain(&__attempt, &__access.#index) {
                ::core::result::Result::Ok(__value) => __value,
                ::core::result::Result::Err(__error) => {
                    return #private::BorrowedBody::Refused(__error);
                }
            };
        });
    }
    let imports = handle.text_imports();
    let texts = handle.parameters.iter().enumerate();
    let texts = texts.map(|(index, parameter)| {
        let (ty, value) = (parameter.lent(), parameter.lent_value());
        quote!(#index => (&&&#private::probe::ValueProbe::<#ty>::new()).text(#value),)
    });
    let list = handle.parameter_list();
    let private_there = handle.krate.private(list);
    let access = quote_spanned! {list=>
        let __access = <Self as #private_there::TaskDefinition>::access();
    };
    let plain = &handle.plain;
    let names = handle.names();
    let call = quote!(#plain(#(#names),*));
    let body = if handle.function.signature.asyncness.is_some() {
        let span = handle.span();
        let outcome = handle.converted(&quote!(#call.await));
        let future = quote_spanned!(span=> ::std::boxed::Box::pin(async move { #outcome }));
        quote!(#private::BorrowedBody::Future(#future))
    } else {
        let outcome = handle.converted(&call);
        let function = quote_spanned!(handle.span()=> ::std::boxed::Box::new(move || #outcome));
        quote!(#private::BorrowedBody::Code(#function))
    };
    let keep = keep(handle, attribute);
    quote! {
        #waiting
        #[allow(unused_variables)]
        #access
        #private::call_borrowed::<Self>(__configuration, move |__attempt| {
            #obtained
            __attempt.name(|__index| {
                #imports
                match __index {
                    #(#texts)*
                    _ => ::std::string::String::new(),
                }
            });
            #keep
            #body
        })
    }
}

/// What the key of a call with loans is made of.
fn keep(handle: &Handle<'_>, attribute: &TaskAttribute) -> TokenStream {
    let private = handle.private();
    let texts = handle.parameters.iter().enumerate();
    let texts = texts.map(|(index, parameter)| {
        let (ty, value) = (parameter.lent(), parameter.lent_value());
        let field = Index::from(index);
        quote! {
            #index => #private::stable_text_of_loan(
                (&&#private::probe::ValueProbe::<#ty>::new()).packed(#value),
                __access.#field.codec(),
            ),
        }
    });
    let key = match &attribute.results.cache_key {
        Some(function) => {
            let arguments = handle.parameters.iter().map(Parameter::lent_value);
            key_call(handle, function, arguments)
        }
        None => quote!(::core::result::Result::Ok(::core::option::Option::None)),
    };
    quote! {
        __attempt.keep(
            |__index| {
                #[allow(unused_imports)]
                use #private::probe::{Packed as _, Unpacked as _};
                match __index {
                    #(#texts)*
                    _ => ::core::unreachable!(),
                }
            },
            || #key,
        );
    }
}
