//! What a type must not contain to be stored while a run waits.

use syn::{GenericArgument, Lifetime, Path, PathArguments, ReturnType, Type};

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;

/// Something in a type that stands in the way, with its tokens.
#[derive(Debug)]
pub(crate) enum Obstacle {
    /// `&T` somewhere inside, such as in `Vec<&str>`.
    Borrowed(TokenStream),
    /// `'a` or `'_` as an argument, such as in `Cow<'_, str>`.
    Lifetime(TokenStream),
    /// `impl Trait`.
    Impl(TokenStream),
    /// `_`.
    Inferred(TokenStream),
    /// `!`.
    Never(TokenStream),
}

/// The first obstacle in a type. `'static` is none: such types are owned.
pub(crate) fn obstacle(ty: &Type) -> Option<Obstacle> {
    match ty {
        Type::Array(array) => obstacle(&array.elem),
        Type::Slice(slice) => obstacle(&slice.elem),
        Type::Group(group) => obstacle(&group.elem),
        Type::Paren(paren) => obstacle(&paren.elem),
        Type::Tuple(tuple) => tuple.elems.iter().find_map(obstacle),
        Type::Path(path) => {
            let own = path.qself.as_ref().and_then(|own| obstacle(&own.ty));
            own.or_else(|| path_obstacle(&path.path))
        }
        Type::ImplTrait(_) => Some(Obstacle::Impl(ty.to_token_stream())),
        Type::Infer(_) => Some(Obstacle::Inferred(ty.to_token_stream())),
        Type::Never(_) => Some(Obstacle::Never(ty.to_token_stream())),
        Type::Reference(reference) => match &reference.lifetime {
            Some(lifetime) if lifetime.ident == "static" => obstacle(&reference.elem),
            _ => Some(Obstacle::Borrowed(ty.to_token_stream())),
        },
        // Function pointers and trait objects bind lifetimes of their own;
        // macros cannot be looked into. The compiler has the last word there.
        _ => None,
    }
}

fn path_obstacle(path: &Path) -> Option<Obstacle> {
    path.segments
        .iter()
        .find_map(|segment| match &segment.arguments {
            PathArguments::AngleBracketed(arguments) => {
                arguments.args.iter().find_map(argument_obstacle)
            }
            PathArguments::Parenthesized(arguments) => {
                let output = match &arguments.output {
                    ReturnType::Type(_, ty) => obstacle(ty),
                    ReturnType::Default => None,
                };
                arguments
                    .inputs
                    .iter()
                    .find_map(|input| obstacle(&input.ty))
                    .or(output)
            }
            PathArguments::None => None,
        })
}

fn argument_obstacle(argument: &GenericArgument) -> Option<Obstacle> {
    match argument {
        GenericArgument::Lifetime(lifetime) if lifetime.ident != "static" => {
            Some(Obstacle::Lifetime(lifetime.to_token_stream()))
        }
        GenericArgument::Type(ty) => obstacle(ty),
        _ => None,
    }
}

/// Gives every loan in a type that names no lifetime this one: `&T` and `'_`.
/// Looks where [`obstacle`] looks.
pub(crate) fn lend(ty: &mut Type, lifetime: &Lifetime) {
    match ty {
        Type::Array(array) => lend(&mut array.elem, lifetime),
        Type::Slice(slice) => lend(&mut slice.elem, lifetime),
        Type::Group(group) => lend(&mut group.elem, lifetime),
        Type::Paren(paren) => lend(&mut paren.elem, lifetime),
        Type::Tuple(tuple) => tuple.elems.iter_mut().for_each(|ty| lend(ty, lifetime)),
        Type::Reference(reference) => {
            if reference.lifetime.as_ref().is_none_or(is_elided) {
                reference.lifetime = Some(lifetime.clone());
            }
            lend(&mut reference.elem, lifetime);
        }
        Type::Path(path) => {
            for segment in &mut path.path.segments {
                if let PathArguments::AngleBracketed(arguments) = &mut segment.arguments {
                    for argument in &mut arguments.args {
                        match argument {
                            GenericArgument::Type(ty) => lend(ty, lifetime),
                            GenericArgument::Lifetime(own) if is_elided(own) => {
                                *own = lifetime.clone();
                            }
                            _ => {}
                        }
                    }
                }
            }
        }
        _ => {}
    }
}

fn is_elided(lifetime: &Lifetime) -> bool {
    lifetime.ident == "_"
}

/// Whether a lifetime stands anywhere in a type, also that of `&T`. What such a
/// type implements may hold for that lifetime only. `Cow` is known to own what
/// it is read from.
pub(crate) fn names_lifetime(ty: &TokenStream) -> bool {
    let mut is_cow = false;
    for token in ty.clone() {
        match token {
            TokenTree::Group(group) if names_lifetime(&group.stream()) => return true,
            TokenTree::Punct(punct) if punct.as_char() == '&' => return true,
            TokenTree::Punct(punct) if punct.as_char() == '\'' && !is_cow => return true,
            TokenTree::Punct(punct) if punct.as_char() == '<' => continue,
            TokenTree::Ident(ident) => {
                is_cow = ident == "Cow";
                continue;
            }
            _ => {}
        }
        is_cow = false;
    }
    false
}

/// The type without the groups and parentheses around it.
pub(crate) fn bare(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => bare(&group.elem),
        Type::Paren(paren) => bare(&paren.elem),
        ty => ty,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;
    use syn::parse_quote;

    #[test]
    fn owned_types_have_no_obstacle() {
        for ty in [
            parse_quote!(Vec<(i64, Option<String>)>),
            parse_quote!(Cow<'static, str>),
            parse_quote!(&'static str),
            parse_quote!(Arc<dyn Fn(&str) -> bool + Send + Sync>),
            parse_quote!([u8; 4]),
            parse_quote!(fn(&str) -> usize),
        ] {
            let ty: Type = ty;
            assert!(obstacle(&ty).is_none());
        }
    }

    #[test]
    fn loans_get_their_lifetime() {
        for (mut ty, lent) in [
            (parse_quote!(&[&str]), quote!(&'run [&'run str])),
            (
                parse_quote!(Log<'_, Vec<&u8>>),
                quote!(Log<'run, Vec<&'run u8>>),
            ),
            (parse_quote!(&'static str), quote!(&'static str)),
            (parse_quote!(&dyn Fn(&str)), quote!(&'run dyn Fn(&str))),
            (parse_quote!(fn(&str)), quote!(fn(&str))),
        ] {
            lend(&mut ty, &parse_quote!('run));
            let found = ty.to_token_stream().to_string();
            assert_eq!(found.replace(' ', ""), lent.to_string().replace(' ', ""));
        }
    }

    #[test]
    fn lifetimes_are_found_at_any_depth() {
        for (ty, expected) in [
            (quote!(Vec<(i64, Option<String>)>), false),
            (quote!(Vec<Cow<'static, str>>), false),
            (quote!(Cow<'_, [Log<'_>]>), true),
            (quote!(&'static str), true),
            (quote!(Vec<(u8, &str)>), true),
            (quote!([Log<'static>; 2]), true),
        ] {
            assert_eq!(names_lifetime(&ty), expected, "{ty}");
        }
    }

    #[test]
    fn obstacles_are_found_at_any_depth() {
        let found = |ty: Type| obstacle(&ty);
        assert!(matches!(
            found(parse_quote!(Vec<&str>)),
            Some(Obstacle::Borrowed(_))
        ));
        assert!(matches!(
            found(parse_quote!((u8, [Cow<'_, str>; 2]))),
            Some(Obstacle::Lifetime(_))
        ));
        assert!(matches!(
            found(parse_quote!(Vec<Box<impl Fn()>>)),
            Some(Obstacle::Impl(_))
        ));
        assert!(matches!(
            found(parse_quote!(Vec<_>)),
            Some(Obstacle::Inferred(_))
        ));
        assert!(matches!(found(parse_quote!(!)), Some(Obstacle::Never(_))));
        assert!(matches!(
            found(parse_quote!(<&u8 as Trait>::Out)),
            Some(Obstacle::Borrowed(_))
        ));
    }
}
