//! What tasks, flows and types are called on a server.

use crate::definition::{FlowInfo, TaskInfo};

/// The key by which a server groups the runs of a task, the same in all
/// builds: `add-467e08f3`.
pub(crate) fn task_key(info: &TaskInfo) -> String {
    format!("{}-{:08x}", info.function, hash(info.key))
}

/// The key of the task runs that stand for a flow's runs in their parents.
pub(crate) fn flow_key(info: &FlowInfo) -> String {
    format!("{}-{:08x}", info.function, hash(info.key))
}

/// FNV-1a: no build and no machine changes it.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// A type's name without the modules: `Vec<Reading>`.
pub(crate) fn short_type_name(name: &str) -> String {
    let mut short = String::with_capacity(name.len());
    let mut word = String::new();
    let mut chars = name.chars().peekable();
    while let Some(char) = chars.next() {
        if char == ':' && chars.peek() == Some(&':') {
            chars.next();
            word.clear();
        } else if char.is_alphanumeric() || char == '_' {
            word.push(char);
        } else {
            short.push_str(&word);
            word.clear();
            short.push(char);
        }
    }
    short.push_str(&word);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_told_without_their_modules() {
        assert_eq!(
            short_type_name("alloc::vec::Vec<(my::Reading, core::option::Option<&str>)>"),
            "Vec<(Reading, Option<&str>)>"
        );
        assert_eq!(hash(""), 0x811c_9dc5);
        assert_eq!(hash("a"), 0xe40c_292c);
    }
}
