//! What a task or a flow says of itself as data: its parameters with their
//! types, what it returns, and how it is called with parameters as JSON.

use proc_macro2::{Literal, TokenStream};
use quote::{quote, quote_spanned};

use crate::function::{Mode, names_lifetime, type_text};
use crate::handle::Handle;

/// The implementation of `Definition`.
pub(crate) fn tokens(handle: &Handle<'_>) -> TokenStream {
    let private = handle.private();
    let before = handle.before_item();
    let (name, type_name) = (&handle.function.signature.ident, &handle.type_name);
    let value = &handle.output.value;
    let kind = quote::format_ident!("{}", handle.kind);
    let parameters = handle.parameters.iter().map(|parameter| {
        let (name, owned) = (parameter.text(), &parameter.owned);
        let text = type_text(&parameter.written);
        let read = if names_lifetime(owned) {
            quote!(::core::option::Option::None)
        } else {
            quote!((&&#private::probe::JsonProbe::<#owned>::new()).read())
        };
        let default = parameter.default.as_ref().map(|_| {
            let default = parameter.default_function();
            quote! {
                default: ::core::option::Option::Some(#private::ParameterDefault {
                    value: || ::std::boxed::Box::new(Self::#default()),
                    json: || #private::default_as_json(
                        &Self::#default(),
                        (&&#private::probe::JsonProbe::<#owned>::new()).write(),
                    ),
                }),
            }
        });
        let default = default.unwrap_or_else(|| quote!(default: ::core::option::Option::None,));
        quote! {
            #private::ParameterSignature {
                #default
                name: #name,
                type_name: #text,
                read: #read,
                schema: (&&#private::probe::JsonProbe::<#owned>::new()).schema(),
            }
        }
    });
    let returns = type_text(&handle.output.written);
    let call = call(handle);
    let defaults = handle.default_methods();
    let mutable = (handle.kind == "Flow" && handle.takes()).then(|| quote!(mut));
    quote! {
        #before
        impl #type_name {
            fn __definition() -> &'static dyn #private::Definition {
                &#name
            }

            #defaults
        }

        #before
        #[automatically_derived]
        impl #private::Definition for #type_name {
            fn facts(&self) -> #private::Facts<'_> {
                #private::Facts::#kind(Self::__INFO, self.__configuration.options())
            }

            fn signature(&self) -> #private::Signature {
                #[allow(unused_imports)]
                use #private::probe::{
                    NoSchema as _, Read as _, Schema as _, Unread as _, Unwritten as _, WriteJson as _,
                };
                #private::Signature {
                    parameters: ::std::vec![#(#parameters),*],
                    returns: #returns,
                }
            }

            fn call_with(&self, #mutable __values: #private::ReadValues) -> #private::JsonCall {
                #[allow(unused_imports)]
                use #private::probe::{Unwritten as _, WriteJson as _};
                let __write = (&&#private::probe::JsonProbe::<#value>::new()).write();
                #call
            }
        }
    }
}

/// The call itself. A task's takes owned values, whatever is lent to its
/// function. A flow's loans are of values that the call's future holds.
fn call(handle: &Handle<'_>) -> TokenStream {
    let private = handle.private();
    if handle.kind == "Task" {
        // An output that cannot be shared is told where the direct call tells
        // it.
        let list = handle.parameter_list();
        let private = handle.krate.private(list);
        return quote_spanned! {list=>
            #private::call_task_for_json::<Self>(&self.__configuration, __values, __write)
        };
    }
    if !handle.borrows() {
        let values = handle.parameters.iter().enumerate().map(|(index, _)| {
            let index = Literal::usize_unsuffixed(index);
            quote!(__values.take(#index))
        });
        return quote! {
            #private::call_for_json(
                Self::__start(&self.__configuration, #(#values),*),
                __write,
            )
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
        let __configuration = ::core::clone::Clone::clone(&self.__configuration);
        #private::call_for_json_with_loans(
            async move {
                #(#taken)*
                #(#lent)*
                let __call = Self::__start(&__configuration, #(#names),*);
                #private::ended(__call).await
            },
            __write,
        )
    }
}
