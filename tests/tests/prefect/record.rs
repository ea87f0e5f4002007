//! What became of the runs of one row, on either side, and all that is made alike
//! before the sides are compared. Whatever else differs is in
//! [`differences`](crate::differences).

use std::collections::{BTreeMap, HashMap};

use flowcore::{RunReport, StateChange};
use serde::Deserialize;

use crate::text::{Show, given};

/// What a run is called, and its states.
#[derive(Debug, Deserialize)]
pub(crate) struct Line(String, String);

/// What the call of a flow gave and what became of all runs in it.
pub(crate) fn lines<T: Show>(report: &RunReport<T>) -> Vec<Line> {
    let mut lines = vec![Line("gives".to_owned(), given(report.result()))];
    let mut flows = HashMap::new();
    for run in report.flow_runs() {
        let flow = run.flow_name().unwrap_or("no flow");
        flows.insert(run.name(), flow);
        let label = format!("Flow run {} of {flow}", run.name());
        lines.push(Line(label, history(run.states())));
    }
    for run in report.runs() {
        let label = format!("Task run {} of {}", run.name(), flows[run.flow_run_name()]);
        lines.push(Line(label, history(run.states())));
    }
    lines
}

fn history(states: &[StateChange]) -> String {
    let states: Vec<_> = states.iter().map(ToString::to_string).collect();
    states.join(" → ")
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
    let mut is_flow_run = false;
    let words = text.split(' ').map(|word| {
        let name = word.trim_end_matches('\'');
        let quotes = &word[name.len()..];
        let parts = name.rsplit_once('-');
        let comparable = match parts {
            Some((adjective, animal)) if is_flow_run && is_word(adjective) && is_word(animal) => {
                "…".to_owned()
            }
            Some((task, digits)) if is_random(digits) => format!("{task}-…{quotes}"),
            _ => word.to_owned(),
        };
        is_flow_run = word == "run" && text.starts_with("Flow run ");
        comparable
    });
    words.collect::<Vec<_>>().join(" ")
}

fn is_random(digits: &str) -> bool {
    digits.len() == 3 && digits.chars().all(|digit| digit.is_ascii_hexdigit())
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
        (
            "Flow run brave-bee of subflow-that-fails",
            "Flow run … of subflow-that-fails",
        ),
        (
            "Flow run visit a.org of visit",
            "Flow run visit a.org of visit",
        ),
        ("Task run inc-3f2 of child", "Task run inc-… of child"),
        ("Task run next of 1 of chain", "Task run next of 1 of chain"),
        (
            "Upstream task run 'bad-00a' did not reach a 'COMPLETED' state.",
            "Upstream task run 'bad-…' did not reach a 'COMPLETED' state.",
        ),
    ] {
        assert_eq!(without_random_parts(name), comparable);
    }
}
