//! What an outbox has to tell, on disk: should the process die, another one
//! can [replay](crate::prefect::replay) it.
//!
//! The file is there while something is not known to be recorded, and locked
//! as long as its process lives, so a file whose lock is free was left behind.
//! A message is in it before it is sent; one that memory has no room for is
//! nowhere else until it is [read back](WriteAhead::read_back). It can hold what flows were given,
//! so only its user may read it. It survives the process, not the machine:
//! nothing waits for the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ledger::Note;
use crate::prefect::message::Message;

/// What is read from it at once.
const READ: usize = 1 << 16;

/// Of files that another version of ours may read.
const FORMAT: u32 = 1;

/// How files end that may be replayed.
pub(crate) const ENDING: &str = "log";

/// One line of the file, as it is written …
#[derive(Serialize)]
enum Line<'a> {
    Head(&'a Head),
    Message(&'a Message),
    /// It was taken in later, see [`Note::Back`].
    Later(&'a Message),
    Note(&'a Note),
}

/// … and as it is read.
#[derive(Deserialize)]
pub(crate) enum Record {
    Head(Head),
    Message(Message),
    Later(Message),
    Note(Note),
}

/// How a line begins that is read back.
const LATER: &[u8] = br#"{"Later":"#;

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
    /// So many bytes the file has; the buffer goes on there.
    written: u64,
    /// Messages that are to be read back, the first of them from here on.
    unread: usize,
    first_unread: u64,
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
        let written = file.metadata().map_or(0, |known| known.len());
        Self {
            written,
            ..Self::of(Place::Open(Open { file, path, head }))
        }
    }

    fn of(place: Place) -> Self {
        Self {
            place,
            buffer: Vec::new(),
            written: 0,
            unread: 0,
            first_unread: 0,
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

    /// A message that is to be [read back](Self::read_back); whether it can be.
    pub(super) fn later(&mut self, message: &Message) -> bool {
        if matches!(self.place, Place::Empty(..)) {
            self.flush();
        }
        if !matches!(self.place, Place::Open(_)) {
            return false;
        }
        let here = self.written + self.buffer.len() as u64;
        let is_there = self.line(&Line::Later(message));
        if is_there && self.unread == 0 {
            self.first_unread = here;
        }
        self.unread += usize::from(is_there);
        is_there
    }

    /// Gives the messages that were to be read back, in their order, as long as
    /// more are wanted.
    ///
    /// # Errors
    ///
    /// If the file does not have them any more.
    pub(super) fn read_back(&mut self, mut take: impl FnMut(Message) -> bool) -> io::Result<()> {
        let (Place::Open(open) | Place::Broken(Some(open), ..)) = &self.place else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let mut file = &open.file;
        // What is written goes to the end all the same.
        file.seek(SeekFrom::Start(self.first_unread))?;
        let in_file = self.written.saturating_sub(self.first_unread);
        let in_buffer = self.first_unread.saturating_sub(self.written);
        let in_buffer = usize::try_from(in_buffer).map_err(io::Error::other)?;
        let rest = self.buffer.get(in_buffer..).unwrap_or_default();
        let mut lines = BufReader::with_capacity(READ, file.take(in_file).chain(rest));
        let mut line = Vec::new();
        while self.unread > 0 {
            line.clear();
            let bytes = lines.read_until(b'\n', &mut line)?;
            if bytes == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.first_unread += bytes as u64;
            if !line.starts_with(LATER) {
                continue;
            }
            if let Record::Later(message) = serde_json::from_slice(&line)? {
                self.unread -= 1;
                if !take(message) {
                    break;
                }
            }
        }
        if self.unread == 0 && self.is_broken() {
            self.buffer = Vec::new();
        }
        Ok(())
    }

    /// The file did not give what was to be read back. It stays, for a replay.
    pub(super) fn cannot_be_read(&mut self, error: &io::Error) {
        let Some((open, directory, head)) = self.leave() else {
            return;
        };
        tracing::warn!(
            target: "flowcore::prefect",
            "{} things that are to be reported cannot be read back from {}: {error}; `replay` \
             tells what of them can be read",
            self.unread,
            open.as_ref().map_or(&directory, |open| &open.path).display(),
        );
        self.unread = 0;
        self.buffer = Vec::new();
        self.place = Place::Broken(None, directory, head);
    }

    /// Whether the disk has refused.
    pub(super) fn is_broken(&self) -> bool {
        matches!(self.place, Place::Broken(..))
    }

    pub(super) fn note(&mut self, note: &Note) {
        // Without a file there is nothing that it could add to.
        if !self.buffer.is_empty() || matches!(self.place, Place::Open(_)) {
            self.line(&Line::Note(note));
        }
    }

    /// Whether it goes into the file.
    fn line(&mut self, line: &Line<'_>) -> bool {
        if matches!(self.place, Place::Nowhere | Place::Broken(..)) {
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

    /// Gives the lines to the operating system.
    pub(super) fn flush(&mut self) {
        if self.buffer.is_empty() || self.is_broken() {
            return;
        }
        match self.write() {
            Ok(()) => self.written += self.buffer.len() as u64,
            Err(error) => {
                self.give_up(&error);
                if self.unread > 0 {
                    // It is read back from here.
                    return;
                }
            }
        }
        self.buffer.clear();
        // Room for a burst is not kept for ever.
        self.buffer.shrink_to(1 << 16);
    }

    fn write(&mut self) -> io::Result<()> {
        if let Place::Empty(directory, head) = &self.place {
            let (open, written) = create(directory, head)?;
            self.place = Place::Open(open);
            self.written = written;
        }
        match &mut self.place {
            Place::Open(open) => open.file.write_all(&self.buffer),
            _ => Ok(()),
        }
    }

    fn give_up(&mut self, error: &io::Error) {
        let Some((open, directory, head)) = self.leave() else {
            return;
        };
        tracing::warn!(
            target: "flowcore::prefect",
            "what is to be reported cannot be kept in {}: {error}; it is reported all the same, \
             but lost if this process dies before",
            directory.display()
        );
        self.place = Place::Broken(open, directory, head);
    }

    /// The file, if there is one, with its directory and first line.
    fn leave(&mut self) -> Option<(Option<Open>, PathBuf, Head)> {
        match std::mem::replace(&mut self.place, Place::Nowhere) {
            Place::Open(open) => {
                let directory = open.path.parent().unwrap_or(Path::new("")).to_owned();
                let head = open.head.clone();
                Some((Some(open), directory, head))
            }
            Place::Empty(directory, head) => Some((None, directory, head)),
            Place::Broken(open, directory, head) => Some((open, directory, head)),
            Place::Nowhere => None,
        }
    }

    /// Everything is known to be recorded: there is nothing to replay.
    pub(super) fn clear(&mut self) {
        self.buffer.clear();
        self.unread = 0;
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
/// locked: nobody takes it for one that was left behind. How long it is.
fn create(directory: &Path, head: &Head) -> io::Result<(Open, u64)> {
    make_private(directory)?;
    let name = Uuid::now_v7();
    let early = directory.join(format!("{name}.new"));
    let path = directory.join(format!("{name}.{ENDING}"));
    let mut options = OpenOptions::new();
    options.create_new(true).append(true).read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&early)?;
    let ready = begin(&file, head).and_then(|length| fs::rename(&early, &path).map(|()| length));
    match ready {
        Ok(length) => {
            let head = head.clone();
            Ok((Open { file, path, head }, length))
        }
        Err(error) => {
            remove(&early);
            Err(error)
        }
    }
}

fn begin(mut file: &File, head: &Head) -> io::Result<u64> {
    file.try_lock().map_err(io::Error::from)?;
    let mut line = serde_json::to_vec(&Line::Head(head))?;
    line.push(b'\n');
    file.write_all(&line)?;
    Ok(line.len() as u64)
}

fn make_private(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

#[cfg(test)]
impl WriteAhead {
    /// From now on the disk refuses what is written, but gives what it has.
    pub(super) fn fill_disk(&mut self) {
        if let Place::Open(open) = &mut self.place {
            open.file = File::open(&open.path).unwrap();
        }
    }
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

    fn text(message: Message) -> String {
        match message {
            Message::Log(line) => line.message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_waits_in_it_is_read_back_in_its_order_once() {
        let home = tempfile::tempdir().unwrap();
        let head = Head::new("http://server/api".to_owned());
        let mut ahead = WriteAhead::within(home.path().to_owned(), head);
        ahead.message(&line("not this"));
        let mut wanted = Vec::new();
        let mut read = Vec::new();
        for number in 0..20 {
            let later = format!("line {number}\n");
            assert!(ahead.later(&line(&later)));
            wanted.push(later);
            ahead.message(&line("nor this"));
            ahead.flush();
            if number == 12 {
                ahead.fill_disk();
            }
            if number == 13 {
                // The disk has refused it.
                assert!(ahead.is_broken());
                assert!(!ahead.later(&line("no room")));
                break;
            }
            for _ in 0..number % 3 {
                if read.len() < wanted.len() {
                    let one = ahead.read_back(|message| {
                        read.push(text(message));
                        false
                    });
                    one.unwrap();
                }
            }
        }
        assert!(read.len() < wanted.len(), "some are to be read at the end");
        let rest = ahead.read_back(|message| {
            read.push(text(message));
            true
        });
        rest.unwrap();
        assert_eq!(read, wanted);
        assert!(ahead.buffer.is_empty());
        ahead.clear();
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
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
