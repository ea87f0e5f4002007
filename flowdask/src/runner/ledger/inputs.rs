//! What a run or a batch reads of other runs.

use flowcore::bridge::{ArgumentDescriptor, ColumnDescriptor};

use super::super::payload::Job;
use super::super::runs::Runs;
use super::super::shared_value::ValueId;

/// Runs that are read, and whether their failure is allowed.
pub(super) fn visit(job: &Job, visit: &mut dyn FnMut(Runs, bool)) {
    match job {
        Job::Run(work) => {
            for argument in &work.arguments {
                visit_argument(argument, false, visit);
            }
        }
        Job::Batch(batch) => {
            for column in &batch.columns {
                match column {
                    ColumnDescriptor::Each(arguments) => {
                        for argument in arguments {
                            visit_argument(argument, false, visit);
                        }
                    }
                    ColumnDescriptor::Repeat(argument) => visit_argument(argument, false, visit),
                    ColumnDescriptor::Rows { map, first } => {
                        let count = batch.rows.end - batch.rows.start;
                        visit(Runs::Rows(*map, *first..*first + count), false);
                    }
                    // Of a newer flowcore: the worker says that it is missing.
                    _ => {}
                }
            }
        }
    }
}

/// The large values that are read, each once.
pub(super) fn values(job: &Job) -> Vec<ValueId> {
    let mut values = Vec::new();
    let mut visit = |argument: &ArgumentDescriptor| visit_values(argument, &mut values);
    match job {
        Job::Run(work) => work.arguments.iter().for_each(&mut visit),
        Job::Batch(batch) => {
            for column in &batch.columns {
                match column {
                    ColumnDescriptor::Each(arguments) => arguments.iter().for_each(&mut visit),
                    ColumnDescriptor::Repeat(argument) => visit(argument),
                    _ => {}
                }
            }
        }
    }
    values
}

fn visit_values(argument: &ArgumentDescriptor, values: &mut Vec<ValueId>) {
    match argument {
        ArgumentDescriptor::Shared(value) if !values.contains(value) => values.push(*value),
        ArgumentDescriptor::List(parts) => {
            for part in parts {
                visit_values(part, values);
            }
        }
        ArgumentDescriptor::Outcome(inner) | ArgumentDescriptor::Element(inner, _) => {
            visit_values(inner, values);
        }
        _ => {}
    }
}

fn visit_argument(
    argument: &ArgumentDescriptor,
    allows_failure: bool,
    visit: &mut dyn FnMut(Runs, bool),
) {
    match argument {
        ArgumentDescriptor::Result(run) => visit(Runs::Run(*run), allows_failure),
        ArgumentDescriptor::Rows(map, rows) => {
            visit(Runs::Rows(*map, rows.clone()), allows_failure);
        }
        ArgumentDescriptor::List(parts) => {
            for part in parts {
                visit_argument(part, allows_failure, visit);
            }
        }
        ArgumentDescriptor::Outcome(inner) => visit_argument(inner, true, visit),
        ArgumentDescriptor::Element(inner, _) => visit_argument(inner, allows_failure, visit),
        // Values themselves.
        _ => {}
    }
}
