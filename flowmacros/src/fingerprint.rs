//! A number that changes when a function's code changes, and only then.
//!
//! It is FNV-1a (64 bits) over the signature and the body, token by token: kind
//! and text. The algorithm is spelt out here because the number is kept
//! (caches) and compared between builds (workers), so it must be the same for
//! every compiler: `std`'s hashers promise nothing of the kind.
//!
//! Left out, because they are no code: spans, spacing, doc comments, the
//! invisible groups that `macro_rules` puts around its fragments, and the
//! commas that rustfmt adds or takes away when it breaks lines.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// The fingerprint of some code.
pub(crate) fn fingerprint(code: TokenStream) -> u64 {
    let mut hash = Fnv(OFFSET_BASIS);
    hash_stream(&mut hash, code, Around::Nothing);
    hash.0
}

struct Fnv(u64);

impl Fnv {
    fn token(&mut self, kind: u8, text: &str) {
        self.byte(kind);
        for byte in text.bytes() {
            self.byte(byte);
        }
        // No UTF-8 text contains this byte, so tokens cannot run together.
        self.byte(0xff);
    }

    fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(PRIME);
    }
}

/// What a stream stands in, as far as its last comma is concerned.
#[derive(Clone, Copy, PartialEq)]
enum Around {
    Nothing,
    /// Delimiters in which a last comma means nothing.
    Delimiters,
    /// Parentheses that may be a tuple: `(a,)` is not `(a)`.
    MaybeTuple,
}

fn hash_stream(hash: &mut Fnv, stream: TokenStream, around: Around) {
    let tokens = flattened(stream);
    let commas = tokens.iter().filter(|token| is_punct(token, ',')).count();
    let mut at = 0;
    while at < tokens.len() {
        if let Some(length) = doc_comment(&tokens[at..]) {
            at += length;
            continue;
        }
        let is_last = at + 1 == tokens.len();
        match &tokens[at] {
            TokenTree::Ident(ident) => hash.token(b'i', &ident.to_string()),
            TokenTree::Literal(literal) => hash.token(b'l', &literal.to_string()),
            TokenTree::Punct(punct) => {
                let idle = punct.as_char() == ','
                    && (after_block_arm(&tokens[..at])
                        || is_last
                            && (around == Around::Delimiters
                                || around == Around::MaybeTuple && commas > 1));
                if !idle {
                    hash.token(b'p', punct.as_char().encode_utf8(&mut [0; 4]));
                }
            }
            TokenTree::Group(group) => {
                let (open, close, inner) = match group.delimiter() {
                    Delimiter::Parenthesis if is_call(&tokens[..at]) => {
                        ("(", ")", Around::Delimiters)
                    }
                    Delimiter::Parenthesis => ("(", ")", Around::MaybeTuple),
                    Delimiter::Brace => ("{", "}", Around::Delimiters),
                    Delimiter::Bracket | Delimiter::None => ("[", "]", Around::Delimiters),
                };
                hash.token(b'g', open);
                hash_stream(hash, group.stream(), inner);
                hash.token(b'g', close);
            }
        }
        at += 1;
    }
}

/// The tokens of a stream with invisible groups opened.
fn flattened(stream: TokenStream) -> Vec<TokenTree> {
    let mut tokens = Vec::new();
    for token in stream {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
                tokens.extend(flattened(group.stream()));
            }
            token => tokens.push(token),
        }
    }
    tokens
}

fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

/// The number of tokens of the doc comment that the tokens begin with:
/// `#[doc = ".."]` or `#![doc = ".."]`.
fn doc_comment(tokens: &[TokenTree]) -> Option<usize> {
    if !is_punct(tokens.first()?, '#') {
        return None;
    }
    let inner = usize::from(is_punct(tokens.get(1)?, '!'));
    let TokenTree::Group(group) = tokens.get(1 + inner)? else {
        return None;
    };
    let mut content = group.stream().into_iter();
    let is_doc = group.delimiter() == Delimiter::Bracket
        && matches!(content.next(), Some(TokenTree::Ident(ident)) if ident == "doc")
        && matches!(content.next(), Some(token) if is_punct(&token, '='));
    is_doc.then_some(2 + inner)
}

/// True after `=> { .. }`, where a match arm's comma is a matter of taste.
fn after_block_arm(before: &[TokenTree]) -> bool {
    matches!(before, [.., equals, greater, TokenTree::Group(group)]
        if is_punct(equals, '=') && is_punct(greater, '>') && group.delimiter() == Delimiter::Brace)
}

/// True where an opening parenthesis is a call's, a signature's or a macro's.
fn is_call(before: &[TokenTree]) -> bool {
    match before.last() {
        Some(TokenTree::Ident(ident)) => ident != "return" && ident != "in" && ident != "match",
        Some(TokenTree::Group(group)) => group.delimiter() != Delimiter::Brace,
        Some(TokenTree::Punct(punct)) => matches!(punct.as_char(), '>' | '!' | '?'),
        Some(TokenTree::Literal(_)) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proc_macro2::Group;
    use quote::quote;
    use std::str::FromStr;

    fn of(code: &str) -> u64 {
        fingerprint(TokenStream::from_str(code).expect("valid tokens"))
    }

    #[test]
    fn the_number_itself_never_changes() {
        // Kept caches and running workers depend on these.
        assert_eq!(of(""), OFFSET_BASIS);
        assert_eq!(of("fn inc(x: i64) -> i64 { x + 1 }"), 0x7d15_f742_a974_0b0e);
    }

    #[test]
    fn formatting_and_documentation_are_no_code() {
        let short = of("fn add(x: i64, y: i64) -> i64 { x + y }");
        for same in [
            "fn add(\n    x: i64,\n    y: i64,\n) -> i64 {\n    x + y\n}",
            "fn add(x:i64,y:i64)->i64{x+y}",
            "fn add(x: i64, y: i64) -> i64 { /* sum */ x + y }",
            "fn add(x: i64, y: i64) -> i64 { //! sum\n x + y }",
        ] {
            assert_eq!(short, of(same), "{same}");
        }
        assert_eq!(
            of("{ call(long_argument) }"),
            of("{ call(\n long_argument,\n) }")
        );
        assert_eq!(
            of("match x { A => { 1 } B => 2 }"),
            of("match x { A => { 1 }, B => 2, }")
        );
        assert_eq!(of("{ /// why\n let x = 1; }"), of("{ let x = 1; }"));
    }

    #[test]
    fn code_is_code() {
        let base = of("fn add(x: i64) -> i64 { x + 1 }");
        for other in [
            "fn add(x: i64) -> i64 { x + 2 }",
            "fn add(x: i64) -> i64 { x - 1 }",
            "fn add(y: i64) -> i64 { y + 1 }",
            "fn add(x: i32) -> i64 { x + 1 }",
            "async fn add(x: i64) -> i64 { x + 1 }",
            "fn add(x: i64) -> i64 { { x + 1 } }",
        ] {
            assert_ne!(base, of(other), "{other}");
        }
        assert_ne!(of("(a,)"), of("(a)"));
        assert_ne!(of("return (a,);"), of("return (a);"));
        assert_ne!(of("ab c"), of("a bc"));
        assert_ne!(of("\"x\""), of("x"));
        assert_ne!(of("#[cfg(test)] f()"), of("f()"));
    }

    #[test]
    fn invisible_groups_are_transparent() {
        let inner: TokenStream = quote!(x + 1);
        let invisible = TokenTree::Group(Group::new(Delimiter::None, inner.clone()));
        assert_eq!(
            fingerprint(quote!({ #invisible })),
            fingerprint(quote!({ #inner }))
        );
    }
}
