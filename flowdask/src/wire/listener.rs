//! Where peers connect to us.

use tokio::net::{TcpListener, TcpStream};

use super::address::Scheme;
use super::connection::{Connection, HANDSHAKE_TIMEOUT, within};
use super::{Address, Security, WireError};

/// A port that peers connect to.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    security: Security,
    address: Address,
}

/// A peer that has connected; nothing is said yet.
#[derive(Debug)]
pub struct Incoming {
    stream: TcpStream,
    peer: String,
    security: Security,
}

impl Listener {
    /// Listens on this host and port; port 0 takes a free one. With
    /// certificates in `security` only TLS links are taken.
    ///
    /// # Errors
    ///
    /// The port is taken, or the host is none of this machine's.
    pub async fn bind(host: &str, port: u16, security: &Security) -> Result<Self, WireError> {
        let error = |source| WireError::Listen {
            host: host.to_owned(),
            port,
            source,
        };
        let listener = TcpListener::bind((host, port)).await.map_err(error)?;
        let bound = listener.local_addr().map_err(error)?;
        let scheme = if security.is_encrypted() {
            Scheme::Tls
        } else {
            Scheme::Tcp
        };
        Ok(Self {
            listener,
            security: security.clone(),
            address: Address::new(scheme, bound.ip().to_string(), bound.port()),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The next peer. Cancel-safe.
    ///
    /// # Errors
    ///
    /// The system cannot give more connections now; later it may.
    pub async fn accept(&self) -> Result<Incoming, WireError> {
        let (stream, peer) = self.listener.accept().await?;
        Ok(Incoming {
            stream,
            peer: format!("{}://{peer}", self.address.scheme()),
            security: self.security.clone(),
        })
    }
}

impl Incoming {
    /// Shakes hands, in a task of its own: a peer may take its time.
    ///
    /// # Errors
    ///
    /// It is no Dask peer, has no certificate of the cluster's authority, or
    /// is silent for 10 s.
    pub async fn handshake(self) -> Result<Connection, WireError> {
        let peer = self.peer.clone();
        within(HANDSHAKE_TIMEOUT, &peer, "shake hands", async {
            self.stream.set_nodelay(true)?;
            let Some(acceptor) = self.security.acceptor() else {
                return Connection::plain(self.stream, self.peer).await;
            };
            let stream = acceptor
                .accept(self.stream)
                .await
                .map_err(|source| WireError::Tls {
                    address: self.peer.clone(),
                    source,
                })?;
            let (reader, writer) = tokio::io::split(stream);
            Connection::shake_hands(reader, writer, self.peer, true).await
        })
        .await
    }
}
