//! The token that a server wants to see on what changes something. Source:
//! `api.md` 2.3.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

/// What is known of the server's wish.
#[derive(Debug)]
pub(super) struct Csrf {
    client: String,
    state: State,
}

#[derive(Debug)]
enum State {
    /// To be asked for.
    Unknown,
    /// The server wants none.
    Off,
    Known(Token),
}

struct Token {
    token: String,
    expiration: Timestamp,
}

#[derive(Deserialize)]
struct Answer {
    token: String,
    expiration: String,
}

/// Without the token.
impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "valid until {}", self.expiration)
    }
}

impl Csrf {
    pub(super) fn new(is_supported: bool) -> Self {
        Self {
            client: uuid::Uuid::new_v4().to_string(),
            state: if is_supported {
                State::Unknown
            } else {
                State::Off
            },
        }
    }

    /// Where to ask for a token, if there is none that will do.
    pub(super) fn path(&self, now: Timestamp) -> Option<String> {
        let soon = now.saturating_add(SignedDuration::from_secs(5));
        let is_needed = match &self.state {
            State::Unknown => true,
            State::Off => false,
            State::Known(token) => soon.is_ok_and(|soon| token.expiration <= soon),
        };
        is_needed.then(|| format!("/csrf-token?client={}", self.client))
    }

    /// Takes the server's token. An answer that holds none is that of a
    /// server that wants none.
    pub(super) fn answered(&mut self, text: &str) {
        let token = serde_json::from_str(text).ok().and_then(|answer: Answer| {
            Some(Token {
                token: answer.token,
                expiration: answer.expiration.parse().ok()?,
            })
        });
        self.state = token.map_or(State::Off, State::Known);
    }

    pub(super) fn is_off(&mut self) {
        self.state = State::Off;
    }

    /// The server did not take the token.
    pub(super) fn forget(&mut self) {
        self.state = State::Unknown;
    }

    /// Token and client, as headers.
    pub(super) fn headers(&self) -> Option<(String, String)> {
        match &self.state {
            State::Known(token) => Some((token.token.clone(), self.client.clone())),
            State::Unknown | State::Off => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_asked_for_when_there_is_none_that_will_do() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let mut csrf = Csrf::new(true);
        assert!(csrf.path(now).unwrap().starts_with("/csrf-token?client="));
        csrf.answered(r#"{"token":"t","client":"c","expiration":"2026-11-23T13:00:00Z"}"#);
        assert_eq!(csrf.path(now), None);
        assert_eq!(csrf.headers().unwrap().0, "t");
        assert!(!format!("{csrf:?}").contains("\"t\""));
        let later: Timestamp = "2026-11-23T12:59:58Z".parse().unwrap();
        assert!(csrf.path(later).is_some());
        csrf.forget();
        assert!(csrf.path(now).is_some() && csrf.headers().is_none());
        csrf.is_off();
        assert_eq!(csrf.path(now), None);
        assert_eq!(Csrf::new(false).path(now), None);
    }
}
