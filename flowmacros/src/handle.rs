//! What tasks and flows have in common: a static that is called like the
//! function, and the type behind it.
//!
//! The static derefs to a `dyn Fn`, and a call looks through `Deref`, so that
//! `load(path)` works on it as on a function. It is no function pointer,
//! because a copy with changed options must call with those.
//!
//! An expansion is small: whatever needs none of the function's own types or
//! names is in `flowcore`, where it is compiled once.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::{FnArg, Type, parse_quote};

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
    /// What the function itself is called as: `load.func`, or `__load`.
    pub(crate) plain: TokenStream,
    /// Whether the function itself is the method `func`: other attributes of
    /// it may not be made for methods.
    is_method: bool,
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
        let carried = Carried::new(&function.attributes);
        let is_method = carried.function.is_empty();
        let plain = if is_method {
            let func = Ident::new("func", name.span());
            quote!(#name.#func)
        } else {
            naming::plain_name(name).into_token_stream()
        };
        Self {
            krate,
            function,
            carried,
            parameters,
            output,
            type_name: naming::type_name(name, kind),
            plain,
            is_method,
            kind,
        }
    }

    /// The module of `flowcore` for generated code.
    pub(crate) fn private(&self) -> TokenStream {
        self.krate.private(Span::call_site())
    }

    /// The module where it has no short name.
    pub(crate) fn full_private(&self) -> TokenStream {
        self.krate.full(Span::call_site())
    }

    /// The methods of the type. They stand where the type does, because
    /// messages say where.
    pub(crate) fn inherent(&self, methods: &TokenStream) -> TokenStream {
        let before = self.before_item();
        let type_name = &self.type_name;
        quote! {
            #before
            #[allow(dead_code, unreachable_pub)]
            impl #type_name {
                #methods
            }
        }
    }

    /// Everything that nobody names, as one item: so the function's `#[cfg]`s
    /// and the peace from lints that judge how code is written by hand are said
    /// once, and `flowcore` has a short name.
    pub(crate) fn block(&self, items: &TokenStream) -> TokenStream {
        let before = self.before_item();
        let alias = self.krate.alias();
        let private = self.private();
        quote! {
            #before
            #[allow(dead_code, unused_imports, unreachable_pub)]
            const _: () = {
                #alias
                use #private::probe::{Unknown as _, UnknownSized as _};
                #items
            };
        }
    }

    fn before_item(&self) -> TokenStream {
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

    /// The function itself: the method `func`, or under a hidden name. It need
    /// not use parameters that run names are made of.
    pub(crate) fn plain_function(&self, named: &[String]) -> TokenStream {
        let (conditions, lints) = (&self.carried.conditions, &self.carried.lints);
        let mut signature = self.function.plain_signature();
        for (input, parameter) in signature.inputs.iter_mut().zip(self.parameters) {
            if let FnArg::Typed(typed) = input
                && named.contains(&parameter.text())
            {
                typed.attrs.push(parse_quote!(#[allow(unused_variables)]));
            }
        }
        let body = &self.function.body;
        // Owned parameters are what tasks take, however they use them, and no
        // task is `const`.
        if !self.is_method {
            let attributes = &self.carried.function;
            signature.ident = naming::plain_name(&signature.ident);
            return quote! {
                #conditions
                #lints
                #attributes
                #[allow(clippy::needless_pass_by_value, clippy::missing_const_for_fn)]
                #[doc(hidden)]
                #signature #body
            };
        }
        let type_name = &self.type_name;
        let visibility = &self.function.visibility;
        let about = self.about_func();
        signature.ident = Ident::new("func", signature.fn_token.span);
        signature.inputs.insert(0, parse_quote!(&self));
        quote! {
            #conditions
            #lints
            #[allow(
                dead_code,
                unreachable_pub,
                clippy::needless_pass_by_value,
                clippy::missing_const_for_fn,
                clippy::must_use_candidate,
                clippy::too_many_arguments,
                clippy::unused_async,
                clippy::unused_self
            )]
            impl #type_name {
                #about
                #visibility #signature #body
            }
        }
    }

    /// What is said of the method `func`.
    fn about_func(&self) -> TokenStream {
        let documentation = &self.carried.documentation;
        let about = format!(
            "The plain function: no run, nothing recorded, no options of the {}.",
            self.kind.to_lowercase()
        );
        quote! {
            #[doc = #about]
            #[doc = ""]
            #documentation
        }
    }

    /// The type and its static.
    pub(crate) fn type_and_static(&self) -> TokenStream {
        let private = self.full_private();
        let before = self.before_item();
        let documentation = &self.carried.documentation;
        let deprecated = &self.carried.handle;
        let visibility = &self.function.visibility;
        let (name, type_name) = (&self.function.signature.ident, &self.type_name);
        let kind = format_ident!("{}", self.kind);
        // Messages that say where the task is defined point from `fn` to its
        // name.
        let keyword = self.function.signature.fn_token.span;
        let struct_keyword = quote_spanned!(keyword=> struct);
        let static_keyword = quote_spanned!(keyword=> static);
        let mut field = Group::new(Delimiter::Parenthesis, quote!(#private::#kind<#type_name>));
        field.set_span(name.span());
        let end = quote_spanned!(name.span()=> ;);
        let about = format!(
            "The type of the {} [`{}`](static@{}).",
            self.kind.to_lowercase(),
            name,
            name
        );
        quote! {
            #before
            #[allow(unreachable_pub)]
            #[doc = #about]
            #[doc = ""]
            #documentation
            #visibility #struct_keyword #type_name #field #end

            #before
            #documentation
            #deprecated
            #[allow(dead_code, non_upper_case_globals)]
            #visibility #static_keyword #name: #type_name = #type_name(#private::#kind::new()) #end
        }
    }

    /// `dyn for<'__run> Fn(&'__run [f64], f64) -> Call<'__run, T> + Send + Sync`
    fn callable_type(&self) -> TokenStream {
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

    /// `x: &[f64], by: f64`
    pub(crate) fn written_parameters(&self) -> impl Iterator<Item = TokenStream> {
        self.parameters.iter().map(|parameter| {
            let name = &parameter.name;
            let ty = &parameter.written;
            quote!(#name: #ty)
        })
    }

    /// The method of the definition's trait that makes the direct call; `call`
    /// is one, with `__configuration` and the parameters in scope.
    pub(crate) fn callable(&self, call: &TokenStream) -> TokenStream {
        let private = self.private();
        let configuration = format_ident!("{}Configuration", self.kind);
        let parameters = self.written_parameters();
        quote! {
            fn callable(
                __configuration: #private::#configuration,
            ) -> ::std::boxed::Box<<Self as ::core::ops::Deref>::Target> {
                ::std::boxed::Box::new(move |#(#parameters),*| #call)
            }
        }
    }

    /// What makes the type something to call and a value that displays, and
    /// its place in the registry, made by `place`.
    pub(crate) fn common_items(&self, place: &TokenStream) -> TokenStream {
        let private = self.private();
        let type_name = &self.type_name;
        let entry = format_ident!("{}Entry", self.kind);
        let text = self.type_name.to_string();
        let callable = self.callable_type();
        quote! {
            #[automatically_derived]
            impl ::core::ops::Deref for #type_name {
                type Target = #callable;

                fn deref(&self) -> &Self::Target {
                    self.0.callable()
                }
            }

            #[automatically_derived]
            impl ::core::fmt::Debug for #type_name {
                fn fmt(&self, __f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    __f.write_str(#text)
                }
            }

            #private::inventory::submit! {
                #private::#entry::#place
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

    /// The method `func`, if it is not the function itself.
    pub(crate) fn func_method(&self) -> TokenStream {
        if self.is_method {
            return TokenStream::new();
        }
        let visibility = &self.function.visibility;
        let asyncness = &self.function.signature.asyncness;
        let wait = asyncness.map(|_| quote!(.await));
        let plain = &self.plain;
        let func = self.method("func");
        let output = &self.output.written;
        let names: Vec<&Ident> = self.names().collect();
        let parameters = self.written_parameters();
        let about = self.about_func();
        quote! {
            #about
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
                #visibility fn #method(&self) -> #ty {
                    Self::#hidden()
                }
            })
        });
        quote!(#(#methods)*)
    }

    /// The method `with_options`: a changed copy.
    pub(crate) fn with_options_method(&self) -> TokenStream {
        let private = self.full_private();
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
            #visibility #with_options(
                &self,
                change: impl ::core::ops::FnOnce(#private::#options) -> #private::#options,
            ) -> Self {
                Self(self.0.with_options(change))
            }
        }
    }

    /// The method `info`.
    pub(crate) fn info_method(&self) -> TokenStream {
        let private = self.full_private();
        let visibility = &self.function.visibility;
        let info_type = format_ident!("{}Info", self.kind);
        let definition = format_ident!("{}Definition", self.kind);
        let info = self.method("info");
        let about = format!(
            "The facts of the {}: its key, its module, its parameters.",
            self.kind.to_lowercase()
        );
        quote! {
            #[doc = #about]
            #[must_use]
            #visibility #info(&self) -> &'static #private::#info_type {
                <Self as #private::#definition>::info()
            }
        }
    }

    /// A `Result<T, TaskError>` from an expression of the function's output.
    pub(crate) fn converted(&self, outcome: &TokenStream) -> TokenStream {
        let private = self.private();
        match self.output.shape {
            Shape::Plain => return quote!(::core::result::Result::Ok(#outcome)),
            Shape::State => return quote!(#private::TaskError::from_state(#outcome)),
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

    /// What converts a future's output so.
    pub(crate) fn converter(&self) -> TokenStream {
        let private = self.private();
        match self.output.shape {
            Shape::Plain => quote!(::core::result::Result::Ok),
            Shape::State => quote!(#private::TaskError::from_state),
            Shape::Result => {
                let converted = self.converted(&quote!(__outcome));
                quote!(|__outcome| #converted)
            }
        }
    }

    /// Stops the compilation if the output is a `Result` under another name.
    pub(crate) fn alias_guard(&self) -> TokenStream {
        if self.output.shape != Shape::Plain || self.output.is_known {
            return quote!();
        }
        let span = self.output.value_place.start;
        let private = self.krate.private(span);
        let value = &self.output.value;
        let word = self.kind.to_lowercase();
        let message = format!(
            "this return type is `Result` under another name, and `#[{word}]` tells by the name \
             whether a run can fail: write `Result<..>` out"
        );
        quote_spanned! {span=>
            const _: () = ::core::assert!(!#private::probe::Probe::<#value>::IS_RESULT, #message);
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

    /// What makes a text of a value of this type.
    pub(crate) fn show(&self, ty: &impl ToTokens) -> TokenStream {
        let private = self.private();
        let probe = quote!(#private::probe::Probe::<#ty>);
        quote!(#private::probe::text(#probe::DISPLAY, #probe::DEBUG))
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
