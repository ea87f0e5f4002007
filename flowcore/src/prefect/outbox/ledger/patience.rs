//! How often a thing is tried that a server fails at while it does others.

/// With the pauses between them it takes about half a minute.
const TRIES: u32 = 8;

/// With things of one kind, which are tried one after the other.
#[derive(Debug, Default)]
pub(super) struct Patience {
    tries: u32,
    is_over: bool,
}

impl Patience {
    /// The server failed once more; whether the thing is given up. Those after
    /// it are tried once each until one succeeds: a thousand of them would take
    /// hours.
    pub(super) fn ends(&mut self) -> bool {
        self.tries += 1;
        let ends = self.is_over || self.tries >= TRIES;
        if ends {
            self.tries = 0;
        }
        ends
    }

    /// Whether the server has failed at the thing before.
    pub(super) fn is_tried(&self) -> bool {
        self.tries > 0
    }

    /// The thing is lost. Whether that is news.
    pub(super) fn lost(&mut self) -> bool {
        !std::mem::replace(&mut self.is_over, true)
    }

    /// One went well.
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }
}
