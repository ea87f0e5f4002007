//! What tasks and flows have in common: a static that is called like the
//! function, and the type behind it.
//!
//! The static derefs to a `dyn Fn`, and a call looks through `Deref`, so that
//! `load(path)` works on it as on a function. It is no function pointer,
//! because a copy with changed options must call with those.

use proc_macro2::{Delimiter, Group, Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::Type;
use syn::ext::IdentExt;

use crate::crate_path::{CratePath, Place, located};
use crate::function::{Carried, Function, Mode, Output, Parameter, Shape};
use crate::naming;

/// Everything that the parts of one expansion look at.
pub(crate) struct Handle<'a> {
    pub(crate) krate: &'a CratePath,
    pub(crate) function: &'a Function,
    pub(crate) carried: Carried,
    pub(crate) parameters: &'a [Parameter],
    pub(crate) output: &'a Output,
    /// `LoadTask`
    pub(crate) type_name: Ident,
    /// `__load`
    pub(crate) plain: Ident,
    /// `Task` or `Flow`, for the names of `flowcore`'s types.
    pub(crate) kind: &'static str,
}

impl<'a> Handle<'a> {
    pub(crate) fn new(
        krate: &'a CratePath,
        function: &'a Function,
        parameters: &'a [Parameter],
        output: &'a Output,
        kind: &'static str,
    ) -> Self {
        let name = &function.signature.ident;
        Self {
            krate,
            function,
            carried: Carried::new(&function.attributes),
            parameters,
            output,
            type_name: naming::type_name(name, kind),
            plain: naming::plain_name(name),
            kind,
        }
    }

    /// The module of `flowcore` for generated code.
    pub(crate) fn private(&self) -> TokenStream {
        self.krate.private(proc_macro2::Span::call_site())
    }

    /// What stands before every generated item: the function's `#[cfg]`s, and
    /// peace from lints that judge how code is written by hand.
    pub(crate) fn before_item(&self) -> TokenStream {
        let before = self.before_static();
        // Once is enough, and the static is what people name.
        quote! {
            #before
            #[allow(unreachable_pub)]
        }
    }

    fn before_static(&self) -> TokenStream {
        let (conditions, lints) = (&self.carried.conditions, &self.carried.lints);
        quote! {
            #conditions
            #lints
            #[allow(
                deprecated,
                unused_qualifications,
                clippy::all,
                clippy::pedantic,
                clippy::nursery
            )]
        }
    }

    /// The lifetime of a call: that of its loans.
    pub(crate) fn call_lifetime(&self) -> TokenStream {
        if self.borrows() {
            quote!('__run)
        } else {
            quote!('static)
        }
    }

    /// True if any parameter is a loan.
    pub(crate) fn borrows(&self) -> bool {
        self.parameters
            .iter()
            .any(|parameter| parameter.is_borrowed)
    }

    /// True if any parameter takes its value.
    pub(crate) fn takes(&self) -> bool {
        let mut modes = self.parameters.iter().map(|parameter| parameter.mode);
        modes.any(|mode| mode == Mode::Owned)
    }

    /// The types of the parameters, loans with the call's lifetime.
    fn parameter_types(&self) -> Vec<Type> {
        self.parameters
            .iter()
            .map(|parameter| parameter.with_lifetime("'__run"))
            .collect()
    }

    /// `x: &'__run [f64], by: f64`
    pub(crate) fn typed_parameters(&self) -> Vec<TokenStream> {
        let names = self.names();
        let types = self.parameter_types();
        names
            .zip(types)
            .map(|(name, ty)| quote!(#name: #ty))
            .collect()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &Ident> {
        self.parameters.iter().map(|parameter| &parameter.name)
    }

    /// `<'__run>` where there are loans.
    pub(crate) fn call_generics(&self) -> TokenStream {
        if self.borrows() {
            quote!(<'__run>)
        } else {
            quote!()
        }
    }

    /// The function itself under its hidden name.
    pub(crate) fn plain_function(&self) -> TokenStream {
        let (conditions, lints) = (&self.carried.conditions, &self.carried.lints);
        let attributes = &self.carried.function;
        let mut signature = self.function.plain_signature();
        signature.ident = self.plain.clone();
        let body = &self.function.body;
        // Owned parameters are what tasks take, however they use them, and no
        // task is `const`.
        quote! {
            #conditions
            #lints
            #attributes
            #[allow(clippy::needless_pass_by_value, clippy::missing_const_for_fn)]
            #[doc(hidden)]
            #signature #body
        }
    }

    /// The type and its static. `configuration` makes the field's first value.
    pub(crate) fn type_and_static(&self, configuration: &TokenStream) -> TokenStream {
        let private = self.private();
        let before = self.before_item();
        let before_static = self.before_static();
        let documentation = &self.carried.documentation;
        let deprecated = &self.carried.handle;
        let visibility = &self.function.visibility;
        let (name, type_name) = (&self.function.signature.ident, &self.type_name);
        let callable = self.callable();
        let configuration_type = format_ident!("{}Configuration", self.kind);
        // Messages that say where the task is defined point from `fn` to its
        // name.
        let keyword = self.function.signature.fn_token.span;
        let struct_keyword = quote_spanned!(keyword=> struct);
        let static_keyword = quote_spanned!(keyword=> static);
        let mut fields = Group::new(
            Delimiter::Brace,
            quote! {
                __configuration: #private::#configuration_type,
                __call: ::std::sync::OnceLock<::std::boxed::Box<#callable>>,
            },
        );
        fields.set_span(name.span());
        let end = quote_spanned!(name.span()=> ;);
        let about = format!(
            "The type of the {} [`{}`](static@{}).",
            self.kind.to_lowercase(),
            name,
            name
        );
        quote! {
            #before
            #[doc = #about]
            #[doc = ""]
            #documentation
            #visibility #struct_keyword #type_name #fields

            #before_static
            #documentation
            #deprecated
            #[allow(non_upper_case_globals)]
            #visibility #static_keyword #name: #type_name = #type_name {
                __configuration: #configuration,
                __call: ::std::sync::OnceLock::new(),
            } #end
        }
    }

    /// `dyn for<'__run> Fn(&'__run [f64], f64) -> Call<'__run, T> + Send + Sync`
    fn callable(&self) -> TokenStream {
        let private = self.private();
        let types = self.parameter_types();
        let lifetime = self.call_lifetime();
        let binder = if self.borrows() {
            quote!(for<'__run>)
        } else {
            quote!()
        };
        let value = &self.output.value;
        quote! {
            dyn #binder ::core::ops::Fn(#(#types),*) -> #private::Call<#lifetime, #value>
                + ::core::marker::Send
                + ::core::marker::Sync
        }
    }

    /// `Deref` to the callable, and `Debug`. The call itself is the associated
    /// function `__start`, which each kind writes.
    pub(crate) fn deref_and_debug(&self) -> TokenStream {
        let before = self.before_item();
        let type_name = &self.type_name;
        let callable = self.callable();
        let names: Vec<&Ident> = self.names().collect();
        let parameters = self.parameters.iter().map(|parameter| {
            let name = &parameter.name;
            let ty = &parameter.written;
            quote!(#name: #ty)
        });
        let text = self.type_name.to_string();
        quote! {
            #before
            #[automatically_derived]
            impl ::core::ops::Deref for #type_name {
                type Target = #callable;

                fn deref(&self) -> &Self::Target {
                    &**self.__call.get_or_init(|| {
                        let __configuration = ::core::clone::Clone::clone(&self.__configuration);
                        ::std::boxed::Box::new(move |#(#parameters),*| {
                            Self::__start(&__configuration, #(#names),*)
                        })
                    })
                }
            }

            #before
            #[automatically_derived]
            impl ::core::fmt::Debug for #type_name {
                fn fmt(&self, __f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    ::core::fmt::Formatter::write_str(__f, #text)
                }
            }
        }
    }

    /// `fn name`, where the function's `fn` is: messages that speak of the
    /// method point there.
    pub(crate) fn method(&self, name: &str) -> TokenStream {
        let at = self.function.signature.fn_token.span;
        let name = Ident::new(name, at);
        quote_spanned!(at=> fn #name)
    }

    /// The method `func`: the plain function.
    pub(crate) fn func_method(&self) -> TokenStream {
        let visibility = &self.function.visibility;
        let documentation = &self.carried.documentation;
        let asyncness = &self.function.signature.asyncness;
        let wait = asyncness.map(|_| quote!(.await));
        let plain = &self.plain;
        let func = self.method("func");
        let output = &self.output.written;
        let names: Vec<&Ident> = self.names().collect();
        let parameters = self.parameters.iter().map(|parameter| {
            let name = &parameter.name;
            let ty = &parameter.written;
            quote!(#name: #ty)
        });
        let about = format!(
            "The plain function: no run, nothing recorded, no options of the {}.",
            self.kind.to_lowercase()
        );
        quote! {
            #[doc = #about]
            #[doc = ""]
            #documentation
            #[allow(dead_code)]
            #visibility #asyncness #func(&self, #(#parameters),*) -> #output {
                #plain(#(#names),*) #wait
            }
        }
    }

    /// For each parameter with a default a method that gives it.
    pub(crate) fn default_methods(&self) -> TokenStream {
        let visibility = &self.function.visibility;
        let methods = self.parameters.iter().filter_map(|parameter| {
            let default = parameter.default.as_ref()?;
            let (ty, name) = (&parameter.owned, parameter.text());
            let hidden = parameter.default_function();
            let method = format_ident!("default_{}", name, span = parameter.name.span());
            let about = format!("The default of the parameter `{name}`, for calls that give none.");
            // Braces at the expression: one of another type is told there.
            let mut body = Group::new(Delimiter::Brace, quote!(#default));
            body.set_span(Place::of(default).start);
            Some(quote! {
                fn #hidden() -> #ty #body

                #[doc = #about]
                #[must_use]
                #[allow(dead_code)]
                #visibility fn #method(&self) -> #ty {
                    Self::#hidden()
                }
            })
        });
        quote!(#(#methods)*)
    }

    /// The method `with_options`: a changed copy.
    pub(crate) fn with_options_method(&self) -> TokenStream {
        let private = self.private();
        let visibility = &self.function.visibility;
        let options = format_ident!("{}Options", self.kind);
        let with_options = self.method("with_options");
        let about = format!(
            "A copy with changed options; the {} itself stays as it is.",
            self.kind.to_lowercase()
        );
        quote! {
            #[doc = #about]
            #[must_use]
            #[allow(dead_code)]
            #visibility #with_options(
                &self,
                change: impl ::core::ops::FnOnce(#private::#options) -> #private::#options,
            ) -> Self {
                Self {
                    __configuration: self.__configuration.with_options(change),
                    __call: ::std::sync::OnceLock::new(),
                }
            }
        }
    }

    /// A `Result<T, TaskError>` from an expression of the function's output.
    pub(crate) fn converted(&self, outcome: &TokenStream) -> TokenStream {
        match self.output.shape {
            Shape::Plain => return quote!(::core::result::Result::Ok(#outcome)),
            Shape::State => {
                let private = self.private();
                return quote!(#private::TaskError::from_state(#outcome));
            }
            Shape::Result => {}
        }
        let span = self.output.error_place.start;
        let private = self.krate.private(span);
        let probe = located(quote!(&&&&&), span);
        let convert = quote_spanned!(span=> {
            use #private::probe::*;
            (#probe #private::probe::ErrorProbe::of(&__error)).converter()(__error)
        });
        quote! {
            match #outcome {
                ::core::result::Result::Ok(__value) => ::core::result::Result::Ok(__value),
                ::core::result::Result::Err(__error) => ::core::result::Result::Err(#convert),
            }
        }
    }

    /// Stops the compilation if the output is a `Result` under another name.
    pub(crate) fn alias_guard(&self) -> TokenStream {
        if self.output.shape != Shape::Plain {
            return quote!();
        }
        let span = self.output.value_place.start;
        let private = self.krate.private(span);
        let value = &self.output.value;
        let before = self.before_item();
        let word = self.kind.to_lowercase();
        let message = format!(
            "this return type is `Result` under another name, and `#[{word}]` tells by the name \
             whether a run can fail: write `Result<..>` out"
        );
        quote_spanned! {span=>
            #before
            const _: () = {
                use #private::probe::NoResult as _;
                ::core::assert!(!#private::probe::ResultProbe::<#value>::IS_RESULT, #message);
            };
        }
    }

    /// Where the function stands and what it takes, as fields of an info.
    pub(crate) fn place(&self) -> TokenStream {
        let span = self.function.signature.ident.span();
        let name = naming_text(&self.function.signature.ident);
        let parameters = self.parameters.iter().map(Parameter::text);
        let line = located(quote!(::core::line!()), span);
        quote! {
            function: #name,
            module: ::core::module_path!(),
            file: ::core::file!(),
            line: #line,
            parameters: &[#(#parameters),*],
        }
    }

    /// The traits that ask for the text of a value. Without names of their own,
    /// so that types in the function's signature keep their meaning.
    pub(crate) fn text_imports(&self) -> TokenStream {
        let private = self.private();
        quote! {
            #[allow(unused_imports)]
            use #private::probe::{DebuggedText as _, DisplayedText as _, NoText as _};
        }
    }

    /// The span of the parameters with their parentheses.
    pub(crate) fn parameter_list(&self) -> proc_macro2::Span {
        self.function.signature.paren_token.span.join()
    }

    /// The span of the function's name, for errors about the whole function.
    pub(crate) fn span(&self) -> proc_macro2::Span {
        self.function.signature.ident.span()
    }
}

/// The function's name without `r#`.
pub(crate) fn naming_text(name: &Ident) -> String {
    name.unraw().to_string()
}
