//! Values of users in documents: escaped, and not longer than is readable.

use std::fmt;

use crate::state::shorten;

/// The longest text of a user that a document shows.
const SHOWN: usize = 2_000;

/// A text in HTML or SVG, in an attribute or outside of one.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in shorten(self.0, SHOWN).chars() {
            match char {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => write!(f, "{char}")?,
                char if char.is_control() => f.write_str("\u{fffd}")?,
                char => write!(f, "{char}")?,
            }
        }
        Ok(())
    }
}

/// A quoted string of the DOT language.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for char in shorten(self.0, SHOWN).chars() {
            match char {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                char if char.is_control() => f.write_str("\u{fffd}")?,
                char => write!(f, "{char}")?,
            }
        }
        f.write_str("\"")
    }
}

/// At most so many characters.
pub(super) fn cut(text: &str, characters: usize) -> String {
    if text.chars().count() <= characters {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(characters - 1).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_texts_stay_texts() {
        assert_eq!(
            Escaped("</script><b a='\"&\u{1b}").to_string(),
            "&lt;/script&gt;&lt;b a=&#39;&quot;&amp;\u{fffd}"
        );
        assert_eq!(Quoted("a\"\\\n").to_string(), r#""a\"\\\n""#);
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
    }
}
