//! The procedural macros of `flowcore`: [`macro@task`], [`macro@flow`],
//! [`macro@main`] and [`macro@test`]. Use them from there; they expand to paths of `flowcore`.
//!
//! The entry points below are thin: all they do is turn the compiler's tokens
//! into those of `proc_macro2`, so that everything else can be unit-tested. The
//! programs in their documentation need `flowcore`, and are tested there.

mod attribute;
mod crate_path;
mod description;
mod duration;
mod entry_point;
mod fingerprint;
mod flow;
mod function;
mod handle;
mod naming;
mod problems;
mod suggestion;
mod task;
mod template;

use proc_macro::TokenStream;

#[cfg_attr(not(doctest), doc = include_str!("../docs/task.md"))]
#[proc_macro_attribute]
pub fn task(arguments: TokenStream, item: TokenStream) -> TokenStream {
    task::expand(arguments.into(), &item.into()).into()
}

#[cfg_attr(not(doctest), doc = include_str!("../docs/flow.md"))]
#[proc_macro_attribute]
pub fn flow(arguments: TokenStream, item: TokenStream) -> TokenStream {
    flow::expand(arguments.into(), &item.into()).into()
}

#[cfg_attr(not(doctest), doc = include_str!("../docs/main.md"))]
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    entry_point::expand(arguments.into(), &item.into()).into()
}

#[cfg_attr(not(doctest), doc = include_str!("../docs/test.md"))]
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    entry_point::expand_test(arguments.into(), &item.into()).into()
}
