//! What an outbox has to tell, on disk: should the process die, another one
//! can [replay](crate::prefect::replay) it.
//!
//! The file is there while something is not known to be recorded, and locked
//! as long as its process lives, so a file whose lock is free was left behind.
//! A message is in it before it is sent. It can hold what flows were given,
//! so only its user may read it. It survives the process, not the machine:
//! nothing waits for the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ledger::Note;
use crate::prefect::message::Message;

/// Of files that another version of ours may read.
const FORMAT: u32 = 1;

/// How files end that may be replayed.
pub(crate) const ENDING: &str = "log";

/// One line of the file, as it is written …
#[derive(Serialize)]
enum Line<'a> {
    Head(&'a Head),
    Message(&'a Message),
    Note(&'a Note),
}

/// … and as it is read.
#[derive(Deserialize)]
pub(crate) enum Record {
    Head(Head),
    Message(Message),
    Note(Note),
}

/// The first line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) format: u32,
    /// The server's address, without credentials.
    pub(crate) server: String,
    /// Of the process.
    pub(crate) process: u32,
}

impl Head {
    pub(super) fn new(server: String) -> Self {
        Self {
            format: FORMAT,
            server,
            process: std::process::id(),
        }
    }

    pub(crate) fn is_readable(&self) -> bool {
        self.format == FORMAT
    }
}

/// The writing side.
#[derive(Debug)]
pub(crate) struct WriteAhead {
    place: Place,
    /// Lines that are not in the file yet.
    buffer: Vec<u8>,
}

#[derive(Debug)]
enum Place {
    Nowhere,
    /// There is nothing to keep; the directory for when there is.
    Empty(PathBuf, Head),
    Open(Open),
    /// The disk refused, and the user knows; the file as far as it came.
    Broken(Option<Open>, PathBuf, Head),
}

#[derive(Debug)]
struct Open {
    file: File,
    path: PathBuf,
    head: Head,
}

impl WriteAhead {
    /// Keeps it in a file in this directory.
    pub(super) fn within(directory: PathBuf, head: Head) -> Self {
        Self::of(Place::Empty(directory, head))
    }

    /// Goes on in a file that was left behind, and that this process has
    /// locked.
    pub(crate) fn resumed(file: File, path: PathBuf, head: Head) -> Self {
        Self::of(Place::Open(Open { file, path, head }))
    }

    fn of(place: Place) -> Self {
        Self {
            place,
            buffer: Vec::new(),
        }
    }

    /// The file, if there is one that keeps all.
    pub(super) fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::Open(open) => Some(&open.path),
            _ => None,
        }
    }

    pub(super) fn message(&mut self, message: &Message) {
        self.line(&Line::Message(message));
    }

    pub(super) fn note(&mut self, note: &Note) {
        // Without a file there is nothing that it could add to.
        if !self.buffer.is_empty() || matches!(self.place, Place::Open(_)) {
            self.line(&Line::Note(note));
        }
    }

    fn line(&mut self, line: &Line<'_>) {
        if matches!(self.place, Place::Nowhere | Place::Broken(..)) {
            return;
        }
        let start = self.buffer.len();
        match serde_json::to_writer(&mut self.buffer, line) {
            Ok(()) => self.buffer.push(b'\n'),
            // Messages are JSON by their types; one that is none is not kept.
            Err(_) => self.buffer.truncate(start),
        }
    }

    /// Gives the lines to the operating system.
    pub(super) fn flush(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        if let Err(error) = self.write() {
            self.give_up(&error);
        }
        self.buffer.clear();
        // Room for a burst is not kept for ever.
        self.buffer.shrink_to(1 << 16);
    }

    fn write(&mut self) -> io::Result<()> {
        if let Place::Empty(directory, head) = &self.place {
            self.place = Place::Open(create(directory, head)?);
        }
        match &mut self.place {
            Place::Open(open) => open.file.write_all(&self.buffer),
            _ => Ok(()),
        }
    }

    fn give_up(&mut self, error: &io::Error) {
        let (open, directory, head) = match std::mem::replace(&mut self.place, Place::Nowhere) {
            Place::Open(open) => {
                let directory = open.path.parent().unwrap_or(Path::new("")).to_owned();
                let head = open.head.clone();
                (Some(open), directory, head)
            }
            Place::Empty(directory, head) => (None, directory, head),
            Place::Nowhere | Place::Broken(..) => return,
        };
        tracing::warn!(
            target: "flowcore::prefect",
            "what is to be reported cannot be kept in {}: {error}; it is reported all the same, \
             but lost if this process dies before",
            directory.display()
        );
        self.place = Place::Broken(open, directory, head);
    }

    /// Everything is known to be recorded: there is nothing to replay.
    pub(super) fn clear(&mut self) {
        self.buffer.clear();
        let place = std::mem::replace(&mut self.place, Place::Nowhere);
        self.place = match place {
            Place::Open(open) => {
                let directory = open.path.parent().unwrap_or(Path::new("")).to_owned();
                remove(&open.path);
                Place::Empty(directory, open.head)
            }
            // One warning is enough.
            Place::Broken(Some(open), directory, head) => {
                remove(&open.path);
                Place::Broken(None, directory, head)
            }
            other => other,
        };
    }
}

/// Should it stay, a replay finds that there is nothing to do.
fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::debug!(target: "flowcore::prefect", "{}: {error}", path.display());
    }
}

/// Makes the file, with its first line. It has another name until it is
/// locked: nobody takes it for one that was left behind.
fn create(directory: &Path, head: &Head) -> io::Result<Open> {
    make_private(directory)?;
    let name = Uuid::now_v7();
    let early = directory.join(format!("{name}.new"));
    let path = directory.join(format!("{name}.{ENDING}"));
    let mut options = OpenOptions::new();
    options.create_new(true).append(true).read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&early)?;
    let ready = begin(&file, head).and_then(|()| fs::rename(&early, &path));
    if let Err(error) = ready {
        remove(&early);
        return Err(error);
    }
    let head = head.clone();
    Ok(Open { file, path, head })
}

fn begin(mut file: &File, head: &Head) -> io::Result<()> {
    file.try_lock().map_err(io::Error::from)?;
    let mut line = serde_json::to_vec(&Line::Head(head))?;
    line.push(b'\n');
    file.write_all(&line)
}

fn make_private(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Message {
        Message::Log(Box::new(crate::prefect::message::LogLine {
            logger: "prefect.flow_runs".to_owned(),
            level: 20,
            message: text.to_owned(),
            at: jiff::Timestamp::now(),
            flow: None,
            task_run: None,
        }))
    }

    #[test]
    fn the_file_is_there_while_something_is_open_and_locked_and_private() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("outbox");
        let head = Head::new("http://server/api".to_owned());
        let mut ahead = WriteAhead::within(directory.clone(), head);
        assert!(
            !directory.exists(),
            "nothing is written before there is need"
        );
        ahead.message(&line("one"));
        ahead.flush();
        let path = ahead.path().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        for line in text.lines() {
            let _: Record = serde_json::from_str(line).unwrap();
        }
        let other = File::open(&path).unwrap();
        assert!(other.try_lock().is_err(), "its process lives");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let mode = fs::metadata(&directory).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
        }
        ahead.clear();
        assert!(!path.exists());
        ahead.message(&line("two"));
        ahead.flush();
        let path = ahead.path().unwrap().to_owned();
        drop(ahead);
        assert!(File::open(&path).unwrap().try_lock().is_ok());
    }

    #[test]
    fn a_disk_that_refuses_is_no_reason_to_stop() {
        let home = tempfile::tempdir().unwrap();
        let blocked = home.path().join("file");
        fs::write(&blocked, "").unwrap();
        let head = Head::new("http://server/api".to_owned());
        let mut ahead = WriteAhead::within(blocked.join("outbox"), head);
        ahead.message(&line("one"));
        ahead.flush();
        assert!(ahead.path().is_none());
        ahead.message(&line("two"));
        ahead.flush();
        ahead.clear();
    }
}
