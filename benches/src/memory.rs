//! The memory of processes, as the operating system counts it.
//!
//! Only Linux tells the peak and lets it be reset without foreign code, so the
//! figures are missing elsewhere.

use std::fs;

/// Watches the peak of the resident memory from a moment on.
#[derive(Debug)]
pub struct Peak {
    before: Option<u64>,
}

impl Peak {
    /// Starts to watch.
    #[must_use]
    pub fn start() -> Self {
        // "5" sets the peak back to what is resident now.
        let reset = fs::write("/proc/self/clear_refs", "5");
        Self {
            before: reset.ok().and_then(|()| own("VmRSS:")),
        }
    }

    /// The most bytes that were resident since then, beyond those resident
    /// then.
    #[must_use]
    pub fn bytes_above_start(&self) -> Option<u64> {
        Some(own("VmHWM:")?.saturating_sub(self.before?))
    }
}

/// The most bytes that were ever resident.
#[must_use]
pub fn peak_bytes() -> Option<u64> {
    own("VmHWM:")
}

/// The bytes that are resident now, of the process with this id.
#[must_use]
pub fn resident_bytes(process: u32) -> Option<u64> {
    status(&process.to_string(), "VmRSS:")
}

fn own(key: &str) -> Option<u64> {
    status("self", key)
}

/// A line of a process's status, in bytes.
fn status(process: &str, key: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::hint::black_box;

    use super::Peak;

    #[test]
    fn memory_that_was_freed_again_is_counted() {
        const SIZE: usize = 64 << 20;
        let peak = Peak::start();
        drop(black_box(vec![1_u8; SIZE]));
        let bytes = peak.bytes_above_start().expect("Linux tells");
        assert!(bytes > SIZE as u64 * 9 / 10, "{bytes} bytes");
    }
}
