//! What a run or a batch reads of other runs.

use flowcore::bridge::{ArgumentDescriptor, ColumnDescriptor};

use super::super::payload::Job;
use super::super::runs::Runs;

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
