//! A process that must not outlive the value that stands for it.

use std::io;
use std::ops::{Deref, DerefMut};
use std::process::{Child, Command};

/// A child process; dropping it kills it.
#[derive(Debug)]
pub(super) struct OwnedChild(Child);

impl OwnedChild {
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        command.spawn().map(Self)
    }
}

impl Deref for OwnedChild {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for OwnedChild {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for OwnedChild {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
