//! How long the processors have worked for processes.
//!
//! Where something else runs beside a benchmark, this moves less than the time on
//! the clock. Only Linux tells it without foreign code.

use std::fs;

/// The parts of a second that Linux counts in, whatever the machine.
const TICKS: f64 = 100.0;

/// The seconds that all threads of this process have worked, in its own code and
/// in the operating system's.
#[must_use]
pub fn seconds() -> Option<f64> {
    parse(&fs::read_to_string("/proc/self/stat").ok()?, OWN)
}

/// The same of the process with this id.
#[must_use]
pub fn seconds_of(process: u32) -> Option<f64> {
    parse(
        &fs::read_to_string(format!("/proc/{process}/stat")).ok()?,
        OWN,
    )
}

/// The same of all child processes that this one has waited for, and theirs.
#[must_use]
pub fn children_seconds() -> Option<f64> {
    parse(&fs::read_to_string("/proc/self/stat").ok()?, CHILDREN)
}

/// Where the times stand, after the program's name: the 14th field and the one
/// after it.
const OWN: usize = 11;
/// And of children: the 16th and the one after it.
const CHILDREN: usize = 13;

fn parse(stat: &str, place: usize) -> Option<f64> {
    // The second field is the program's name in parentheses and may hold spaces.
    let (_, fields) = stat.rsplit_once(')')?;
    let times = fields.split_whitespace().skip(place).take(2);
    let ticks: Vec<f64> = times.map(str::parse).collect::<Result<_, _>>().ok()?;
    match ticks[..] {
        [user, system] => Some((user + system) / TICKS),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{CHILDREN, OWN, parse};

    #[test]
    fn names_may_hold_spaces_and_parentheses() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 5 0 0 0 250 130 70 30 20 0 1 0 8 9 9";
        assert_eq!(parse(stat, OWN), Some(3.8));
        assert_eq!(parse(stat, CHILDREN), Some(1.0));
        assert_eq!(parse("7 (cut off) S 1", OWN), None);
    }
}
