//! Why bytes are no pickle, or none that is read here.

/// A pickle that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PickleError {
    /// The bytes end before the pickle does.
    #[error("the pickle is cut off: {wanted} more bytes are wanted at byte {position}")]
    Truncated {
        /// Where more bytes are wanted.
        position: usize,
        /// How many.
        wanted: u64,
    },
    /// The pickle is over, but more bytes follow.
    #[error("the pickle ends at byte {position}, but {left} more bytes follow")]
    Trailing {
        /// Where the pickle ends.
        position: usize,
        /// How many bytes follow.
        left: usize,
    },
    /// A newer protocol, or none.
    #[error("the pickle has protocol {found}; 2 to 5 can be read")]
    Protocol {
        /// The number found.
        found: u8,
    },
    /// An opcode that no pickle of data has.
    #[error("the opcode {opcode:#04x} at byte {position} is not one of data")]
    Opcode {
        /// The opcode.
        opcode: u8,
        /// Where it is.
        position: usize,
    },
    /// An opcode does not find on the stack what it works on.
    #[error("the opcode {opcode:#04x} at byte {position} needs {needs}")]
    Stack {
        /// The opcode.
        opcode: u8,
        /// Where it is.
        position: usize,
        /// What it needs.
        needs: &'static str,
    },
    /// A string is not UTF-8. Python writes lone surrogates this way.
    #[error("the string at byte {position} is not UTF-8")]
    Utf8 {
        /// Where it begins.
        position: usize,
    },
    /// Objects within objects, deeper than any that are read here.
    #[error("the pickle is nested more than {limit} deep")]
    Depth {
        /// The limit.
        limit: usize,
    },
    /// Few bytes that would unfold to very many, by objects that are shared many times.
    #[error("the pickle of {length} bytes unfolds to more than {limit}: too much in it is shared")]
    Unfolds {
        /// The length of the pickle.
        length: u64,
        /// How many bytes it may unfold to.
        limit: u64,
    },
}
