//! Names that Prefect takes: what is wrong with others is told here, before a
//! server is asked. Source: Prefect's `types/names.py`, tried on 3.8.8.

use super::PrefectError;

/// In names of flows, deployments, work pools, their queues and limits.
const REFUSED: [char; 5] = ['/', '%', '&', '<', '>'];

/// What names of that kind look like, as the end of a sentence.
pub(super) const RULE: &str = "Prefect takes any text without `/`, `%`, `&`, `<` and `>`";

/// The first letter for which Prefect refuses such a name.
pub(super) fn refused(name: &str) -> Option<char> {
    name.chars().find(|letter| REFUSED.contains(letter))
}

/// Whether Prefect takes such a name.
pub(super) fn is_taken(name: &str) -> bool {
    !name.is_empty() && refused(name).is_none()
}

/// Names of lower-case letters, digits and dashes, and what has them.
pub(super) struct Plain {
    pub(super) what: &'static str,
    /// What they may have beside those.
    pub(super) others: &'static [char],
    /// In bytes.
    pub(super) longest: usize,
    /// What they look like.
    pub(super) rule: &'static str,
}

impl Plain {
    /// Says why Prefect refuses the name.
    pub(super) fn check(&self, name: &str) -> Result<(), PrefectError> {
        let letter = unfit(name, self.others);
        if letter.is_none() && (1..=self.longest).contains(&name.len()) {
            return Ok(());
        }
        Err(PrefectError::Name {
            what: self.what,
            name: name.to_owned(),
            letter,
            rule: self.rule,
        })
    }
}

/// The first letter that is no lower-case one, digit, dash or one of these.
fn unfit(name: &str, others: &[char]) -> Option<char> {
    let fits = |letter: &char| {
        letter.is_ascii_lowercase()
            || letter.is_ascii_digit()
            || *letter == '-'
            || others.contains(letter)
    };
    name.chars().find(|letter| !fits(letter))
}

/// A letter as messages show it, line breaks too.
pub(super) fn shown(letter: char) -> String {
    format!("`{}`", letter.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_letter_that_does_not_fit_is_named() {
        assert_eq!(refused("nightly: a.b_c-ä\n"), None);
        assert_eq!(refused("a<b/c"), Some('<'));
        assert_eq!(unfit("a-b2", &[]), None);
        assert_eq!(unfit("a_b", &[]), Some('_'));
        assert_eq!(unfit("a_b c", &['_']), Some(' '));
        assert_eq!(shown('\n'), "`\\n`");
    }
}
