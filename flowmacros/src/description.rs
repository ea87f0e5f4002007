//! What a task or a flow says of itself as data: its parameters with their
//! types, what it returns, and how it is called with parameters as JSON.

use proc_macro2::{Literal, TokenStream};
use quote::quote;

use crate::function::{Mode, Parameter, names_lifetime, type_text};
use crate::handle::Handle;

/// The parameters, as a list without brackets.
pub(crate) fn parameters(handle: &Handle<'_>) -> TokenStream {
    let private = handle.private();
    let parameters = handle.parameters.iter().map(|parameter| {
        let (name, owned) = (parameter.text(), &parameter.owned);
        let text = type_text(&parameter.written);
        let probe = quote!(#private::probe::Probe::<#owned>);
        let read = read(handle, owned);
        let default = default(handle, parameter).map_or_else(
            || quote!(::core::option::Option::None),
            |default| quote!(::core::option::Option::Some(#default)),
        );
        let description = &parameter.description;
        quote! {
            #private::ParameterSignature {
                name: #name,
                description: #description,
                type_name: #text,
                read: #read,
                schema: #probe::SCHEMA,
                default: #default,
            }
        }
    });
    quote!(#(#parameters),*)
}

/// How a parameter of this type is read from JSON.
pub(crate) fn read(handle: &Handle<'_>, owned: &TokenStream) -> TokenStream {
    if names_lifetime(owned) {
        return quote!(::core::option::Option::None);
    }
    let private = handle.private();
    quote!(#private::probe::Probe::<#owned>::READ)
}

/// The default of a parameter, if it has one.
pub(crate) fn default(handle: &Handle<'_>, parameter: &Parameter) -> Option<TokenStream> {
    parameter.default.as_ref()?;
    let private = handle.private();
    let (hidden, owned, ty) = (
        parameter.default_function(),
        &parameter.owned,
        &handle.type_name,
    );
    Some(quote! {
        #private::ParameterDefault {
            value: || ::std::boxed::Box::new(#ty::#hidden()),
            json: || #private::default_as_json(
                &#ty::#hidden(),
                #private::probe::Probe::<#owned>::WRITE,
            ),
        }
    })
}

/// The return type as people wrote it.
pub(crate) fn returns(handle: &Handle<'_>) -> String {
    type_text(&handle.output.written)
}

/// A flow's call with parameters as JSON. Loans are of values that the call's
/// future holds.
pub(crate) fn flow_call(handle: &Handle<'_>) -> TokenStream {
    let private = handle.private();
    let value = &handle.output.value;
    let write = quote!(#private::probe::Probe::<#value>::WRITE);
    if !handle.borrows() {
        let values = handle.parameters.iter().enumerate().map(|(index, _)| {
            let index = Literal::usize_unsuffixed(index);
            quote!(__values.take(#index))
        });
        return quote! {
            #private::call_for_json(Self::__start(__configuration, #(#values),*), #write)
        };
    }
    let names: Vec<_> = handle.names().collect();
    let parameters = || handle.parameters.iter().enumerate();
    let of = |mode| {
        parameters()
            .filter(move |(_, parameter)| parameter.mode == mode)
            .map(|(index, parameter)| (&parameter.name, index, &parameter.owned))
    };
    let taken = of(Mode::Owned).map(|(name, index, _)| {
        let index = Literal::usize_unsuffixed(index);
        quote!(let #name = __values.take(#index);)
    });
    let lent = of(Mode::Shared).map(|(name, index, owned)| {
        let index = Literal::usize_unsuffixed(index);
        quote!(let #name = __values.lend::<#owned>(#index);)
    });
    quote! {
        let __configuration = ::core::clone::Clone::clone(__configuration);
        #private::call_for_json_with_loans(
            async move {
                #(#taken)*
                #(#lent)*
                let __call = Self::__start(&__configuration, #(#names),*);
                #private::ended(__call).await
            },
            #write,
        )
    }
}
