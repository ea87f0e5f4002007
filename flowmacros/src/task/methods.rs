//! The methods of a task's type.
//!
//! They are inherent, so that they need no import, and their parameters are
//! called as the function's, so that editors and messages show them.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};

use crate::handle::Handle;

pub(super) fn tokens(handle: &Handle<'_>) -> TokenStream {
    let private = handle.private();
    let before = handle.before_item();
    let type_name = &handle.type_name;
    let visibility = &handle.function.visibility;
    let documentation = &handle.carried.documentation;
    let value = &handle.output.value;
    let func = handle.func_method();
    let with_options = handle.with_options_method();

    let names: Vec<&Ident> = handle.names().collect();
    let arguments = taking(handle, &quote!(IntoArgument));
    let columns = taking(handle, &quote!(IntoColumn));
    let map = (!names.is_empty()).then(|| {
        quote! {
            /// Starts one run per row: columns zip, and `unmapped(value)` repeats one value.
            #[doc = ""]
            #documentation
            #[allow(dead_code)]
            #visibility fn map(&self, #(#columns),*) -> #private::Mapped<#value> {
                #private::map::<Self>(
                    &self.__configuration,
                    (#(#private::IntoColumn::into_column(#names),)*),
                )
            }
        }
    });
    quote! {
        #before
        impl #type_name {
            #func

            /// Starts a run in the flow's task runner.
            #[doc = ""]
            #documentation
            #[allow(dead_code)]
            #visibility fn submit(&self, #(#arguments),*) -> #private::TaskFuture<#value> {
                #private::submit::<Self>(
                    &self.__configuration,
                    (#(#private::IntoArgument::into_argument(#names),)*),
                )
            }

            #map

            #with_options

            /// A copy whose runs start only after these runs have completed.
            #[must_use]
            #[allow(dead_code)]
            #visibility fn after(&self, runs: impl #private::IntoDependencies) -> Self {
                Self {
                    __configuration: self.__configuration.after(runs),
                    __call: ::std::sync::OnceLock::new(),
                }
            }

            /// The facts of the task: its key, its module, its parameters.
            #[must_use]
            #[allow(dead_code)]
            #visibility fn info(&self) -> &'static #private::TaskInfo {
                Self::__INFO
            }
        }
    }
}

/// `x: impl IntoArgument<i64>` for each parameter, at the parameter's type, so
/// that notes of the compiler point there.
fn taking(handle: &Handle<'_>, bound: &TokenStream) -> Vec<TokenStream> {
    let parameters = handle.parameters.iter().map(|parameter| {
        let span = parameter.span;
        let private = handle.krate.private(span);
        let bound = crate::crate_path::located(bound.clone(), span);
        let (name, owned) = (&parameter.name, &parameter.owned);
        quote_spanned!(span=> #name: impl #private::#bound<#owned>)
    });
    parameters.collect()
}
