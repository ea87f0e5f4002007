//! The expansion of `#[task]`.

mod call;
mod definition;
mod methods;

use proc_macro2::TokenStream;
use quote::quote;

use crate::attribute::TaskAttribute;
use crate::function::{Function, Kind, Output};
use crate::handle::Handle;
use crate::problems::Problems;

/// Expands `#[task(arguments)] item`.
///
/// Mistakes in the options leave the task as it would be without them. Where
/// the function cannot be a task at all, it stays a function. Either way its
/// name resolves, so that one mistake is one message.
pub(crate) fn expand(arguments: TokenStream, item: &TokenStream) -> TokenStream {
    let mut problems = Problems::default();
    let mut attribute = TaskAttribute::parse(arguments, &mut problems);
    let function = match Function::parse(item.clone(), Kind::Task) {
        Ok(function) => function,
        Err(error) => {
            problems.add(error);
            let problems = problems.into_tokens();
            return quote!(#item #problems);
        }
    };

    let mut obstacles = Problems::default();
    function.check(Kind::Task, &mut obstacles);
    let parameters = function.parameters(Kind::Task, attribute.local, &mut obstacles);
    let output = Output::new(&function, Kind::Task, &mut obstacles);
    attribute.common.check_run_name(&parameters, &mut problems);
    attribute
        .results
        .check(&parameters, attribute.local, &mut problems);
    if !obstacles.is_empty() {
        let (problems, obstacles) = (problems.into_tokens(), obstacles.into_tokens());
        let item = function.as_it_was(Kind::Task);
        return quote!(#item #problems #obstacles);
    }

    let handle = Handle::new(
        &attribute.common.krate,
        &function,
        &parameters,
        &output,
        "Task",
    );
    let plain = handle.plain_function(&attribute.common.named_parameters);
    let type_and_static = handle.type_and_static();
    let methods = methods::tokens(&handle);
    let definition = definition::tokens(&handle, &attribute);
    let type_name = &handle.type_name;
    let common = handle.common_items(&quote!(of::<#type_name>()));
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
