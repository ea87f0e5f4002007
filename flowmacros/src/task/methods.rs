//! The methods of a task's type.
//!
//! They are inherent, so that they need no import, and their parameters are
//! called as the function's, so that editors and messages show them.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};

use crate::crate_path::Place;
use crate::handle::Handle;

pub(super) fn tokens(handle: &Handle<'_>) -> TokenStream {
    let private = handle.full_private();
    let visibility = &handle.function.visibility;
    let documentation = &handle.carried.documentation;
    let value = &handle.output.value;
    let func = handle.func_method();
    let defaults = handle.default_methods();

    let names: Vec<&Ident> = handle.names().collect();
    let arguments = taking(handle, "IntoArgument");
    let columns = taking(handle, "IntoColumn");
    let with_options = handle.with_options_method();
    let info = handle.info_method();
    let keyword = handle.function.signature.fn_token.span;
    let private_there = handle.krate.full(keyword);
    let runs = quote_spanned!(keyword=> impl #private_there::IntoDependencies);
    let [submit, map, after] = ["submit", "map", "after"].map(|name| handle.method(name));
    // Errors about the parameters' types are theirs here too.
    let list = handle.parameter_list();
    let private_there = handle.krate.full(list);
    let start_run = quote_spanned! {list=>
        #private_there::submit::<Self>(
            &self.0,
            (#(#private_there::IntoArgument::into_argument(#names),)*),
        )
    };
    let start_map = quote_spanned! {list=>
        #private_there::map::<Self>(
            &self.0,
            (#(#private_there::IntoColumn::into_column(#names),)*),
        )
    };
    let map = if names.is_empty() {
        // What it demands depends on a lifetime, so that it is judged at a call.
        let generics = quote_spanned!(keyword=> <'__task, __Columns>);
        quote! {
            #[doc(hidden)]
            #visibility #map #generics(&'__task self, _: __Columns) -> #private::Mapped<#value>
            where
                &'__task Self: #private::HasRows,
            {
                ::core::unreachable!()
            }
        }
    } else {
        quote! {
            /// Starts one run per row: columns zip, and `unmapped(value)` repeats one value.
            #[doc = ""]
            #documentation
            #visibility #map(&self, #(#columns),*) -> #private::Mapped<#value> {
                #start_map
            }
        }
    };
    handle.inherent(&quote! {
            #func

            /// Starts a run in the flow's task runner.
            #[doc = ""]
            #documentation
            #visibility #submit(&self, #(#arguments),*) -> #private::TaskFuture<#value> {
                #start_run
            }

            #map

            #with_options

            /// A copy whose runs start only after these runs have completed.
            #[must_use]
            #visibility #after(&self, runs: #runs) -> Self {
                Self(self.0.after(runs))
            }

            #info

            #defaults
    })
}

/// `x: impl IntoArgument<i64>` for each parameter, at the parameter's type, so
/// that notes of the compiler point there.
fn taking(handle: &Handle<'_>, bound: &str) -> Vec<TokenStream> {
    let parameters = handle.parameters.iter().map(|parameter| {
        let Place { start, end } = parameter.place;
        let private = handle.krate.full(start);
        let (name, owned) = (&parameter.name, &parameter.owned);
        let bound = Ident::new(bound, start);
        let bound = quote_spanned!(start=> impl #private::#bound<);
        let close = quote_spanned!(end=> >);
        quote!(#name: #bound #owned #close)
    });
    parameters.collect()
}
