//! The golden vectors in `tests/fixtures` (its `README.md` says what they are), for tests.

use bytes::Bytes;

/// The bytes of a vector.
pub(crate) fn bytes(name: &str) -> Bytes {
    let digits = read(&format!("{name}.hex"));
    digits.lines().flat_map(unhex).collect()
}

/// What a vector means.
pub(crate) fn meaning(name: &str) -> serde_json::Value {
    serde_json::from_str(&read(&format!("{name}.json"))).expect("JSON")
}

/// The names of all vectors that begin like this.
pub(crate) fn names(prefix: &str) -> Vec<String> {
    let files = std::fs::read_dir(DIRECTORY).expect("the fixtures");
    let names = files.filter_map(|file| {
        let name = file.expect("a file").file_name().into_string().ok()?;
        let name = name.strip_suffix(".hex")?;
        name.starts_with(prefix).then(|| name.to_owned())
    });
    let mut names: Vec<_> = names.collect();
    names.sort();
    assert!(!names.is_empty(), "no vector begins with {prefix}");
    names
}

/// Bytes from their hexadecimal digits.
pub(crate) fn unhex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.map(byte).collect::<Option<_>>().expect("digits")
}

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

fn read(file: &str) -> String {
    std::fs::read_to_string(format!("{DIRECTORY}/{file}")).expect("a fixture")
}
