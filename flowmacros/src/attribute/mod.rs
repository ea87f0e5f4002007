//! What stands in the parentheses of `#[task(..)]`.
//!
//! Parsed by hand and leniently: a mistake in one option is noted, and the
//! others still count.

mod common;
mod flow;
mod hooks;
mod resources;
mod results;
mod retry;
mod task;
mod value;

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Expr, Token};

pub(crate) use self::flow::FlowAttribute;
pub(crate) use self::resources::Resource;
pub(crate) use self::task::{Codec, TaskAttribute};

use crate::crate_path::CratePath;
use crate::problems::Problems;
use crate::suggestion::{did_you_mean, listed};

/// One option as it was written.
pub(crate) struct Given {
    pub(crate) key: Ident,
    /// Nothing for a bare word such as `local`.
    pub(crate) value: Option<Expr>,
}

impl Given {
    pub(crate) fn name(&self) -> String {
        self.key.unraw().to_string()
    }
}

/// Splits the options; `known` are the macro's, for messages.
pub(crate) fn options(
    arguments: TokenStream,
    word: &str,
    known: &[&str],
    problems: &mut Problems,
) -> Vec<Given> {
    let mut given: Vec<Given> = Vec::new();
    let parser = |input: ParseStream<'_>| {
        while !input.is_empty() {
            match option(input) {
                Ok(option) => accept(option, word, known, &mut given, problems),
                Err(error) => {
                    problems.add(error);
                    skip_to_comma(input);
                }
            }
            if input.is_empty() {
                break;
            }
            if let Err(error) = input.parse::<Token![,]>() {
                problems.add(syn::Error::new(
                    error.span(),
                    "expected `,` between two options",
                ));
                skip_to_comma(input);
                let _ = input.parse::<Token![,]>();
            }
        }
        Ok(())
    };
    if let Err(error) = parser.parse2(arguments) {
        problems.add(error);
    }
    given
}

fn option(input: ParseStream<'_>) -> syn::Result<Given> {
    if !input.peek(syn::Ident::peek_any) {
        return Err(input.error("expected an option, such as `retries = 3`"));
    }
    let key = input.call(Ident::parse_any)?;
    let name = key.unraw();
    if input.peek(syn::token::Paren) {
        return Err(input.error(format!("write `{name} = ..` instead of `{name}(..)`")));
    }
    if input.peek(Token![:]) || input.peek(Token![=>]) || input.peek(syn::token::Bracket) {
        return Err(input.error(format!("write `{name} = ..`")));
    }
    let value = if input.peek(Token![=]) {
        let equals: Token![=] = input.parse()?;
        if input.is_empty() || input.peek(Token![,]) {
            return Err(syn::Error::new(
                equals.span,
                format!("a value is missing after `{name} =`"),
            ));
        }
        Some(input.parse()?)
    } else {
        None
    };
    Ok(Given { key, value })
}

fn accept(
    option: Given,
    word: &str,
    known: &[&str],
    given: &mut Vec<Given>,
    problems: &mut Problems,
) {
    let name = option.name();
    if !known.contains(&name.as_str()) {
        let message = match elsewhere(&name, word) {
            Some(cure) => format!("`#[{word}]` has no option `{name}`: {cure}"),
            None => match did_you_mean(&name, known.iter().copied()) {
                near if near.is_empty() => format!(
                    "unknown option `{name}`; `#[{word}]` knows {}",
                    listed(known.iter().copied())
                ),
                near => format!("unknown option `{name}`{near}"),
            },
        };
        problems.push(&option.key, message);
    } else if given.iter().any(|earlier| earlier.name() == name) {
        problems.push(
            &option.key,
            format!("option `{name}` is given twice; remove one"),
        );
    } else {
        given.push(option);
    }
}

/// What to write instead of an option that people bring from Prefect.
fn elsewhere(name: &str, word: &str) -> Option<&'static str> {
    Some(match (name, word) {
        ("retry_delay_seconds", _) => "write `retry_delay = \"10s\"`",
        ("retry_jitter_factor", "task") => "write `retry_jitter = 0.5`",
        ("retry_condition_fn", "task") => {
            "write `retry_if = is_temporary`, the name of a function of the error"
        }
        ("retry_jitter" | "retry_if", "flow") => "it belongs to a task",
        ("retry" | "max_retries", _) => "write `retries = 3`",
        ("timeout_seconds", _) => "write `timeout = \"30s\"`",
        ("log_prints", _) => "write log lines with `tracing::info!`; they show under their run",
        ("flow_run_name", "task") => "it belongs to a flow; for a task write `task_run_name`",
        ("task_run_name", "flow") => "it belongs to a task; for a flow write `flow_run_name`",
        ("api", "task") => "it belongs to a flow; how maps are told says `report = summary`",
        ("task_runner", "task") => "it belongs to the flow that submits the task",
        ("local", "flow") => "it belongs to a task; a flow always runs where it is called",
        ("priority" | "batch" | "report" | "codec" | "on_commit" | "on_rollback", "flow") => {
            "it belongs to a task"
        }
        ("resources", "flow") => {
            "it belongs to a task; what there is says the runner: `task_runner = \
             ThreadPoolTaskRunner::new().resources([(\"GPU\", 1.0)])`"
        }
        ("on_complete" | "on_success", _) => "write `on_completion = notify`",
        ("on_cancelled", _) => "write `on_cancellation = notify`",
        ("validate_parameters", "flow") => {
            "the compiler checks types; for more write `validate = check`, a function's name"
        }
        ("validate", "task") => {
            "it belongs to a flow; a task returns a `Result` that says what is wrong"
        }
        ("wait_for", "task") => "order without data is `task.after(&a).submit(..)`",
        ("cache_policy", _) => "write `cache = INPUTS + TASK_SOURCE`",
        ("cache_key_fn", _) => "write `cache_key = function`",
        ("result_storage", _) => "write `result_store = \"./results\"`",
        ("cache" | "cache_key" | "cache_expiration" | "refresh_cache", "flow") => {
            "it belongs to a task; a flow says `persist_result` for all its tasks"
        }
        ("fn", _) => "the plain function is `func`",
        ("clap" | "args" | "command" | "commands", "flowcore::main") => {
            "write `cli`: the program's arguments are commands then, such as `run` and `flows`"
        }
        _ => return None,
    })
}

fn skip_to_comma(input: ParseStream<'_>) {
    while !input.is_empty() && !input.peek(Token![,]) {
        let _ = input.parse::<TokenTree>();
    }
}

/// The options of `#[main]`.
pub(crate) struct EntryPoint {
    pub(crate) krate: CratePath,
    /// Whether Ctrl-C and SIGTERM are ours.
    pub(crate) signals: bool,
    /// Whether arguments of the program are commands.
    pub(crate) cli: bool,
}

/// Reads only the options that `#[main]` has.
pub(crate) fn entry_point(arguments: TokenStream, problems: &mut Problems) -> EntryPoint {
    const KNOWN: [&str; 3] = ["cli", "signals", "crate"];
    let given = options(arguments, "flowcore::main", &KNOWN, problems);
    let mut read = EntryPoint {
        krate: CratePath::default(),
        signals: true,
        cli: false,
    };
    for option in &given {
        match option.name().as_str() {
            "cli" => read.cli = value::flag(option, problems),
            "signals" => read.signals = value::switch(option, problems).unwrap_or(true),
            _ => {
                if let Some(path) = value::crate_path(option, problems) {
                    read.krate = path;
                }
            }
        }
    }
    read
}

/// Reads the only option that `#[test]` has.
pub(crate) fn test(arguments: TokenStream, problems: &mut Problems) -> CratePath {
    let given = options(arguments, "flowcore::test", &["crate"], problems);
    let mut paths = given.iter();
    let path = paths.find_map(|option| value::crate_path(option, problems));
    path.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    fn read(arguments: TokenStream) -> (Vec<String>, Vec<String>) {
        let mut problems = Problems::default();
        let known = ["name", "retries", "timeout", "local", "crate"];
        let given = options(arguments, "task", &known, &mut problems);
        (given.iter().map(Given::name).collect(), problems.messages())
    }

    #[test]
    fn options_are_split_at_commas() {
        let (given, problems) = read(quote!(
            name = "a",
            retries = make::<A, B>(1, 2),
            local,
            crate = a::b,
        ));
        assert_eq!(problems, [""; 0]);
        assert_eq!(given, ["name", "retries", "local", "crate"]);
        assert_eq!(read(quote!()).0, [""; 0]);
    }

    #[test]
    fn one_mistake_does_not_hide_the_next() {
        let (given, problems) = read(quote!(
            retrys = 1, name, = , timeout =, retries(3), local, nonsense = 1, local
        ));
        assert_eq!(given, ["name", "local"]);
        let parts = [
            "unknown option `retrys`; did you mean `retries`?",
            "expected an option",
            "a value is missing after `timeout =`",
            "write `retries = ..` instead of `retries(..)`",
            "unknown option `nonsense`; `#[task]` knows `name`, `retries`",
            "option `local` is given twice",
        ];
        assert_eq!(problems.len(), parts.len(), "{problems:?}");
        for (problem, part) in problems.iter().zip(parts) {
            assert!(problem.contains(part), "{part}: {problem}");
        }
    }

    #[test]
    fn names_from_prefect_get_a_translation() {
        let (_, problems) = read(quote!(timeout_seconds = 3));
        assert!(
            problems[0].contains("write `timeout = \"30s\"`"),
            "{problems:?}"
        );
    }

    #[test]
    fn a_missing_comma_is_named() {
        let (given, problems) = read(quote!(local retries = 3, name = "x"));
        assert_eq!(given, ["local", "name"]);
        assert_eq!(problems, ["expected `,` between two options"]);
    }
}
