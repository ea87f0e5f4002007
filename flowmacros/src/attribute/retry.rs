//! The options of retries: how long to wait, how evenly, after which failures.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Expr, ExprCall, ExprLit, ExprPath, Lit, UnOp};

use super::{Given, value};
use crate::problems::Problems;

/// As many delays as Prefect takes in a list.
const LONGEST_LIST: usize = 50;

/// `"10s"`, `["1s", "1m"]` or `exponential_backoff("10s")`.
pub(crate) enum RetryDelay {
    Fixed(TokenStream),
    Listed(Vec<TokenStream>),
    Exponential(TokenStream),
}

impl RetryDelay {
    pub(crate) fn tokens(&self, private: &TokenStream) -> TokenStream {
        let attribute = quote!(#private::RetryDelayAttribute);
        match self {
            Self::Fixed(delay) => quote!(#attribute::Fixed { delay: #delay }),
            Self::Listed(delays) => quote!(#attribute::Listed(&[#(#delays),*])),
            Self::Exponential(base) => quote!(#attribute::Exponential(#base)),
        }
    }
}

/// Reads `retry_delay`.
pub(super) fn delay(given: &Given, problems: &mut Problems) -> Option<RetryDelay> {
    match value::required(given, "\"10s\"", problems)? {
        Expr::Array(array) => {
            let delays: Vec<_> = array
                .elems
                .iter()
                .filter_map(|delay| value::duration_of("retry_delay", value::bare(delay), problems))
                .collect();
            if array.elems.is_empty() {
                problems.push(array, "`retry_delay` is an empty list: leave it out");
                return None;
            }
            if array.elems.len() > LONGEST_LIST {
                problems.push(
                    array,
                    format!(
                        "`retry_delay` has at most {LONGEST_LIST} entries; the last one repeats"
                    ),
                );
                return None;
            }
            Some(RetryDelay::Listed(delays))
        }
        Expr::Call(call) if is_backoff(call) => {
            let Some(base) = call.args.first().filter(|_| call.args.len() == 1) else {
                problems.push(
                    call,
                    "`exponential_backoff` takes one duration, the first delay: \
                     `exponential_backoff(\"10s\")`",
                );
                return None;
            };
            value::duration_of("retry_delay", value::bare(base), problems)
                .map(RetryDelay::Exponential)
        }
        single => value::duration_of("retry_delay", single, problems).map(RetryDelay::Fixed),
    }
}

fn is_backoff(call: &ExprCall) -> bool {
    match value::bare(&call.func) {
        Expr::Path(path) => path
            .path
            .segments
            .last()
            .is_some_and(|segment| segment.ident == "exponential_backoff"),
        _ => false,
    }
}

/// Reads `retry_jitter`: a number from 0 on, or an expression of type `f64`.
pub(super) fn jitter(given: &Given, problems: &mut Problems) -> Option<TokenStream> {
    let message = match value::required(given, "0.5", problems)? {
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => {
            "`retry_jitter` cannot be negative: `retry_jitter = 0.5`"
        }
        Expr::Lit(ExprLit {
            lit: Lit::Float(number),
            ..
        }) if matches!(number.suffix(), "" | "f64") => match number.base10_parse::<f64>() {
            Ok(factor) if factor.is_finite() => return Some(quote!(#factor)),
            _ => "`retry_jitter` is too large: `retry_jitter = 0.5`",
        },
        Expr::Lit(ExprLit {
            lit: Lit::Int(number),
            ..
        }) if number.suffix().is_empty() => match number.base10_parse::<u32>() {
            Ok(factor) => {
                let factor = f64::from(factor);
                return Some(quote!(#factor));
            }
            Err(_) => "`retry_jitter` is too large: `retry_jitter = 0.5`",
        },
        Expr::Lit(_) | Expr::Array(_) | Expr::Tuple(_) => {
            "`retry_jitter` wants a number, the part of a delay that may be added: \
             `retry_jitter = 0.5`"
        }
        other => return Some(other.to_token_stream()),
    };
    problems.push(&given.value, message);
    None
}

/// Reads `retry_if`: the name of a function, which other processes find too.
pub(super) fn condition(given: &Given, problems: &mut Problems) -> Option<ExprPath> {
    let wrong = "`retry_if` wants the name of a function, since it runs where the task runs: \
                 `retry_if = is_temporary` with `fn is_temporary(error: &flowcore::Error) -> bool`";
    value::function(given, "is_temporary", wrong, problems)
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    fn given(value: Expr) -> Given {
        Given {
            key: parse_quote!(option),
            value: Some(value),
        }
    }

    #[test]
    fn delays_of_every_kind_are_read() {
        let mut problems = Problems::default();
        let mut read = |value| {
            let delay = delay(&given(value), &mut problems).expect("a delay");
            delay.tokens(&quote!(p)).to_string().replace(' ', "")
        };
        let ten = "::core::time::Duration::new(10u64,0u32)";
        assert_eq!(
            read(parse_quote!("10s")),
            format!("p::RetryDelayAttribute::Fixed{{delay:{ten}}}")
        );
        assert_eq!(
            read(parse_quote!([10, "10s"])),
            format!("p::RetryDelayAttribute::Listed(&[{ten},{ten}])")
        );
        assert_eq!(
            read(parse_quote!(flowcore::exponential_backoff("10s"))),
            format!("p::RetryDelayAttribute::Exponential({ten})")
        );
        assert!(problems.is_empty());
    }

    #[test]
    fn mistakes_name_the_cure() {
        let mut problems = Problems::default();
        delay(&given(parse_quote!([])), &mut problems);
        delay(&given(parse_quote!(["1s", "soon"])), &mut problems);
        delay(&given(parse_quote!(exponential_backoff())), &mut problems);
        delay(&given(parse_quote!("-1s")), &mut problems);
        jitter(&given(parse_quote!(-0.5)), &mut problems);
        jitter(&given(parse_quote!("half")), &mut problems);
        condition(&given(parse_quote!(|error| true)), &mut problems);
        let messages = problems.messages();
        for (message, part) in messages.iter().zip([
            "empty list",
            "expected a number before `soon`",
            "takes one duration",
            "cannot be negative",
            "cannot be negative",
            "wants a number",
            "wants the name of a function",
        ]) {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert_eq!(messages.len(), 7, "{messages:?}");
    }
}
