//! One value in a file.
//!
//! The file: the number of parts, their lengths, the parts; numbers are 64
//! bits, little endian. The first part is the header, the others are frames.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::executor::Stored;
use crate::wire::Serialized;

/// A value on disk; the file is removed with the last one who knows of it.
#[derive(Debug)]
pub(super) struct SpillFile {
    path: PathBuf,
    type_name: Arc<str>,
    pickled_type: Bytes,
}

impl SpillFile {
    pub(super) fn write(directory: &Path, value: &Stored) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("{}.value", NEXT.fetch_add(1, Ordering::Relaxed));
        // Made first: what is half written is removed on errors too.
        let spilled = Self {
            path: directory.join(name),
            type_name: Arc::clone(&value.type_name),
            pickled_type: value.pickled_type.clone(),
        };
        let mut file = BufWriter::new(File::create_new(&spilled.path)?);
        let parts = || std::iter::once(value.value.header()).chain(value.value.frames());
        file.write_all(&(parts().count() as u64).to_le_bytes())?;
        for part in parts() {
            file.write_all(&(part.len() as u64).to_le_bytes())?;
        }
        for part in parts() {
            file.write_all(part)?;
        }
        file.flush()?;
        Ok(spilled)
    }

    pub(super) fn read(&self) -> io::Result<Stored> {
        let mut file = File::open(&self.path)?;
        let size = file.metadata()?.len();
        let mut whole = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        file.read_to_end(&mut whole)?;
        let damaged = || {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} is damaged", self.path.display()),
            )
        };
        let mut parts = split(&mut Bytes::from(whole)).ok_or_else(damaged)?;
        if parts.is_empty() {
            return Err(damaged());
        }
        let header = parts.remove(0);
        Ok(Stored {
            value: Serialized::from_parts(header, parts),
            type_name: Arc::clone(&self.type_name),
            pickled_type: self.pickled_type.clone(),
            typed: None,
        })
    }

    pub(super) fn type_name(&self) -> &Arc<str> {
        &self.type_name
    }

    pub(super) fn pickled_type(&self) -> &Bytes {
        &self.pickled_type
    }
}

fn split(bytes: &mut Bytes) -> Option<Vec<Bytes>> {
    let count = number(bytes)?;
    let lengths = (0..count)
        .map(|_| number(bytes))
        .collect::<Option<Vec<_>>>()?;
    let parts = lengths
        .into_iter()
        .map(|length| (length <= bytes.len()).then(|| bytes.split_to(length)))
        .collect::<Option<Vec<_>>>()?;
    bytes.is_empty().then_some(parts)
}

fn number(bytes: &mut Bytes) -> Option<usize> {
    if bytes.len() < 8 {
        return None;
    }
    let number = bytes.split_to(8);
    usize::try_from(u64::from_le_bytes(number.as_ref().try_into().ok()?)).ok()
}

impl Drop for SpillFile {
    fn drop(&mut self) {
        // The directory is removed in the end anyway.
        let _ = fs::remove_file(&self.path);
    }
}
