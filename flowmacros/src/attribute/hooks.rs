//! `on_failure = notify`, `on_completion = [count, notify]`: functions that are
//! called when a run enters a state, and those of its transaction.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::{Expr, ExprPath};

use super::Given;
use super::value::{bare, required};
use crate::crate_path::{CratePath, Place};
use crate::problems::Problems;

/// The options, and what `flowcore` calls what they wait for.
const EVENTS: [(&str, &str); 5] = [
    ("on_running", "Running"),
    ("on_completion", "Completion"),
    ("on_failure", "Failure"),
    ("on_crashed", "Crashed"),
    ("on_cancellation", "Cancellation"),
];

/// Those that wait for the transaction of a run.
const TRANSACTION_EVENTS: [(&str, &str); 2] =
    [("on_commit", "Commit"), ("on_rollback", "Rollback")];

/// One function that is called in one state.
pub(crate) struct Hook {
    event: &'static str,
    function: ExprPath,
}

/// What the options of one kind hold.
#[derive(Clone, Copy)]
pub(crate) enum HookKind {
    State,
    Transaction,
}

/// Reads the option if it is one of these.
pub(super) fn read(given: &Given, hooks: &mut Vec<Hook>, problems: &mut Problems) -> bool {
    read_of(&EVENTS, "notify", given, hooks, problems)
}

/// The same for `on_commit` and `on_rollback`.
pub(super) fn read_transaction(
    given: &Given,
    hooks: &mut Vec<Hook>,
    problems: &mut Problems,
) -> bool {
    read_of(&TRANSACTION_EVENTS, "undo", given, hooks, problems)
}

fn read_of(
    events: &[(&str, &'static str)],
    example: &str,
    given: &Given,
    hooks: &mut Vec<Hook>,
    problems: &mut Problems,
) -> bool {
    let name = given.name();
    let Some((_, event)) = events.iter().find(|(option, _)| *option == name) else {
        return false;
    };
    let Some(value) = required(given, example, problems) else {
        return true;
    };
    let functions = match value {
        Expr::Array(array) => array.elems.iter().collect(),
        value => vec![value],
    };
    for function in functions {
        match bare(function) {
            Expr::Path(function) => hooks.push(Hook {
                event,
                function: function.clone(),
            }),
            Expr::Closure(closure) => problems.push(
                closure,
                format!(
                    "`{name}` wants a named function or a list of them: `{name} = {example}`; a \
                     closure can be added to a copy: `.with_options(|o| o.{name}(..))`"
                ),
            ),
            other => problems.push(
                other,
                format!("`{name}` wants a named function or a list of them: `{name} = {example}`"),
            ),
        }
    }
    true
}

impl Hook {
    /// As the options hold it. What is wrong with the function is said at its
    /// name.
    pub(crate) fn tokens(&self, kind: HookKind, krate: &CratePath) -> TokenStream {
        let Self { event, function } = self;
        let Place { start, .. } = Place::of(function);
        let private = krate.private(start);
        let event = proc_macro2::Ident::new(event, start);
        let name = function
            .path
            .segments
            .last()
            .map(|segment| segment.ident.to_token_stream().to_string())
            .unwrap_or_default();
        let (hook, events, arguments, called) = match kind {
            HookKind::State => (
                quote!(AttributeHook),
                quote!(HookEvent),
                quote!(__definition, __run, __state),
                quote_spanned!(start=> #function(__definition, __run, __state)),
            ),
            HookKind::Transaction => (
                quote!(AttributeTransactionHook),
                quote!(TransactionEvent),
                quote!(__transaction),
                quote_spanned!(start=> #function(__transaction)),
            ),
        };
        let failure = quote_spanned!(start=> #private::HookOutcome::failure(#called));
        quote! {
            #private::#hook {
                event: #private::#events::#event,
                name: #name,
                call: |#arguments| #failure,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    fn events(option: &str, value: Expr) -> (usize, Vec<String>) {
        let mut problems = Problems::default();
        let given = Given {
            key: proc_macro2::Ident::new(option, proc_macro2::Span::call_site()),
            value: Some(value),
        };
        let mut hooks = Vec::new();
        assert!(read(&given, &mut hooks, &mut problems));
        (hooks.len(), problems.messages())
    }

    #[test]
    fn one_function_or_a_list_of_them() {
        assert_eq!(events("on_failure", parse_quote!(notify)), (1, Vec::new()));
        let list = parse_quote!([notify, crate::alerts::page, make::<u8>]);
        assert_eq!(events("on_running", list), (3, Vec::new()));
    }

    #[test]
    fn closures_go_into_with_options() {
        let (hooks, problems) = events("on_crashed", parse_quote!([notify, |_, _, _| (), "x"]));
        assert_eq!((hooks, problems.len()), (1, 2));
        assert!(problems[0].contains("`.with_options(|o| o.on_crashed(..))`"));
    }
}
