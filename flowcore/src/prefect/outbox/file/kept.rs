//! The file itself: private to its user, and locked as long as it is open.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::record::{Head, Line};

/// How files end that may be replayed.
pub(crate) const ENDING: &str = "log";

#[derive(Debug)]
pub(super) struct Kept {
    pub(super) file: File,
    pub(super) path: PathBuf,
}

impl Kept {
    /// Makes the file, with its first line. It has another name until it is
    /// locked: nobody takes it for one that was left behind.
    pub(super) fn new(directory: &Path, head: &Head) -> io::Result<Self> {
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
        match ready {
            Ok(()) => Ok(Self { file, path }),
            Err(error) => {
                remove(&early);
                Err(error)
            }
        }
    }

    /// How many bytes it has.
    pub(super) fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Whether its process was stopped in the middle of a line.
    pub(super) fn is_torn(&self) -> io::Result<bool> {
        let mut last = [0];
        let mut file = &self.file;
        // What is written goes to the end all the same.
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        Ok(last != *b"\n")
    }

    pub(super) fn remove(self) {
        remove(&self.path);
    }
}

/// Should it stay, a replay finds that there is nothing to do.
fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::debug!(target: "flowcore::prefect", "{}: {error}", path.display());
    }
}

fn begin(mut file: &File, head: &Head) -> io::Result<()> {
    file.try_lock().map_err(io::Error::from)?;
    let mut line = serde_json::to_vec(&Line::Head(head))?;
    line.push(b'\n');
    file.write_all(&line)
}

fn make_private(directory: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}
