//! What goes wrong between two peers.

use std::io;
use std::time::Duration;

use super::frames::FrameError;
use super::msgpack::{EncodeError, MessageError};
use super::{Address, FieldError};

/// A link to a peer failed, or what the peer said cannot be understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// Nobody answers at this address.
    #[error(
        "cannot connect to {address}: is a scheduler or worker listening there, and reachable from here?"
    )]
    Connect {
        /// Where.
        address: Address,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The peer takes too long.
    #[error("{address} did not {what} within {after:?}")]
    TimedOut {
        /// Who.
        address: String,
        /// What it was to do.
        what: &'static str,
        /// The time it had.
        after: Duration,
    },
    /// The other side of a new link is no Dask peer, or not one of this kind.
    #[error("{address} is no Dask peer, or not one for such links{}", hint(*.encrypted))]
    Handshake {
        /// Who.
        address: String,
        /// Whether the link is encrypted.
        encrypted: bool,
        /// What it did.
        #[source]
        source: Box<WireError>,
    },
    /// An address begins with `tls://`, and there is no certificate.
    #[error(
        "{address} wants TLS: give a `Security` with the cluster's authority, a certificate and its key"
    )]
    NoCertificate {
        /// Where.
        address: Address,
    },
    /// TLS failed: most often the certificates are of different authorities.
    #[error("no TLS link with {address}: are both certificates signed by the cluster's authority?")]
    Tls {
        /// Who.
        address: String,
        /// What was wrong.
        #[source]
        source: io::Error,
    },
    /// This process cannot listen there.
    #[error("cannot listen on {host}:{port}")]
    Listen {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The peer ended the link.
    #[error("the link is closed")]
    Closed,
    /// The link broke.
    #[error("the link is broken")]
    Broken(#[source] io::Error),
    /// What came is no message.
    #[error(transparent)]
    Frames(FrameError),
    /// What came is no message.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// A message does not fit.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A message has other members than expected.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The peer's handler failed.
    #[error("{address} failed at `{op}`: {text}")]
    Remote {
        /// Who.
        address: String,
        /// What was asked.
        op: String,
        /// What it said.
        text: String,
    },
}

fn hint(encrypted: bool) -> &'static str {
    if encrypted {
        ""
    } else {
        " (a tls:// scheduler ends tcp:// links like this)"
    }
}

impl From<FrameError> for WireError {
    fn from(error: FrameError) -> Self {
        if error.is_end() {
            return Self::Closed;
        }
        match error {
            FrameError::Io(error) => Self::from(error),
            error => Self::Frames(error),
        }
    }
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

impl WireError {
    /// Whether the link is gone, as opposed to a peer that answers with an
    /// error.
    #[must_use]
    pub fn is_lost_link(&self) -> bool {
        !matches!(self, Self::Remote { .. } | Self::Encode(_))
    }
}
