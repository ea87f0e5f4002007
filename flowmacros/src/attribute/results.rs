//! Options about results: what makes two runs the same, and where results are
//! kept.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{BinOp, Expr, ExprLit, ExprPath, Lit, LitStr};

use super::{Given, value};
use crate::function::Parameter;
use crate::problems::Problems;
use crate::suggestion::{did_you_mean, listed};

const POLICIES: [&str; 6] = [
    "INPUTS",
    "TASK_SOURCE",
    "RUN_ID",
    "FLOW_PARAMETERS",
    "DEFAULT",
    "NO_CACHE",
];

/// The options of `#[task]` about results.
#[derive(Default)]
pub(crate) struct Results {
    cache: Option<(Expr, Policy)>,
    pub(crate) cache_key: Option<ExprPath>,
    cache_expiration: Option<TokenStream>,
    refresh_cache: Option<bool>,
    pub(crate) persist_result: Option<bool>,
    pub(crate) result_store: Option<LitStr>,
    /// A variant of `Isolation`.
    isolation: Option<&'static str>,
}

/// A policy as `flowcore` holds it: `INPUTS` last in a sum.
#[derive(Clone, Debug, Default, PartialEq)]
struct Policy {
    parts: Vec<&'static str>,
    excluded: Vec<LitStr>,
    is_sum: bool,
}

impl Results {
    /// Reads the option if it is one of these.
    pub(super) fn read(&mut self, given: &Given, problems: &mut Problems) -> bool {
        match given.name().as_str() {
            "cache" => {
                let Some(written) = value::required(given, "INPUTS + TASK_SOURCE", problems) else {
                    return true;
                };
                match policy(written) {
                    Ok(policy) => self.cache = Some((written.clone(), policy)),
                    Err(error) => problems.add(error),
                }
            }
            "cache_key" => {
                let wrong = "`cache_key` wants the name of a function: it runs where the task \
                             runs, which may be another process";
                self.cache_key = value::function(given, "key_of_load", wrong, problems);
            }
            "cache_expiration" => self.cache_expiration = value::duration(given, problems),
            "refresh_cache" => self.refresh_cache = Some(value::flag(given, problems)),
            "persist_result" => self.persist_result = Some(value::flag(given, problems)),
            "result_store" => {
                self.result_store = value::nonempty_text(given, "\"./results\"", problems);
            }
            "isolation" => self.isolation = isolation(given, problems),
            _ => return false,
        }
        true
    }

    /// Checks what needs the parameters and the other options; what is wrong
    /// is dropped.
    pub(crate) fn check(
        &mut self,
        parameters: &[Parameter],
        is_local: bool,
        problems: &mut Problems,
    ) {
        let names: Vec<String> = parameters.iter().map(Parameter::text).collect();
        if let Some((written, policy)) = &self.cache {
            for argument in &policy.excluded {
                let text = argument.value();
                if names.contains(&text) {
                    continue;
                }
                let known = match names.as_slice() {
                    [] => "it has none".to_owned(),
                    names => format!("it has {}", listed(names.iter().map(String::as_str))),
                };
                let near = did_you_mean(&text, names.iter().map(String::as_str));
                problems.push(
                    argument,
                    format!("the task has no parameter `{text}` to leave out: {known}{near}"),
                );
            }
            if self.cache_key.is_some() {
                problems.push(
                    written,
                    "`cache` and `cache_key` both say what the key is: give one of them",
                );
                self.cache = None;
            } else if self.persist_result == Some(false) && !policy.parts.is_empty() {
                problems.push(
                    written,
                    "`cache` finds nothing with `persist_result = false`: remove one of them",
                );
                self.cache = None;
            }
        }
        if is_local && let Some(first) = self.first() {
            problems.push(
                &first,
                "a `local` task keeps its values in memory, so they cannot be written down: \
                 remove `local`, or this",
            );
            *self = Self::default();
        }
    }

    /// The first option that makes results be written down.
    fn first(&self) -> Option<TokenStream> {
        let cache = self.cache.as_ref();
        let cache = cache.filter(|(_, policy)| !policy.parts.is_empty());
        cache
            .map(|(written, _)| written.to_token_stream())
            .or_else(|| self.cache_key.as_ref().map(ToTokens::to_token_stream))
            .or_else(|| self.result_store.as_ref().map(ToTokens::to_token_stream))
    }

    /// The value of `ResultAttributes`.
    pub(crate) fn tokens(&self, private: &TokenStream) -> TokenStream {
        let some = |value: TokenStream| quote!(::core::option::Option::Some(#value));
        let cache = self.cache.iter().map(|(_, policy)| {
            let parts = policy.parts.iter().map(|part| {
                let part = proc_macro2::Ident::new(part, proc_macro2::Span::call_site());
                quote!(#private::CachePart::#part)
            });
            let (excluded, is_sum) = (&policy.excluded, policy.is_sum);
            some(quote!((&[#(#parts),*], &[#(#excluded),*], #is_sum)))
        });
        let has_key_function = self.cache_key.is_some();
        let expiration = self.cache_expiration.iter().cloned().map(some);
        let refresh = self.refresh_cache.iter().map(|value| some(quote!(#value)));
        let persist = self.persist_result.iter().map(|value| some(quote!(#value)));
        let store = self.result_store.iter().map(|value| some(quote!(#value)));
        let isolation = self.isolation.iter();
        let isolation =
            isolation.map(|name| proc_macro2::Ident::new(name, proc_macro2::Span::call_site()));
        quote! {
            #private::ResultAttributes {
                #(cache: #cache,)*
                has_key_function: #has_key_function,
                #(cache_expiration: #expiration,)*
                #(refresh_cache: #refresh,)*
                #(persist_result: #persist,)*
                #(result_store: #store,)*
                #(isolation: #private::Isolation::#isolation,)*
                ..#private::ResultAttributes::NONE
            }
        }
    }

    /// Whether anything was said.
    pub(crate) fn is_some(&self) -> bool {
        self.cache.is_some()
            || self.cache_key.is_some()
            || self.cache_expiration.is_some()
            || self.refresh_cache.is_some()
            || self.persist_result.is_some()
            || self.result_store.is_some()
            || self.isolation.is_some()
    }
}

/// Reads `serializable` or `read_committed`, in any spelling of Prefect's.
fn isolation(given: &Given, problems: &mut Problems) -> Option<&'static str> {
    let written = value::required(given, "serializable", problems)?;
    let name = match written {
        Expr::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
        _ => None,
    };
    match name.unwrap_or_default().to_lowercase().as_str() {
        "serializable" => Some("Serializable"),
        "read_committed" | "readcommitted" => Some("ReadCommitted"),
        _ => {
            problems.push(
                written,
                "`isolation` is `serializable` or `read_committed`: `isolation = serializable`",
            );
            None
        }
    }
}

/// Reads `INPUTS - "x" + TASK_SOURCE`.
fn policy(written: &Expr) -> syn::Result<Policy> {
    match written {
        Expr::Group(group) => policy(&group.expr),
        Expr::Paren(paren) => policy(&paren.expr),
        Expr::Binary(binary) if matches!(binary.op, BinOp::Add(_)) => {
            Ok(sum(policy(&binary.left)?, policy(&binary.right)?))
        }
        Expr::Binary(binary) if matches!(binary.op, BinOp::Sub(_)) => {
            let mut from = policy(&binary.left)?;
            let Expr::Lit(ExprLit {
                lit: Lit::Str(argument),
                ..
            }) = value::bare(&binary.right)
            else {
                return Err(syn::Error::new_spanned(
                    &binary.right,
                    "what is left out is an argument's name as a string literal: `INPUTS - \"x\"`",
                ));
            };
            if !from.parts.contains(&"Inputs") {
                return Err(syn::Error::new_spanned(
                    &binary.left,
                    "an argument can only be left out of `INPUTS`",
                ));
            }
            from.excluded.push(argument.clone());
            Ok(from)
        }
        Expr::Path(path) => named(path),
        other => Err(syn::Error::new_spanned(
            other,
            "a cache policy looks like `INPUTS + TASK_SOURCE` or `INPUTS - \"x\"`",
        )),
    }
}

fn named(path: &ExprPath) -> syn::Result<Policy> {
    let name = path
        .path
        .segments
        .last()
        .map(|segment| segment.ident.to_string());
    let name = name.unwrap_or_default();
    let (parts, is_sum): (&[&'static str], bool) = match name.as_str() {
        "INPUTS" => (&["Inputs"], false),
        "TASK_SOURCE" => (&["TaskSource"], false),
        "RUN_ID" => (&["RunId"], false),
        "FLOW_PARAMETERS" => (&["FlowParameters"], false),
        "DEFAULT" => (&["TaskSource", "RunId", "Inputs"], true),
        "NO_CACHE" => (&[], false),
        _ => {
            let near = match did_you_mean(&name, POLICIES) {
                near if near.is_empty() => format!("; there are {}", listed(POLICIES)),
                near => near,
            };
            return Err(syn::Error::new_spanned(
                path,
                format!("there is no cache policy `{name}`{near}"),
            ));
        }
    };
    Ok(Policy {
        parts: parts.to_vec(),
        excluded: Vec::new(),
        is_sum,
    })
}

fn sum(left: Policy, right: Policy) -> Policy {
    if right.parts.is_empty() {
        return left;
    }
    if left.parts.is_empty() {
        return right;
    }
    let both = || left.parts.iter().chain(&right.parts).copied();
    let inputs = both().find(|part| *part == "Inputs");
    let others = both().filter(|part| *part != "Inputs");
    Policy {
        parts: others.chain(inputs).collect(),
        excluded: left
            .excluded
            .iter()
            .chain(&right.excluded)
            .cloned()
            .collect(),
        is_sum: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    fn parts(written: &Expr) -> (Vec<&'static str>, Vec<String>, bool) {
        let policy = policy(written).expect("a policy");
        let excluded = policy.excluded.iter().map(LitStr::value).collect();
        (policy.parts, excluded, policy.is_sum)
    }

    #[test]
    fn policies_are_sums_and_differences() {
        assert_eq!(
            parts(&parse_quote!(
                INPUTS + TASK_SOURCE + flowcore::results::RUN_ID
            )),
            parts(&parse_quote!(DEFAULT))
        );
        assert_eq!(
            parts(&parse_quote!(INPUTS - "a" - "b")),
            (vec!["Inputs"], vec!["a".into(), "b".into()], false)
        );
        assert_eq!(
            parts(&parse_quote!((INPUTS + NO_CACHE) - "a")),
            (vec!["Inputs"], vec!["a".into()], false)
        );
        assert_eq!(parts(&parse_quote!(NO_CACHE)), (vec![], vec![], false));
    }

    #[test]
    fn mistakes_are_named() {
        let message = |written: &Expr| policy(written).expect_err("a mistake").to_string();
        for (written, part) in [
            (parse_quote!(INPUT), "did you mean `INPUTS`?"),
            (
                parse_quote!(EVERYTHING),
                "there are `INPUTS`, `TASK_SOURCE`",
            ),
            (parse_quote!("INPUTS"), "looks like `INPUTS + TASK_SOURCE`"),
            (
                parse_quote!(RUN_ID - "x"),
                "can only be left out of `INPUTS`",
            ),
            (parse_quote!(INPUTS - x), "as a string literal"),
            (parse_quote!(INPUTS * RUN_ID), "looks like"),
        ] {
            let message = message(&written);
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}
