//! One parameter: how it is written, how it is stored, what callers see.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Expr, Lifetime, Meta, PatType, PathArguments, Type};

use super::Kind;
use super::documentation::documented;
use super::known::{is_known, is_known_loan};
use super::pattern;
use super::types::{self, Obstacle};
use crate::crate_path::Place;
use crate::problems::Problems;

/// How a run hands a value to the function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mode {
    /// `x: T`: the value itself.
    Owned,
    /// `x: &T`: a loan of a value that many runs may share.
    Shared,
}

/// A parameter of a task or a flow.
pub(crate) struct Parameter {
    /// Its name in the generated methods.
    pub(crate) name: Ident,
    pub(crate) mode: Mode,
    /// True if the value, or a part of it, belongs to the caller: a loan, or
    /// for a flow also a type that holds one.
    pub(crate) is_borrowed: bool,
    /// The type as written: `&[f64]`.
    pub(crate) written: Type,
    /// The type that is stored: `Vec<f64>`.
    pub(crate) owned: TokenStream,
    /// True if `flowcore` knows everything of that type.
    pub(crate) is_known: bool,
    /// Where errors about the type belong.
    pub(crate) place: Place,
    /// The expression of its `#[default(..)]`.
    pub(crate) default: Option<Expr>,
    /// What its doc comment says.
    pub(crate) description: String,
}

impl Parameter {
    pub(super) fn new(
        typed: &PatType,
        index: usize,
        kind: Kind,
        local: bool,
        problems: &mut Problems,
    ) -> Self {
        for attribute in &typed.attrs {
            if attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr") {
                problems.push(
                    attribute,
                    format!(
                        "a parameter of a {} cannot depend on `cfg`: write two functions, \
                         each with a `#[cfg(..)]` of its own",
                        kind.word()
                    ),
                );
            }
        }
        let name = pattern::name(&typed.pat)
            .unwrap_or_else(|| format_ident!("argument_{index}", span = typed.pat.span()));
        let (mode, owned) = stored(&typed.ty, kind, local, problems);
        let default = read_default(typed, problems);
        let holds_loan = matches!(
            types::obstacle(&typed.ty),
            Some(Obstacle::Borrowed(_) | Obstacle::Lifetime(_))
        );
        let is_borrowed = mode == Mode::Shared || holds_loan;
        if is_borrowed && let Some(default) = &default {
            problems.push(
                default,
                "a parameter that is lent has no default, because nobody owns its value: take an \
                 owned type, such as `String` for `&str`",
            );
        }
        Self {
            name,
            mode,
            is_borrowed,
            default: default.filter(|_| !is_borrowed),
            description: documented(&typed.attrs),
            written: (*typed.ty).clone(),
            owned,
            is_known: match (mode, types::bare(&typed.ty)) {
                (Mode::Shared, Type::Reference(reference)) => is_known_loan(&reference.elem),
                (_, ty) => is_known(ty),
            },
            place: Place::of(&typed.ty),
        }
    }

    /// The name without `r#`, for people.
    pub(crate) fn text(&self) -> String {
        self.name.unraw().to_string()
    }

    /// The type behind the loan as written: `[f64]` for `&[f64]`.
    pub(crate) fn lent(&self) -> &Type {
        match (self.mode, types::bare(&self.written)) {
            (Mode::Shared, Type::Reference(reference)) => &reference.elem,
            (_, owned) => owned,
        }
    }

    /// The generated function that gives its default, if it has one.
    pub(crate) fn default_function(&self) -> Ident {
        format_ident!("__default_{}", self.text())
    }

    /// The type as written, with a lifetime for its loans.
    pub(crate) fn with_lifetime(&self, name: &str) -> Type {
        let mut ty = self.written.clone();
        if self.is_borrowed {
            types::lend(&mut ty, &Lifetime::new(name, self.place.start));
        }
        ty
    }
}

/// The expression of `#[default(..)]`, if the parameter has that.
fn read_default(typed: &PatType, problems: &mut Problems) -> Option<Expr> {
    let mut defaults = typed.attrs.iter().filter(|attribute| is_default(attribute));
    let default = defaults.next()?;
    if let Some(again) = defaults.next() {
        problems.push(again, "a parameter has one default; remove one");
    }
    let expression = match &default.meta {
        Meta::List(list) => list.parse_args().ok(),
        Meta::Path(_) | Meta::NameValue(_) => None,
    };
    if expression.is_none() {
        problems.push(
            default,
            "a default is one expression in parentheses: `#[default(3)]`",
        );
    }
    expression
}

fn is_default(attribute: &Attribute) -> bool {
    attribute.path().is_ident("default")
}

/// What the compiler does not know on a parameter.
pub(super) fn is_ours(attribute: &Attribute) -> bool {
    is_default(attribute) || attribute.path().is_ident("doc")
}

/// How the value of a type is stored: the mode and the owned type.
fn stored(ty: &Type, kind: Kind, local: bool, problems: &mut Problems) -> (Mode, TokenStream) {
    let word = kind.word();
    let travels = kind == Kind::Task && !local;
    let bare = types::bare(ty);
    let Type::Reference(reference) = bare else {
        check_owned(ty, kind, problems);
        return (Mode::Owned, ty.to_token_stream());
    };
    if let Some(mutability) = &reference.mutability {
        problems.push_at(
            mutability.span(),
            format!(
                "a {word} cannot change a caller's value: take it by value and return the new one"
            ),
        );
    }
    if let Some(lifetime) = &reference.lifetime {
        if lifetime.ident != "static" {
            // Lifetime parameters are refused at their declaration.
        } else if travels {
            problems.push(
                lifetime,
                "an argument does not live forever: remove `'static`",
            );
        } else {
            return (Mode::Owned, ty.to_token_stream());
        }
    }
    let span = reference.elem.span();
    let owned = match types::bare(&reference.elem) {
        Type::Slice(slice) => {
            let elem = &slice.elem;
            check_owned(elem, kind, problems);
            quote_spanned!(span=> ::std::vec::Vec<#elem>)
        }
        Type::Path(path) if path.qself.is_none() => {
            let unsized_name = path.path.segments.last().and_then(|last| {
                matches!(last.arguments, PathArguments::None).then(|| last.ident.to_string())
            });
            match unsized_name.as_deref() {
                Some("str") => quote_spanned!(span=> ::std::string::String),
                Some("Path") if is_standard(&path.path) => {
                    quote_spanned!(span=> ::std::path::PathBuf)
                }
                Some("OsStr") => quote_spanned!(span=> ::std::ffi::OsString),
                _ => {
                    check_owned(&reference.elem, kind, problems);
                    reference.elem.to_token_stream()
                }
            }
        }
        Type::TraitObject(object) => {
            problems.push(
                object,
                format!(
                    "a {word} cannot take a trait object: its type must be known to store the \
                     value; name a type that implements the trait"
                ),
            );
            reference.elem.to_token_stream()
        }
        elem => {
            check_owned(elem, kind, problems);
            reference.elem.to_token_stream()
        }
    };
    (Mode::Shared, owned)
}

/// True for `Path` as the standard library's path is usually named; a type of
/// one's own called `Path` can be written `&self::Path` or `&shapes::Path`.
fn is_standard(path: &syn::Path) -> bool {
    let mut names: Vec<String> = path
        .segments
        .iter()
        .map(|segment| segment.ident.to_string())
        .collect();
    names.pop();
    matches!(
        names.iter().map(String::as_str).collect::<Vec<_>>()[..],
        [] | ["path"] | ["std", "path"]
    )
}

fn check_owned(ty: &Type, kind: Kind, problems: &mut Problems) {
    let word = kind.word();
    let Some(obstacle) = types::obstacle(ty) else {
        return;
    };
    let (part, message) = match obstacle {
        // A flow's arguments stay with its caller.
        Obstacle::Borrowed(_) | Obstacle::Lifetime(_) if kind == Kind::Flow => return,
        Obstacle::Borrowed(part) => (
            part,
            format!(
                "a {word} can borrow a parameter as a whole, such as `&T`, `&str` or `&[T]`, but \
                 not a part of it: make this part owned, such as `String` for `&str`"
            ),
        ),
        Obstacle::Lifetime(part) => (
            part,
            format!(
                "a parameter of a {word} cannot hold a borrowed value: use an owned type, \
                 such as `String`, or `'static`"
            ),
        ),
        Obstacle::Impl(part) => (
            part,
            format!(
                "a {word} cannot take `impl Trait`: it would be generic; name the type, \
                 such as `Vec<T>` for `impl IntoIterator<Item = T>`"
            ),
        ),
        Obstacle::Inferred(part) => (part, format!("a {word} needs its types written out")),
        Obstacle::Never(part) => (part, format!("a {word} cannot take `!`: it has no value")),
    };
    problems.push(part, message);
}

/// Refuses names that the expansion needs, and tells equal names apart.
pub(super) fn check_names(
    parameters: &mut [Parameter],
    function: &Ident,
    kind: Kind,
    problems: &mut Problems,
) {
    for parameter in parameters.iter() {
        let text = parameter.text();
        if text.starts_with("__") {
            problems.push(
                &parameter.name,
                format!(
                    "parameter names that begin with `__` are reserved for what `#[{}]` \
                     generates: rename it",
                    kind.word()
                ),
            );
        } else if parameter.name.unraw() == function.unraw() {
            problems.push(
                &parameter.name,
                format!(
                    "this parameter is called like the {0} itself, and a {0} is a static, which \
                     nothing may shadow: rename one of them",
                    kind.word()
                ),
            );
        }
    }
    // `(a, b)` and `a_b` would collide, and so would two parameters called like
    // the function once they were renamed.
    for at in 0..parameters.len() {
        let clashes = parameters[..at]
            .iter()
            .any(|earlier| earlier.name == parameters[at].name);
        let reserved = parameters[at].text().starts_with("__")
            || parameters[at].name.unraw() == function.unraw();
        if clashes || reserved {
            parameters[at].name = format_ident!("argument_{at}", span = parameters[at].name.span());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Function;
    use super::*;
    use quote::quote;

    fn parameters(item: TokenStream) -> (Vec<Parameter>, Vec<String>) {
        parameters_of(Kind::Task, item)
    }

    fn parameters_of(kind: Kind, item: TokenStream) -> (Vec<Parameter>, Vec<String>) {
        let mut problems = Problems::default();
        let function = Function::parse(item, kind).expect("a function");
        let parameters = function.parameters(kind, false, &mut problems);
        (parameters, problems.messages())
    }

    #[test]
    fn flows_may_take_what_holds_loans() {
        let (parameters, problems) = parameters_of(
            Kind::Flow,
            quote!(
                fn f(words: Vec<&str>, log: &Log<'_>, n: i64) {}
            ),
        );
        assert_eq!(problems, [""; 0]);
        let borrowed: Vec<bool> = parameters.iter().map(|p| p.is_borrowed).collect();
        assert_eq!(borrowed, [true, true, false]);
    }

    #[test]
    fn borrowed_parameters_are_stored_owned() {
        let (parameters, problems) = parameters(quote!(
            fn load(
                a: i64,
                b: &Row,
                c: &str,
                d: &[f64],
                e: &Path,
                f: &std::path::Path,
                g: &shapes::Path,
            ) {
            }
        ));
        assert_eq!(problems, [""; 0]);
        let stored: Vec<String> = parameters
            .iter()
            .map(|parameter| parameter.owned.to_string().replace(' ', ""))
            .collect();
        assert_eq!(
            stored,
            [
                "i64",
                "Row",
                "::std::string::String",
                "::std::vec::Vec<f64>",
                "::std::path::PathBuf",
                "::std::path::PathBuf",
                "shapes::Path"
            ]
        );
        assert_eq!(parameters[0].mode, Mode::Owned);
        assert!(parameters[1..].iter().all(|p| p.mode == Mode::Shared));
        let lent = parameters[3].with_lifetime("'__run").to_token_stream();
        assert_eq!(lent.to_string(), quote!(&'__run [f64]).to_string());
    }

    #[test]
    fn names_are_made_unique() {
        let (parameters, problems) = parameters(quote!(
            fn f((a, b): (u8, u8), a_b: u8, _: u8) {}
        ));
        assert_eq!(problems, [""; 0]);
        let names: Vec<String> = parameters.iter().map(Parameter::text).collect();
        assert_eq!(names, ["a_b", "argument_1", "argument_2"]);
    }

    #[test]
    fn mistakes_name_the_cure() {
        for (item, part) in [
            (
                quote!(
                    fn f(x: &mut Row) {}
                ),
                "take it by value",
            ),
            (
                quote!(
                    fn f(x: &'static str) {}
                ),
                "remove `'static`",
            ),
            (
                quote!(
                    fn f(x: Vec<&str>) {}
                ),
                "make this part owned",
            ),
            (
                quote!(
                    fn f(x: &&str) {}
                ),
                "make this part owned",
            ),
            (
                quote!(
                    fn f(x: Cow<'_, str>) {}
                ),
                "use an owned type",
            ),
            (
                quote!(
                    fn f(x: impl Copy) {}
                ),
                "cannot take `impl Trait`",
            ),
            (
                quote!(
                    fn f(x: &impl Copy) {}
                ),
                "cannot take `impl Trait`",
            ),
            (
                quote!(
                    fn f(x: &dyn Shape) {}
                ),
                "trait object",
            ),
            (
                quote!(
                    fn f(x: Vec<_>) {}
                ),
                "types written out",
            ),
            (
                quote!(
                    fn f(__x: u8) {}
                ),
                "reserved",
            ),
            (
                quote!(
                    fn f(f: u8) {}
                ),
                "rename one of them",
            ),
            (
                quote!(
                    fn f(#[cfg(test)] x: u8) {}
                ),
                "write two functions",
            ),
        ] {
            let (_, problems) = parameters(item.clone());
            assert_eq!(problems.len(), 1, "{item}: {problems:?}");
            assert!(problems[0].contains(part), "{item}: {problems:?}");
        }
    }
}
