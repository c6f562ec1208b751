//! The attribute of `groundwork-testkit`, which re-exports it.

use proc_macro::TokenStream;
use quote::quote;
use syn::{FnArg, ItemFn, Type, parse_macro_input, spanned::Spanned};

/// Turns an `async fn` that takes a reference to a `Fixture` into two tests, `on_sqlite` and `on_postgres`, in a module
/// with the function's name.
#[proc_macro_attribute]
pub fn both_databases(_: TokenStream, item: TokenStream) -> TokenStream {
    let test = parse_macro_input!(item as ItemFn);
    match expand(&test) {
        Ok(tokens) => tokens,
        Err(error) => error.to_compile_error().into(),
    }
}

fn expand(test: &ItemFn) -> syn::Result<TokenStream> {
    let fixture = fixture_of(test)?;
    let name = &test.sig.ident;
    let docs = test.attrs.iter().filter(|attribute| attribute.path().is_ident("doc"));
    Ok(quote! {
        #(#docs)*
        mod #name {
            #[allow(clippy::wildcard_imports, reason = "the test was written one level up")]
            use super::*;

            #test

            #[test]
            fn on_sqlite() {
                ::groundwork_testkit::run::<#fixture>(::groundwork_testkit::Backend::Sqlite, #name);
            }

            #[test]
            fn on_postgres() {
                ::groundwork_testkit::run::<#fixture>(::groundwork_testkit::Backend::Postgres, #name);
            }
        }
    }
    .into())
}

/// The type behind the reference that is the only argument.
fn fixture_of(test: &ItemFn) -> syn::Result<&Type> {
    let usage = "#[both_databases] takes an `async fn` with one argument, a reference to a Fixture";
    let mut inputs = test.sig.inputs.iter();
    match (inputs.next(), inputs.next(), test.sig.asyncness) {
        (Some(FnArg::Typed(argument)), None, Some(_)) => match &*argument.ty {
            Type::Reference(reference) => Ok(&reference.elem),
            other => Err(syn::Error::new(other.span(), usage)),
        },
        _ => Err(syn::Error::new(test.sig.span(), usage)),
    }
}
