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
    let plain = handle.plain_function();
    let type_name = &handle.type_name;
    let private = handle.private();
    let type_and_static =
        handle.type_and_static(&quote!(#private::FlowConfiguration::of(|| #type_name::__INFO)));
    let definition = definition::tokens(&handle, &attribute);
    let description = crate::description::tokens(&handle);
    let deref_and_debug = handle.deref_and_debug();
    let guard = handle.alias_guard();
    let problems = problems.into_tokens();
    quote! {
        #plain
        #type_and_static
        #definition
        #description
        #deref_and_debug
        #guard
        #problems
    }
}
