//! The direct call with loans: `total(&prices).await?`.
//!
//! Its attempts borrow from the caller. Calls with owned values need nothing
//! of their own.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use super::definition::key_call;
use crate::attribute::TaskAttribute;
use crate::function::Mode;
use crate::handle::Handle;

/// One call, with `__configuration` and the parameters in scope.
pub(super) fn tokens(handle: &Handle<'_>, attribute: &TaskAttribute) -> TokenStream {
    let names: Vec<_> = handle.names().collect();
    let list = handle.parameter_list();
    let private = handle.krate.private(list);
    let arguments = handle.parameters.iter().map(|parameter| {
        let name = &parameter.name;
        if parameter.mode == Mode::Owned {
            return quote!(#private::OwnedValue::new(#name));
        }
        if parameter.is_known {
            return quote!(#private::Loan::known(#name));
        }
        let lent = parameter.lent();
        let show = handle.show(lent);
        quote! {
            #private::Loan {
                value: #name,
                show: #show,
                pack: #private::probe::Probe::<#lent>::PACK,
            }
        }
    });
    let arguments = quote!((#(#arguments,)*));
    let key = match &attribute.results.cache_key {
        Some(function) => {
            let given = handle.parameters.iter().map(|parameter| {
                let name = &parameter.name;
                quote!(#name)
            });
            let call = key_call(handle, function, given);
            quote!(|(#(#names,)*)| #call)
        }
        None => quote!(#private::no_key),
    };
    let plain = &handle.plain;
    let call = quote!(#plain(#(#names),*));
    let function;
    let code;
    if handle.function.signature.asyncness.is_some() {
        let outcome = handle.converted(&quote!(#call.await));
        function = quote!(call_lent_future);
        code = quote_spanned! {handle.span()=>
            ::std::boxed::Box::pin(async move { #outcome })
        };
    } else {
        function = quote!(call_lent);
        code = handle.converted(&call);
    }
    quote_spanned! {list=>
        #private::#function::<Self, _, _>(
            &__configuration,
            #arguments,
            #key,
            |(#(#names,)*)| #code,
        )
    }
}
