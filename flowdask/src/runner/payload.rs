//! What a task of Dask carries for our workers: opaque bytes to everybody
//! else (protocol, section 12.1).

use flowcore::Error;
use flowcore::bridge::{BatchDescriptor, WorkDescriptor};
use serde::{Deserialize, Serialize};

use super::runs::Runs;
use super::shared_value::ValueId;
use crate::coded;

/// The first byte of a payload: another number is another build's form.
const FORM: u8 = 2;

/// A run or a batch on its way to a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Payload {
    /// The topic at the scheduler that the flow's process listens to.
    pub(crate) home: String,
    pub(crate) job: Job,
    /// The runs whose outcomes it reads.
    pub(crate) inputs: Vec<(Runs, Input)>,
    /// The large values that it reads: the last dependencies of the Dask task.
    pub(crate) values: Vec<ValueId>,
}

/// What is to be executed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Job {
    /// A run.
    Run(WorkDescriptor),
    /// Rows of a map.
    Batch(BatchDescriptor),
}

impl Job {
    /// What its runs have in common.
    pub(crate) fn work(&self) -> &WorkDescriptor {
        match self {
            Self::Run(work) => work,
            Self::Batch(batch) => &batch.work,
        }
    }

    pub(crate) fn runs(&self) -> Runs {
        match self {
            Self::Run(work) => Runs::Run(work.run),
            Self::Batch(batch) => Runs::Rows(batch.map, batch.rows.clone()),
        }
    }
}

/// Where the outcome of an input is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Input {
    /// The next dependency of the Dask task.
    Dependency,
    /// It did not complete; its reader allows that.
    Failed(Error),
}

/// The bytes are no payload of this build.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PayloadError {
    #[error("the task was sent by another version of this program")]
    Form,
    #[error("the task's payload cannot be read")]
    Damaged(#[source] Box<bincode::error::DecodeError>),
}

impl Payload {
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, bincode::error::EncodeError> {
        let mut bytes = vec![FORM];
        bincode::serde::encode_into_std_write(self, &mut bytes, bincode::config::standard())?;
        Ok(bytes)
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, PayloadError> {
        let (&form, body) = bytes.split_first().ok_or(PayloadError::Form)?;
        if form != FORM {
            return Err(PayloadError::Form);
        }
        coded::from_bytes(body).map_err(|error| PayloadError::Damaged(Box::new(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_payloads_are_errors() {
        let length_of_eight_bytes = [&[FORM, 0xfd][..], &[0xff; 8]].concat();
        for bytes in [&[FORM][..], &[FORM, 0xff], &length_of_eight_bytes] {
            let error = Payload::from_bytes(bytes).unwrap_err();
            assert!(matches!(error, PayloadError::Damaged(_)), "{error}");
        }
        for bytes in [&[][..], &[FORM + 1]] {
            let error = Payload::from_bytes(bytes).unwrap_err();
            assert!(matches!(error, PayloadError::Form), "{error}");
        }
    }
}
