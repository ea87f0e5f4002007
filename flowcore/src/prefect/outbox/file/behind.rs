//! Which messages wait in the file only, and how they are read back.
//!
//! They are the lines [`Later`](super::record::Line::Later) from a place on;
//! what is not in the file yet is in the buffer behind it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use super::record::{LATER, Record};
use crate::prefect::message::Message;

/// What is read from the file at once.
const READ: usize = 1 << 16;

#[derive(Debug, Default)]
pub(super) struct Behind {
    /// Messages that are to be read back …
    count: usize,
    /// … from this byte on.
    from: u64,
}

impl Behind {
    /// One more, whose line begins at this byte.
    pub(super) fn add(&mut self, at: u64) {
        if self.count == 0 {
            self.from = at;
        }
        self.count += 1;
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Gives the messages in their order, as long as more are wanted, from a
    /// file of so many bytes, which go on in the buffer.
    pub(super) fn read(
        &mut self,
        mut file: &File,
        length: u64,
        buffer: &[u8],
        mut take: impl FnMut(Message) -> bool,
    ) -> io::Result<()> {
        // What is written goes to the end all the same.
        file.seek(SeekFrom::Start(self.from))?;
        let in_file = length.saturating_sub(self.from);
        let in_buffer = self.from.saturating_sub(length);
        let in_buffer = usize::try_from(in_buffer).map_err(io::Error::other)?;
        let rest = buffer.get(in_buffer..).unwrap_or_default();
        let mut lines = BufReader::with_capacity(READ, file.take(in_file).chain(rest));
        let mut line = Vec::new();
        while self.count > 0 {
            line.clear();
            let bytes = lines.read_until(b'\n', &mut line)?;
            if bytes == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.from += bytes as u64;
            if !line.starts_with(LATER) {
                continue;
            }
            if let Record::Later(message) = serde_json::from_slice(&line)? {
                self.count -= 1;
                if !take(message) {
                    break;
                }
            }
        }
        Ok(())
    }
}
