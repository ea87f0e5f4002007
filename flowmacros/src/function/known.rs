//! Types of which `flowcore` knows everything: its trait `Known`.
//!
//! It goes by how a type is written: names of numbers and texts, and lists and
//! options of them. What another type is called so is told by the trait.

use syn::{GenericArgument, PathArguments, Type};

const NAMES: [&str; 17] = [
    "i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16", "u32", "u64", "u128", "usize", "f32",
    "f64", "bool", "char", "String",
];

/// Whether it is `Known`.
pub(crate) fn is_known(ty: &Type) -> bool {
    match ty {
        Type::Tuple(tuple) => tuple.elems.is_empty(),
        Type::Path(path) if path.qself.is_none() && path.path.leading_colon.is_none() => {
            let mut segments = path.path.segments.iter();
            let (Some(only), None) = (segments.next(), segments.next()) else {
                return false;
            };
            match &only.arguments {
                PathArguments::None => NAMES.iter().any(|name| only.ident == name),
                PathArguments::AngleBracketed(arguments) => {
                    (only.ident == "Vec" || only.ident == "Option")
                        && arguments.args.len() == 1
                        && matches!(&arguments.args[0], GenericArgument::Type(ty) if is_known(ty))
                }
                PathArguments::Parenthesized(_) => false,
            }
        }
        _ => false,
    }
}

/// Whether what is behind a loan is `KnownLoan`.
pub(crate) fn is_known_loan(ty: &Type) -> bool {
    match ty {
        Type::Slice(slice) => is_known(&slice.elem),
        Type::Path(path) if path.path.is_ident("str") => true,
        _ => is_known(ty),
    }
}
