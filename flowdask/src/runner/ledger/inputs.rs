//! What a run or a batch reads.

use flowcore::bridge::{ArgumentDescriptor, ColumnDescriptor};

use super::super::payload::Job;
use super::super::runs::Runs;
use super::super::shared_value::ValueId;

/// One thing that is read.
pub(super) enum Read {
    /// Results of other runs; whether their failure is allowed.
    Runs { runs: Runs, allows_failure: bool },
    /// A large value.
    Value(ValueId),
}

/// All that a job reads, in its order; what is read twice comes twice.
pub(super) fn visit(job: &Job, visit: &mut dyn FnMut(Read)) {
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
                        visit(Read::Runs {
                            runs: Runs::Rows(*map, *first..*first + count),
                            allows_failure: false,
                        });
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
    visit: &mut dyn FnMut(Read),
) {
    let of = |runs| Read::Runs {
        runs,
        allows_failure,
    };
    match argument {
        ArgumentDescriptor::Result(run) => visit(of(Runs::Run(*run))),
        ArgumentDescriptor::Rows(map, rows) => visit(of(Runs::Rows(*map, rows.clone()))),
        ArgumentDescriptor::Shared(value) => visit(Read::Value(*value)),
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
