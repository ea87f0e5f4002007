//! Names of generated items.

use proc_macro2::Ident;
use quote::format_ident;
use syn::ext::IdentExt;

/// `inc_double` and `Task` → `IncDoubleTask`.
pub(crate) fn type_name(function: &Ident, suffix: &str) -> Ident {
    let mut name = String::new();
    for word in function.unraw().to_string().split('_') {
        let mut letters = word.chars();
        if let Some(first) = letters.next() {
            name.extend(first.to_uppercase());
            name.push_str(letters.as_str());
        }
    }
    // A name must not begin with a digit, which `_1` would.
    if name.starts_with(|first: char| !first.is_alphabetic()) {
        name.insert(0, '_');
    }
    format_ident!("{name}{suffix}", span = function.span())
}

/// `inc` → `__inc`: the name of the plain function inside the expansion. It
/// cannot be `inc` itself, because `inc` in the body means the task.
pub(crate) fn plain_name(function: &Ident) -> Ident {
    format_ident!("__{}", function.unraw(), span = function.span())
}

/// `inc_double` → `inc-double`, as Prefect names a flow after its function.
pub(crate) fn flow_name(function: &Ident) -> String {
    function.unraw().to_string().replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proc_macro2::Span;

    fn named(function: &str) -> String {
        type_name(&Ident::new(function, Span::call_site()), "Task").to_string()
    }

    #[test]
    fn snake_case_becomes_camel_case() {
        assert_eq!(named("inc"), "IncTask");
        assert_eq!(named("load_data_2"), "LoadData2Task");
        assert_eq!(named("_hidden"), "HiddenTask");
        assert_eq!(named("_1"), "_1Task");
        assert_eq!(named("größe"), "GrößeTask");
    }

    #[test]
    fn raw_names_lose_their_prefix() {
        let raw = Ident::new_raw("type", Span::call_site());
        assert_eq!(type_name(&raw, "Task").to_string(), "TypeTask");
        assert_eq!(plain_name(&raw).to_string(), "__type");
    }
}
