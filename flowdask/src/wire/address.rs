//! Where a peer listens.

use std::fmt;
use std::str::FromStr;

/// How the bytes of a link travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// Plain TCP.
    Tcp,
    /// TLS, both sides with a certificate.
    Tls,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        })
    }
}

/// The address of a scheduler or worker: `tcp://host:port` or
/// `tls://host:port`.
///
/// ```
/// use flowdask::wire::Address;
///
/// let address: Address = "tcp://10.0.0.5:8786".parse()?;
/// assert_eq!(address.port(), 8786);
/// assert_eq!(address.to_string(), "tcp://10.0.0.5:8786");
/// # Ok::<(), flowdask::wire::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    scheme: Scheme,
    host: String,
    port: u16,
}

/// The text is no address of a Dask peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no address of a Dask scheduler or worker ({reason}): write it like tcp://10.0.0.5:8786"
)]
pub struct AddressError {
    text: String,
    reason: &'static str,
}

/// The port of a scheduler whose address names none.
const SCHEDULER_PORT: u16 = 8786;

impl Address {
    /// An address of these parts.
    #[must_use]
    pub fn new(scheme: Scheme, host: impl Into<String>, port: u16) -> Self {
        Self {
            scheme,
            host: host.into(),
            port,
        }
    }

    /// How the bytes travel.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host's name or IP address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = |reason| AddressError {
            text: text.to_owned(),
            reason,
        };
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        let scheme = match scheme {
            "tcp" => Scheme::Tcp,
            "tls" => Scheme::Tls,
            "http" | "https" => return Err(error("that is a dashboard's or web server's scheme")),
            _ => return Err(error("only the schemes tcp and tls are known")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.rsplit_once(':') {
            // Colons inside of brackets are those of an IPv6 address.
            Some((host, port)) if !port.contains(']') => {
                let port = port.parse().map_err(|_| error("the port is no number"))?;
                (host, port)
            }
            _ => (rest, SCHEDULER_PORT),
        };
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        if host.is_empty() {
            return Err(error("it names no host"));
        }
        Ok(Self::new(scheme, host, port))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port } = self;
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{host}:{port}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_print_as_they_are_written() {
        for text in [
            "tcp://10.0.0.5:41234",
            "tls://node-7:8786",
            "tcp://[::1]:8786",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        let short: Address = "localhost".parse().unwrap();
        assert_eq!(short.to_string(), "tcp://localhost:8786");
    }

    #[test]
    fn what_is_no_address_says_why() {
        for (text, reason) in [
            ("http://localhost:8787", "dashboard"),
            ("ucx://a:1", "only the schemes"),
            ("tcp://:8786", "no host"),
            ("tcp://a:b", "no number"),
            ("tcp://a:70000", "no number"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains(text), "{error}");
        }
    }
}
