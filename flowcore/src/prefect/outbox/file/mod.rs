//! What an outbox has to tell, on disk: should the process die, another one
//! can [replay](crate::prefect::replay) it.
//!
//! The file is there while something is not known to be recorded, and locked
//! as long as its process lives, so a file whose lock is free was left behind.
//! A message is in it before it is sent; one that memory has no room for is
//! nowhere else until it is [read back](WriteAhead::read_back). It can hold
//! what flows were given, so only its user may read it. It survives the
//! process, not the machine: nothing waits for the disk.

mod behind;
mod kept;
mod record;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::ledger::Note;
use crate::prefect::message::Message;
use behind::Behind;
use kept::Kept;
use record::Line;

pub(crate) use kept::ENDING;
pub(crate) use record::{Head, Record};

/// Room that is kept for lines.
const ROOM: usize = 1 << 16;

/// The writing side.
#[derive(Debug)]
pub(crate) struct WriteAhead {
    directory: PathBuf,
    head: Head,
    place: Place,
    /// So many bytes the file has; the buffer goes on there.
    written: u64,
    /// Lines that are not in the file yet.
    buffer: Vec<u8>,
    behind: Behind,
}

#[derive(Debug)]
enum Place {
    /// There is nothing to keep.
    Empty,
    Open(Kept),
    /// The disk refused, and the user knows; the file as far as it came.
    Broken(Option<Kept>),
    /// The disk did not give what it had, and the user knows. The file stays
    /// for a replay, which waits for the end of this process.
    Unreadable {
        _locked: Kept,
    },
}

impl WriteAhead {
    /// Keeps it in a file in this directory.
    pub(super) fn within(directory: PathBuf, head: Head) -> Self {
        Self {
            directory,
            head,
            place: Place::Empty,
            written: 0,
            buffer: Vec::new(),
            behind: Behind::default(),
        }
    }

    /// Goes on in a file that was left behind, and that this process has
    /// locked.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub(crate) fn resumed(file: File, path: PathBuf, head: Head) -> io::Result<Self> {
        let directory = path.parent().unwrap_or(Path::new("")).to_owned();
        let kept = Kept { file, path };
        let mut ahead = Self::within(directory, head);
        ahead.written = kept.length()?;
        if kept.is_torn()? {
            // What comes is no part of that line.
            ahead.buffer.push(b'\n');
        }
        ahead.place = Place::Open(kept);
        Ok(ahead)
    }

    /// The file, if there is one that keeps all.
    pub(super) fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::Open(kept) => Some(&kept.path),
            _ => None,
        }
    }

    /// Whether nothing more is kept, because of the disk.
    pub(super) fn is_broken(&self) -> bool {
        matches!(self.place, Place::Broken(_) | Place::Unreadable { .. })
    }

    pub(super) fn message(&mut self, message: &Message) {
        self.line(&Line::Message(message));
    }

    /// A message that is to be [read back](Self::read_back); whether it can be.
    pub(super) fn later(&mut self, message: &Message) -> bool {
        if matches!(self.place, Place::Empty) {
            self.flush();
        }
        if !matches!(self.place, Place::Open(_)) {
            return false;
        }
        let here = self.written + self.buffer.len() as u64;
        let is_there = self.line(&Line::Later(message));
        if is_there {
            self.behind.add(here);
        }
        is_there
    }

    pub(super) fn note(&mut self, note: &Note) {
        // Without a file there is nothing that it could add to.
        if !self.buffer.is_empty() || matches!(self.place, Place::Open(_)) {
            self.line(&Line::Note(note));
        }
    }

    /// Whether it goes into the file.
    fn line(&mut self, line: &Line<'_>) -> bool {
        if self.is_broken() {
            return false;
        }
        let start = self.buffer.len();
        let written = serde_json::to_writer(&mut self.buffer, line);
        match &written {
            Ok(()) => self.buffer.push(b'\n'),
            // Messages are JSON by their types; one that is none is not kept.
            Err(_) => self.buffer.truncate(start),
        }
        written.is_ok()
    }

    /// Gives the messages that were to be read back, in their order, as long as
    /// more are wanted.
    ///
    /// # Errors
    ///
    /// If the file does not have them any more.
    pub(super) fn read_back(&mut self, take: impl FnMut(Message) -> bool) -> io::Result<()> {
        let (Place::Open(kept) | Place::Broken(Some(kept))) = &self.place else {
            return Err(io::ErrorKind::NotFound.into());
        };
        self.behind
            .read(&kept.file, self.written, &self.buffer, take)?;
        if self.behind.count() == 0 && self.is_broken() {
            self.buffer = Vec::new();
        }
        Ok(())
    }

    /// The file did not give what was to be read back. It stays, for a replay.
    pub(super) fn cannot_be_read(&mut self, error: &io::Error) {
        let place = std::mem::replace(&mut self.place, Place::Broken(None));
        let path = match &place {
            Place::Open(kept) | Place::Broken(Some(kept)) => &kept.path,
            _ => &self.directory,
        };
        tracing::warn!(
            target: "flowcore::prefect",
            "{} things that are to be reported cannot be read back from {}: {error}; `replay` \
             tells what of them can be read",
            self.behind.count(),
            path.display(),
        );
        self.behind = Behind::default();
        self.buffer = Vec::new();
        if let Place::Open(locked) | Place::Broken(Some(locked)) = place {
            self.place = Place::Unreadable { _locked: locked };
        }
    }

    /// Gives the lines to the operating system.
    pub(super) fn flush(&mut self) {
        if self.buffer.is_empty() || self.is_broken() {
            return;
        }
        match self.write() {
            Ok(()) => self.written += self.buffer.len() as u64,
            Err(error) => {
                self.give_up(&error);
                if self.behind.count() > 0 {
                    // It is read back from here.
                    return;
                }
            }
        }
        self.buffer.clear();
        // Room for a burst is not kept for ever.
        self.buffer.shrink_to(ROOM);
    }

    fn write(&mut self) -> io::Result<()> {
        if matches!(self.place, Place::Empty) {
            let kept = Kept::new(&self.directory, &self.head)?;
            self.written = kept.length()?;
            self.place = Place::Open(kept);
        }
        match &mut self.place {
            Place::Open(kept) => kept.file.write_all(&self.buffer),
            _ => Ok(()),
        }
    }

    fn give_up(&mut self, error: &io::Error) {
        let path = self.path().unwrap_or(&self.directory);
        tracing::warn!(
            target: "flowcore::prefect",
            "what is to be reported cannot be kept in {}: {error}; it is reported all the same, \
             but lost if this process dies before: make room there, or set PREFECT_HOME to a \
             directory that has some, for the next one",
            path.display()
        );
        let place = std::mem::replace(&mut self.place, Place::Empty);
        self.place = match place {
            Place::Open(kept) => Place::Broken(Some(kept)),
            Place::Empty => Place::Broken(None),
            broken => broken,
        };
    }

    /// Everything is known to be recorded: there is nothing to replay.
    pub(super) fn clear(&mut self) {
        self.buffer.clear();
        self.behind = Behind::default();
        let place = std::mem::replace(&mut self.place, Place::Empty);
        self.place = match place {
            Place::Empty => Place::Empty,
            Place::Open(kept) => {
                kept.remove();
                Place::Empty
            }
            // One warning is enough.
            Place::Broken(kept) => {
                kept.into_iter().for_each(Kept::remove);
                Place::Broken(None)
            }
            unreadable @ Place::Unreadable { .. } => unreadable,
        };
    }
}

#[cfg(test)]
impl WriteAhead {
    /// From now on the disk refuses what is written, but gives what it has.
    pub(super) fn fill_disk(&mut self) {
        if let Place::Open(kept) = &mut self.place {
            kept.file = File::open(&kept.path).unwrap();
        }
    }
}
