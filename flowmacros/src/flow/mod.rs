//! The expansion of `#[flow]`.

mod definition;

use proc_macro2::TokenStream;
use quote::quote;

use crate::attribute::FlowAttribute;
use crate::function::{Function, Kind, Output};
use crate::handle::Handle;
use crate::problems::Problems;

/// Expands `#[flow(arguments)] item`; mistakes are treated as in
/// [`crate::task::expand`].
pub(crate) fn expand(arguments: TokenStream, item: &TokenStream) -> TokenStream {
    let mut problems = Problems::default();
    let mut attribute = FlowAttribute::parse(arguments, &mut problems);
    let function = match Function::parse(item.clone(), Kind::Flow) {
        Ok(function) => function,
        Err(error) => {
            problems.add(error);
            let problems = problems.into_tokens();
            return quote!(#item #problems);
        }
    };

    let mut obstacles = Problems::default();
    function.check(Kind::Flow, &mut obstacles);
    let parameters = function.parameters(Kind::Flow, true, &mut obstacles);
    let output = Output::new(&function, Kind::Flow, &mut obstacles);
    attribute.common.check_run_name(&parameters, &mut problems);
    if !obstacles.is_empty() {
        let (problems, obstacles) = (problems.into_tokens(), obstacles.into_tokens());
        let item = function.as_it_was(Kind::Flow);
        return quote!(#item #problems #obstacles);
    }

    let handle = Handle::new(
        &attribute.common.krate,
        &function,
        &parameters,
        &output,
        "Flow",
    );
    let plain = handle.plain_function(&attribute.common.named_parameters);
    let type_and_static = handle.type_and_static();
    let methods = definition::methods(&handle);
    let definition = definition::tokens(&handle, &attribute);
    let name = &handle.function.signature.ident;
    let common = handle.common_items(&quote!(of(&#name)));
    let guard = handle.alias_guard();
    let block = handle.block(&quote! {
        #definition
        #common
        #guard
    });
    let problems = problems.into_tokens();
    quote! {
        #plain
        #type_and_static
        #methods
        #block
        #problems
    }
}
