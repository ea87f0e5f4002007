//! A link to one peer, from the handshake on (protocol, sections 4 and 5).

use std::fmt;
use std::future::Future;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::TcpStream;

use super::address::Scheme;
use super::frames::{self, FrameLimits};
use super::security::Security;
use super::{Address, WireError, msgpack};
use super::{Fields, Value};

/// How long a new link may take from the first packet to the handshake.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Above the size of most messages, so that one needs one system call.
const BUFFER: usize = 64 * 1024;

/// A link to a peer.
///
/// Not cancel-safe: a future of [`Connection::read`], [`Connection::write`] or
/// [`Connection::call`] that is dropped leaves half a message on the link;
/// drop the connection too.
#[derive(Debug)]
pub struct Connection {
    reader: ConnectionReader,
    writer: ConnectionWriter,
    peer: String,
}

/// The half of a link that reads.
pub struct ConnectionReader(BufReader<Box<dyn AsyncRead + Send + Unpin>>);

/// The half of a link that writes.
pub struct ConnectionWriter(BufWriter<Box<dyn AsyncWrite + Send + Unpin>>);

impl fmt::Debug for ConnectionReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionReader")
    }
}

impl fmt::Debug for ConnectionWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionWriter")
    }
}

impl Connection {
    /// Connects to a peer and shakes hands. One attempt: whoever waits for a
    /// peer that is still starting tries again.
    ///
    /// # Errors
    ///
    /// Nobody listens there, no TLS link comes about, the peer is no Dask
    /// peer, or all that takes longer than `timeout`.
    pub async fn connect(
        address: &Address,
        security: &Security,
        timeout: Duration,
    ) -> Result<Self, WireError> {
        within(timeout, &address.to_string(), "answer", async {
            let stream = TcpStream::connect((address.host(), address.port()))
                .await
                .map_err(|source| WireError::Connect {
                    address: address.clone(),
                    source,
                })?;
            stream.set_nodelay(true)?;
            if address.scheme() == Scheme::Tcp {
                return Self::plain(stream, address.to_string()).await;
            }
            let connector = security
                .connector()
                .ok_or_else(|| WireError::NoCertificate {
                    address: address.clone(),
                })?;
            // Only for the extension that tells the server its name: names
            // are not checked.
            let name = rustls::pki_types::ServerName::try_from(address.host().to_owned())
                .unwrap_or_else(|_| std::net::IpAddr::from([127, 0, 0, 1]).into());
            let stream =
                connector
                    .connect(name, stream)
                    .await
                    .map_err(|source| WireError::Tls {
                        address: address.to_string(),
                        source,
                    })?;
            let (reader, writer) = tokio::io::split(stream);
            Self::shake_hands(reader, writer, address.to_string(), true).await
        })
        .await
    }

    pub(super) async fn plain(stream: TcpStream, peer: String) -> Result<Self, WireError> {
        let (reader, writer) = stream.into_split();
        Self::shake_hands(reader, writer, peer, false).await
    }

    /// Both sides send first and read then. We announce no compression, so
    /// that nobody compresses for us, and pickle protocol 4, so that values
    /// come without out-of-band buffers.
    pub(super) async fn shake_hands(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
        peer: String,
        encrypted: bool,
    ) -> Result<Self, WireError> {
        let mut connection = Self {
            reader: ConnectionReader(BufReader::with_capacity(BUFFER, Box::new(reader))),
            writer: ConnectionWriter(BufWriter::with_capacity(BUFFER, Box::new(writer))),
            peer,
        };
        let handshake = Value::map([
            ("compression", Value::Nil),
            ("python", [3, 11, 0].into_iter().collect()),
            ("pickle-protocol", 4.into()),
        ]);
        let shaken = async {
            connection.write(&handshake).await?;
            let answer = connection.read().await?;
            let mut answer = Fields::unnamed("handshake", answer)?;
            answer.unsigned("pickle-protocol")?;
            Ok(())
        };
        match shaken.await {
            Ok(()) => Ok(connection),
            Err(source) => Err(WireError::Handshake {
                address: connection.peer,
                encrypted,
                source: Box::new(source),
            }),
        }
    }

    /// Who is on the other side.
    #[must_use]
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// Reads the next message.
    ///
    /// # Errors
    ///
    /// The link is lost, or what came is no message; the link is of no use
    /// then.
    pub async fn read(&mut self) -> Result<Value, WireError> {
        self.reader.read().await
    }

    /// Writes a message.
    ///
    /// # Errors
    ///
    /// The link is lost, or the message does not fit; in the second case
    /// nothing was written.
    pub async fn write(&mut self, message: &Value) -> Result<(), WireError> {
        self.writer.write(message).await
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    ///
    /// The link is lost, or the peer's handler failed
    /// ([`WireError::Remote`]); after that the link can be used again.
    pub async fn call(&mut self, request: &Value) -> Result<Value, WireError> {
        self.write(request).await?;
        let answer = self.read().await?;
        if answer.get("status").and_then(Value::as_str) == Some("uncaught-error") {
            let mut answer = Fields::unnamed("answer", answer)?;
            let op = request.get("op").and_then(Value::as_str);
            return Err(WireError::Remote {
                address: self.peer.clone(),
                op: op.unwrap_or_default().to_owned(),
                text: answer.string("exception_text").unwrap_or_default(),
            });
        }
        Ok(answer)
    }

    /// The two halves, for streams.
    #[must_use]
    pub fn split(self) -> (ConnectionReader, ConnectionWriter) {
        (self.reader, self.writer)
    }

    /// Whether the link can still be used between two exchanges: neither is
    /// it closed nor has the peer said anything.
    pub(super) fn is_idle(&mut self) -> bool {
        self.reader.0.fill_buf().now_or_never().is_none()
    }
}

impl ConnectionReader {
    /// Reads the next message. Not cancel-safe.
    ///
    /// # Errors
    ///
    /// The link is lost, or what came is no message.
    pub async fn read(&mut self) -> Result<Value, WireError> {
        let frames = frames::read(&mut self.0, FrameLimits::default()).await?;
        Ok(msgpack::decode(&frames)?)
    }
}

impl ConnectionWriter {
    /// Writes a message. Not cancel-safe.
    ///
    /// # Errors
    ///
    /// The link is lost, or the message does not fit; in the second case
    /// nothing was written.
    pub async fn write(&mut self, message: &Value) -> Result<(), WireError> {
        let frames = msgpack::encode(message)?;
        frames::write(&mut self.0, &frames).await?;
        self.0.flush().await?;
        Ok(())
    }

    /// Tells the peer that nothing more comes.
    pub async fn close(mut self) {
        // The peer may be gone already.
        let _ = self.0.shutdown().await;
    }
}

/// The future's result, or an error if it takes longer.
pub(super) async fn within<T>(
    timeout: Duration,
    address: &str,
    what: &'static str,
    future: impl Future<Output = Result<T, WireError>>,
) -> Result<T, WireError> {
    tokio::time::timeout(timeout, future)
        .await
        .unwrap_or_else(|_| {
            Err(WireError::TimedOut {
                address: address.to_owned(),
                what,
                after: timeout,
            })
        })
}
