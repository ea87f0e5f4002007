//! `resources = [GPU = 1, "memory" = 0.5]`: what a run needs of its runner.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::{Expr, ExprLit, Lit, LitStr, UnOp};

use super::Given;
use super::value::{bare, required};
use crate::problems::Problems;

const EXAMPLE: &str = "[GPU = 1]";

/// One resource and how much of it.
pub(crate) struct Resource {
    name: LitStr,
    amount: TokenStream,
}

impl Resource {
    /// As the options hold it.
    pub(crate) fn tokens(&self) -> TokenStream {
        let Self { name, amount } = self;
        quote!((#name, #amount))
    }
}

/// The resources; what is wrong is left out.
pub(super) fn read(given: &Given, problems: &mut Problems) -> Vec<Resource> {
    let Some(value) = required(given, EXAMPLE, problems) else {
        return Vec::new();
    };
    let Expr::Array(array) = value else {
        problems.push(
            value,
            format!("`resources` wants a list of names and amounts: `resources = {EXAMPLE}`"),
        );
        return Vec::new();
    };
    let mut resources: Vec<Resource> = Vec::new();
    for element in &array.elems {
        let Some(resource) = resource(bare(element), problems) else {
            continue;
        };
        if resources
            .iter()
            .any(|earlier| earlier.name.value() == resource.name.value())
        {
            let name = resource.name.value();
            problems.push(
                element,
                format!("resource `{name}` is given twice; remove one"),
            );
        } else {
            resources.push(resource);
        }
    }
    resources
}

fn resource(element: &Expr, problems: &mut Problems) -> Option<Resource> {
    let Expr::Assign(assign) = element else {
        problems.push(
            element,
            format!("each of `resources` is a name and an amount: `resources = {EXAMPLE}`"),
        );
        return None;
    };
    let name = name(bare(&assign.left), problems);
    let amount = amount(bare(&assign.right), problems);
    Some(Resource {
        name: name?,
        amount: amount?,
    })
}

fn name(value: &Expr, problems: &mut Problems) -> Option<LitStr> {
    match value {
        Expr::Path(path) if path.path.get_ident().is_some() => {
            let ident = path.path.get_ident()?;
            Some(LitStr::new(&ident.unraw().to_string(), ident.span()))
        }
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) if !text.value().trim().is_empty() => Some(text.clone()),
        _ => {
            let message =
                "a resource's name is a word or a string literal: `[GPU = 1, \"my-disk\" = 2]`";
            problems.push(value, message);
            None
        }
    }
}

/// A literal greater than zero, or an expression of type `f64`.
fn amount(value: &Expr, problems: &mut Problems) -> Option<TokenStream> {
    let number = match value {
        Expr::Lit(ExprLit { lit, .. }) => match lit {
            Lit::Int(number) => number.base10_parse::<f64>().ok(),
            Lit::Float(number) => number.base10_parse::<f64>().ok(),
            _ => None,
        },
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => None,
        other => return Some(other.to_token_stream()),
    };
    match number {
        Some(number) if number > 0.0 && number.is_finite() => Some(quote!(#number)),
        _ => {
            problems.push(
                value,
                "an amount is a number greater than zero: `[GPU = 1]`",
            );
            None
        }
    }
}
