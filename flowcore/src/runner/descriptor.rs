//! A run as data: what another process needs to execute it.
//!
//! These are types of our own, coded with bincode; users' values inside carry
//! a tag of their own codec. A value that another run makes is named, not
//! sent: it stays where it was made until someone asks for it.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::batch::ColumnDescriptor;
use crate::arguments::{Argument, Column};
use crate::definition::{RetryDelay, TaskInfo, TaskOptions};
use crate::engine::{MapId, RunId};
use crate::error::{Error, Result};
use crate::records::ResultDescriptor;
use crate::value::{Access, Codec, CodecTag, EncodedValue, ValueCell, decode_bounded, nested};

/// Names a run between processes, within one flow run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RunReference {
    /// A single run.
    Run(u64),
    /// A row of a map.
    Row(u64, u32),
}

impl From<RunId> for RunReference {
    fn from(id: RunId) -> Self {
        Self::Run(id.to_bits())
    }
}

impl RunReference {
    pub(crate) fn row(map: MapId, row: u32) -> Self {
        Self::Row(map.to_bits(), row)
    }
}

/// Where an argument's value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ArgumentDescriptor {
    /// The value itself.
    Inline(EncodedValue),
    /// A value that travels by itself, once for all who read it: a number that
    /// a [`ValueSource`] knows.
    Shared(u128),
    /// The result of another run.
    Result(RunReference),
    /// A list or tuple of these.
    List(#[serde(deserialize_with = "nested")] Vec<ArgumentDescriptor>),
    /// The results of these rows of a map, as a list.
    Rows(u64, Range<u32>),
    /// The result of another run, or its error.
    Outcome(#[serde(deserialize_with = "nested")] Box<ArgumentDescriptor>),
    /// One element of a list.
    Element(
        #[serde(deserialize_with = "nested")] Box<ArgumentDescriptor>,
        u32,
    ),
}

impl ArgumentDescriptor {
    /// The value itself, coded by the first of these that can.
    pub(crate) fn inline<T>(value: &ValueCell<T>, access: &[Access<T>]) -> Result<Self> {
        let codec = access.iter().find_map(Access::codec).ok_or_else(|| {
            Error::invalid(format!(
                "a value of type `{}` cannot travel to another process: mark the task that takes \
                 it `#[task(local)]`",
                std::any::type_name::<T>()
            ))
        })?;
        Ok(Self::Inline(value.with(|value| codec.encode(value))??))
    }

    /// How many bytes of values it holds.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Inline(value) => value.bytes.len(),
            Self::List(parts) => parts.iter().map(Self::size).sum(),
            Self::Outcome(inner) | Self::Element(inner, _) => inner.size(),
            Self::Shared(_) | Self::Result(_) | Self::Rows(..) => 0,
        }
    }

    /// Every run whose result this argument needs.
    pub fn visit_runs(&self, visit: &mut dyn FnMut(RunReference)) {
        match self {
            Self::Inline(_) | Self::Shared(_) => {}
            Self::Result(run) => visit(*run),
            Self::List(parts) => {
                for part in parts {
                    part.visit_runs(visit);
                }
            }
            Self::Rows(map, rows) => {
                for row in rows.clone() {
                    visit(RunReference::Row(*map, row));
                }
            }
            Self::Outcome(inner) | Self::Element(inner, _) => inner.visit_runs(visit),
        }
    }
}

/// One run, ready to travel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkDescriptor {
    /// The id of the flow run.
    pub flow_run_id: u128,
    /// The name of the flow run.
    pub flow_run_name: String,
    /// Which run this is.
    pub run: RunReference,
    /// The task's key.
    pub task_key: String,
    /// The task's fingerprint: another one means another build.
    pub fingerprint: u64,
    /// The version of its code, for people.
    pub version: Option<String>,
    /// The task's name, for run names and messages.
    pub name: String,
    /// The name of the run, unless a template makes another.
    pub run_name: String,
    /// The template of the run's name.
    pub run_name_template: Option<String>,
    /// The process of the flow run wants to know the name that it makes.
    pub tells_name: bool,
    /// Runs of a higher priority are to start first.
    pub priority: i32,
    /// How many rows of its map are to travel together; the runner decides
    /// where this is `None`.
    pub batch: Option<u32>,
    /// What the run needs of the place where it is executed.
    pub resources: Vec<(String, f64)>,
    /// The tags of the run.
    pub tags: Vec<String>,
    /// Retries that are left are counted from the first attempt.
    pub retries: u32,
    /// The wait before each retry.
    pub retry_delay: RetryDelay,
    /// How far the delays are spread.
    pub retry_jitter: f64,
    /// The longest time of one attempt.
    pub timeout: Option<Duration>,
    /// How its result is kept, if it is.
    pub results: Option<ResultDescriptor>,
    /// The number of the attempt to begin with, from 1.
    pub attempt: u32,
    /// The arguments, in the order of the parameters.
    pub arguments: Vec<ArgumentDescriptor>,
}

impl WorkDescriptor {
    /// A run of a task with these options, of no flow run yet: whoever makes
    /// it adds which run it is, its name and who wants to know it, and how its
    /// result is kept.
    pub(super) fn of_task(
        info: &TaskInfo,
        options: &TaskOptions,
        arguments: Vec<ArgumentDescriptor>,
    ) -> Self {
        let name = options.labels.name.clone().into_owned();
        Self {
            flow_run_id: 0,
            flow_run_name: String::new(),
            run: RunReference::Run(0),
            task_key: info.key.to_owned(),
            fingerprint: info.fingerprint,
            version: options.version_in_force().map(str::to_owned),
            run_name: String::new(),
            name,
            run_name_template: options.task_run_name.clone().map(Into::into),
            tells_name: false,
            priority: options.priority,
            batch: options.batch,
            resources: options
                .resources
                .iter()
                .map(|(name, amount)| (name.to_owned(), amount))
                .collect(),
            tags: options.all_tags().map(str::to_owned).collect(),
            retries: options.retries_in_force(),
            retry_delay: options.retry_delay_in_force().clone(),
            retry_jitter: options.retry_jitter,
            timeout: options.timeout,
            results: None,
            attempt: 1,
            arguments,
        }
    }

    /// The descriptor as bytes.
    ///
    /// # Errors
    ///
    /// None in practice: all types are our own.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        Ok(bincode::serde::encode_to_vec(
            self,
            bincode::config::standard(),
        )?)
    }

    /// Reads a descriptor.
    ///
    /// # Errors
    ///
    /// The bytes are no descriptor, or more than one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (work, read) = decode_bounded(bytes)?;
        if read != bytes.len() {
            return Err(Error::invalid(format!(
                "a task descriptor of {read} bytes is followed by {} more",
                bytes.len() - read
            )));
        }
        Ok(work)
    }
}

/// Where a process that executes descriptors finds the results they name.
pub trait ValueSource {
    /// The result of a run that completed, or the error of one that did not.
    ///
    /// # Errors
    ///
    /// The value is not here.
    fn outcome(&self, run: RunReference) -> Result<Result<EncodedValue, Error>>;

    /// A value that [travels by itself](ArgumentDescriptor::Shared).
    ///
    /// # Errors
    ///
    /// The value is not here.
    fn shared(&self, value: u128) -> Result<EncodedValue> {
        Err(Error::invalid(format!(
            "the shared value {value:032x} is not here"
        )))
    }
}

/// Where nothing is: for descriptors whose arguments are all values.
#[derive(Clone, Copy, Debug)]
pub struct NoValues;

impl ValueSource for NoValues {
    fn outcome(&self, run: RunReference) -> Result<Result<EncodedValue, Error>> {
        Err(Error::invalid(format!("the result of {run:?} is not here")))
    }
}

/// The argument in the process that executes: its value, decoded.
pub(crate) fn decode_argument<T: 'static>(
    descriptor: Option<&ArgumentDescriptor>,
    values: &dyn ValueSource,
    codec: Option<&Codec<T>>,
) -> Result<Argument<T>> {
    let (Some(descriptor), Some(codec)) = (descriptor, codec) else {
        return Err(Error::invalid(format!(
            "an argument of type `{}` of a local task cannot be decoded here",
            std::any::type_name::<T>()
        )));
    };
    let encoded = encoded(descriptor, values)?;
    Ok(Argument::value(codec.decode(&encoded)?))
}

/// A column of a batch in the process that executes: its values, decoded.
/// Rows that lack theirs are noted in `broken`.
pub(crate) fn decode_column<T: Send + Sync + 'static>(
    descriptor: &ColumnDescriptor,
    rows: u32,
    values: &dyn ValueSource,
    codec: Option<&Codec<T>>,
    broken: &mut HashMap<u32, Error>,
) -> Result<Column<T>> {
    if let ColumnDescriptor::Repeat(value) = descriptor {
        return decode_argument(Some(value), values, codec).map(Column::repeated);
    }
    let codec = codec.ok_or_else(|| Error::invalid("a local task does not travel in batches"))?;
    let mut lists = Lists::default();
    let column = (0..rows).map(|index| {
        let row = descriptor
            .row(index)
            .ok_or_else(|| Error::invalid(format!("a column of the batch has no row {index}")))
            .and_then(|row| lists.encoded(&row, values))
            .and_then(|encoded| Ok(codec.decode(&encoded)?));
        row.inspect_err(|error| {
            broken.insert(index, error.clone());
        })
    });
    Ok(Column::arrived(column.collect()))
}

/// The lists that rows of a batch take their elements from, each taken apart
/// once.
#[derive(Default)]
struct Lists(Vec<(ArgumentDescriptor, Vec<AnyValue>)>);

impl Lists {
    fn encoded(
        &mut self,
        descriptor: &ArgumentDescriptor,
        values: &dyn ValueSource,
    ) -> Result<EncodedValue> {
        let ArgumentDescriptor::Element(list, index) = descriptor else {
            return encoded(descriptor, values);
        };
        let known = self.0.iter().position(|(known, _)| *known == **list);
        let known = match known {
            Some(known) => known,
            None => {
                let elements = elements(&encoded(list, values)?.into_message_pack()?.bytes)?;
                self.0.push((ArgumentDescriptor::clone(list), elements));
                self.0.len() - 1
            }
        };
        element(&self.0[known].1, *index)
    }
}

/// The value as bytes. Lists are put together as MessagePack arrays of bytes
/// that are MessagePack already, so that nobody needs to know the elements'
/// type; of another codec they become MessagePack first.
pub(super) fn encoded(
    descriptor: &ArgumentDescriptor,
    values: &dyn ValueSource,
) -> Result<EncodedValue> {
    match descriptor {
        ArgumentDescriptor::Inline(value) => Ok(value.clone()),
        ArgumentDescriptor::Shared(value) => values.shared(*value),
        ArgumentDescriptor::Result(run) => values.outcome(*run)?,
        ArgumentDescriptor::List(parts) => {
            array(parts.iter().map(|part| encoded(part, values)), parts.len())
        }
        ArgumentDescriptor::Rows(map, rows) => array(
            rows.clone()
                .map(|row| values.outcome(RunReference::Row(*map, row))?),
            rows.len(),
        ),
        ArgumentDescriptor::Outcome(inner) => {
            let ArgumentDescriptor::Result(run) = &**inner else {
                return Err(Error::invalid("only a run's outcome can be asked for"));
            };
            outcome(values.outcome(*run)?)
        }
        ArgumentDescriptor::Element(list, index) => {
            let list = encoded(list, values)?.into_message_pack()?;
            element(&elements(&list.bytes)?, *index)
        }
    }
}

/// A value or an error in the form that serde gives a `Result`: a map of one
/// entry.
pub(crate) fn outcome(outcome: Result<EncodedValue>) -> Result<EncodedValue> {
    let (variant, bytes) = match outcome {
        Ok(value) => ("Ok", value.into_message_pack()?.bytes),
        Err(error) => ("Err", rmp_serde::to_vec_named(&error)?),
    };
    let mut out = vec![0x81];
    out.extend(rmp_serde::to_vec(variant)?);
    out.extend(bytes);
    Ok(EncodedValue {
        codec: CodecTag::MessagePack,
        bytes: out,
    })
}

fn array(parts: impl Iterator<Item = Result<EncodedValue>>, length: usize) -> Result<EncodedValue> {
    let length = u32::try_from(length)
        .map_err(|_| Error::invalid("a list of more than 2^32 values cannot travel"))?;
    let mut bytes = Vec::new();
    match length {
        0..16 => bytes.push(0x90 | u8::try_from(length)?),
        16..0x1_0000 => {
            bytes.push(0xdc);
            bytes.extend(u16::try_from(length)?.to_be_bytes());
        }
        _ => {
            bytes.push(0xdd);
            bytes.extend(length.to_be_bytes());
        }
    }
    for part in parts {
        bytes.extend(part?.into_message_pack()?.bytes);
    }
    Ok(EncodedValue {
        codec: CodecTag::MessagePack,
        bytes,
    })
}

/// The elements of a MessagePack array.
fn elements(list: &[u8]) -> Result<Vec<AnyValue>> {
    Ok(rmp_serde::from_slice(list)?)
}

/// One element of a list.
fn element(elements: &[AnyValue], index: u32) -> Result<EncodedValue> {
    let value = elements.get(index as usize).ok_or_else(|| {
        Error::invalid(format!(
            "the list has no element {index}: it has {}",
            elements.len()
        ))
    })?;
    Ok(EncodedValue {
        codec: CodecTag::MessagePack,
        bytes: rmp_serde::to_vec_named(value)?,
    })
}

/// Any MessagePack value, unread.
type AnyValue = rmpv::Value;

/// How many elements a list has that came as bytes.
///
/// # Errors
///
/// The value is no list.
pub fn list_length(list: &EncodedValue) -> Result<u32> {
    let list = list.clone().into_message_pack()?;
    let elements: Vec<serde::de::IgnoredAny> = rmp_serde::from_slice(&list.bytes)?;
    Ok(u32::try_from(elements.len())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::DEPTH;

    struct Values(HashMap<RunReference, Result<EncodedValue, Error>>);

    impl ValueSource for Values {
        fn outcome(&self, run: RunReference) -> Result<Result<EncodedValue, Error>> {
            self.0
                .get(&run)
                .cloned()
                .ok_or_else(|| Error::invalid("not here"))
        }
    }

    #[test]
    fn damaged_arguments_are_errors() {
        let read = |bytes: &[u8]| {
            decode_bounded(bytes).map(|(argument, _): (ArgumentDescriptor, usize)| argument)
        };
        let mut argument = ArgumentDescriptor::Result(RunReference::Run(1));
        for _ in 0..DEPTH {
            argument = ArgumentDescriptor::Outcome(Box::new(argument));
        }
        let bytes = bincode::serde::encode_to_vec(&argument, bincode::config::standard()).unwrap();
        assert_eq!(read(&bytes).unwrap(), argument);
        let deeper = [&bytes[..1], &bytes].concat();
        let error = read(&deeper).unwrap_err().to_string();
        assert!(error.contains("deeper than 100 levels"), "{error}");
        // Without the limit this overflows the stack.
        let endless = vec![bytes[0]; 1 << 20];
        assert!(read(&endless).is_err());
        // And this asks for all memory there is: a length of eight bytes.
        let length = [&[0xfd][..], &[0xff; 8]].concat();
        assert!(WorkDescriptor::from_bytes(&length).is_err());
    }

    fn values() -> Values {
        let codec = Codec::<i64>::message_pack();
        let mut values: HashMap<_, _> = (0..20)
            .map(|row| {
                let value = codec.encode(&(i64::from(row) * 1000)).unwrap();
                (RunReference::Row(7, row), Ok(value))
            })
            .collect();
        values.insert(RunReference::Run(1), Err(Error::msg("gone")));
        values.insert(
            RunReference::Run(2),
            Ok(Codec::message_pack()
                .encode(&vec!["a".to_owned(), "b".to_owned()])
                .unwrap()),
        );
        Values(values)
    }

    #[test]
    fn lists_are_put_together_from_bytes() {
        let codec = Codec::<Vec<i64>>::message_pack();
        for count in [3, 16, 20] {
            let rows = ArgumentDescriptor::Rows(7, 0..count);
            let list = codec.decode(&encoded(&rows, &values()).unwrap()).unwrap();
            assert_eq!(
                list,
                (0..i64::from(count)).map(|i| i * 1000).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn outcomes_and_elements() {
        let codec = Codec::<Result<i64, Error>>::message_pack();
        let outcome = |run| {
            let descriptor = ArgumentDescriptor::Outcome(Box::new(ArgumentDescriptor::Result(run)));
            codec
                .decode(&encoded(&descriptor, &values()).unwrap())
                .unwrap()
        };
        assert_eq!(outcome(RunReference::Row(7, 2)).unwrap(), 2000);
        assert_eq!(
            outcome(RunReference::Run(1)).unwrap_err().to_string(),
            "gone"
        );
        let list = ArgumentDescriptor::Result(RunReference::Run(2));
        let second = ArgumentDescriptor::Element(Box::new(list), 1);
        let codec = Codec::<String>::message_pack();
        let value = codec.decode(&encoded(&second, &values()).unwrap()).unwrap();
        assert_eq!(value, "b");
    }

    #[test]
    fn descriptors_survive_bytes_and_reject_garbage() {
        let work = WorkDescriptor {
            flow_run_id: 7,
            flow_run_name: "brave-otter".into(),
            run: RunReference::Row(3, 9),
            task_key: "m::inc".into(),
            fingerprint: 42,
            version: Some("1.2".into()),
            name: "inc".into(),
            run_name: "inc-abc".into(),
            run_name_template: None,
            tells_name: false,
            priority: 0,
            batch: Some(500),
            resources: Vec::new(),
            tags: vec!["x".into()],
            retries: 2,
            retry_delay: RetryDelay::from([Duration::from_millis(5), Duration::from_secs(1)]),
            retry_jitter: 0.5,
            timeout: None,
            results: None,
            attempt: 1,
            arguments: vec![ArgumentDescriptor::Rows(1, 0..4)],
        };
        let mut bytes = work.to_bytes().unwrap();
        assert_eq!(WorkDescriptor::from_bytes(&bytes).unwrap(), work);
        for cut in 0..bytes.len() {
            assert!(WorkDescriptor::from_bytes(&bytes[..cut]).is_err());
        }
        bytes.push(0);
        assert!(WorkDescriptor::from_bytes(&bytes).is_err());
    }
}
