//! What became of the runs of one row, on either side, and all that is made alike
//! before the sides are compared. Whatever else differs is in
//! [`differences`](crate::differences).

use std::collections::BTreeMap;

use serde::Deserialize;

/// What a run is called, and its states.
#[derive(Debug, Deserialize)]
pub(crate) struct Line(String, String);

impl Line {
    pub(crate) fn new(label: impl Into<String>, text: impl Into<String>) -> Self {
        Self(label.into(), text.into())
    }
}

/// The lines of a row: for each label its texts, in order.
pub(crate) type Record = BTreeMap<String, Vec<String>>;

/// Lines as they are compared:
///
/// * Names that are made at random lose what is random in them. Prefect's
///   messages have ids of runs where ours have names; `observe.py` has put names.
/// * Panics lose their place.
/// * Errors that no code of the user's named are one type here, and in Prefect
///   some classes; what the call gives keeps them apart by their kind.
/// * Runs of equal names are sorted by what became of them: Prefect tells no
///   order in which they were submitted.
pub(crate) fn comparable(lines: Vec<Line>) -> Record {
    let mut record = Record::new();
    for Line(label, text) in lines {
        let texts = record.entry(without_random_parts(&label)).or_default();
        let text = without_classes_of_prefect(&without_random_parts(&text));
        texts.push(without_places(&text));
    }
    for texts in record.values_mut() {
        texts.sort_unstable();
    }
    record
}

/// `inc-3f2` becomes `inc-…`, and `Flow run brave-otter` becomes `Flow run …`.
fn without_random_parts(text: &str) -> String {
    if let Some(name) = text.strip_prefix("Flow run ")
        && let Some((adjective, animal)) = name.split_once('-')
        && [adjective, animal].iter().all(|word| is_word(word))
    {
        return "Flow run …".to_owned();
    }
    let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    for word in &mut words {
        let name = word.trim_end_matches('\'');
        let quotes = &word[name.len()..];
        if let Some((task, digits)) = name.rsplit_once('-')
            && digits.len() == 3
            && digits.chars().all(|digit| digit.is_ascii_hexdigit())
        {
            *word = format!("{task}-…{quotes}");
        }
    }
    words.join(" ")
}

/// `exception: FailedRun: no rows` becomes `exception: Error: no rows`.
fn without_classes_of_prefect(text: &str) -> String {
    ["FailedRun", "CancelledRun", "CrashedRun", "UnfinishedRun"]
        .iter()
        .fold(text.to_owned(), |text, class| {
            text.replace(&format!("exception: {class}:"), "exception: Error:")
        })
}

/// `panic at src/main.rs:1:2: boom` becomes `panic at …: boom`.
fn without_places(text: &str) -> String {
    match text.split_once("panic at ") {
        Some((before, panic)) => {
            let message = panic.split_once(": ").map_or("", |(_, message)| message);
            format!("{before}panic at …: {message}")
        }
        None => text.to_owned(),
    }
}

fn is_word(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|letter| letter.is_ascii_lowercase())
}

#[test]
fn only_random_parts_are_taken_away() {
    for (name, comparable) in [
        ("Flow run brave-otter", "Flow run …"),
        ("Flow run visit a.org", "Flow run visit a.org"),
        ("Task run inc-3f2", "Task run inc-…"),
        ("Task run next of 1", "Task run next of 1"),
        (
            "Upstream task run 'bad-00a' did not reach a 'COMPLETED' state.",
            "Upstream task run 'bad-…' did not reach a 'COMPLETED' state.",
        ),
    ] {
        assert_eq!(without_random_parts(name), comparable);
    }
}
