//! A way to a server through TLS, as a proxy in front of it ends it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::dask::Tls;

/// A proxy that ends TLS and hears what passes. Dropping it closes its port.
#[derive(Debug)]
pub struct TlsWay {
    address: SocketAddr,
    /// What clients sent, connection by connection.
    heard: Arc<Heard>,
    _end: oneshot::Sender<()>,
}

type Heard = Mutex<Vec<Vec<u8>>>;

impl TlsWay {
    /// A way to the server at this address, which shows this certificate.
    ///
    /// # Panics
    ///
    /// If there is no free port, or the certificate is none.
    #[must_use]
    pub fn to(server: SocketAddr, tls: &Tls) -> Self {
        let certificate = CertificateDer::from_pem_file(&tls.certificate).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(&tls.key).expect("a key");
        let configuration = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("they belong together");
        let acceptor = TlsAcceptor::from(Arc::new(configuration));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (end, ended) = oneshot::channel();
        let heard = Arc::new(Heard::default());
        let hearing = Arc::clone(&heard);
        thread::spawn(move || {
            let serve = async {
                while let Ok((client, _)) = listener.accept().await {
                    let (acceptor, heard) = (acceptor.clone(), Arc::clone(&hearing));
                    // What ends early on either side is the client's business.
                    tokio::spawn(async move { pass(client, &acceptor, server, &heard).await });
                }
            };
            runtime.block_on(async {
                tokio::select! {
                    () = serve => {}
                    _ = ended => {}
                }
            });
        });
        Self {
            address,
            heard,
            _end: end,
        }
    }

    /// What `PREFECT_API_URL` is set to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}/api", self.address)
    }

    /// The heads of all requests that came, sockets among them, in small
    /// letters.
    #[must_use]
    pub fn heads(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.iter().flat_map(|bytes| heads(bytes)).collect()
    }
}

async fn pass(
    client: TcpStream,
    acceptor: &TlsAcceptor,
    server: SocketAddr,
    heard: &Heard,
) -> io::Result<()> {
    let client = acceptor.accept(client).await?;
    let mut server = TcpStream::connect(server).await?;
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_server, mut to_server) = server.split();
    let connection = {
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push(Vec::new());
        heard.len() - 1
    };
    let there = async {
        let mut bytes = [0; 1 << 14];
        loop {
            let count = from_client.read(&mut bytes).await?;
            if count == 0 {
                return to_server.shutdown().await;
            }
            let bytes = &bytes[..count];
            heard.lock().unwrap_or_else(PoisonError::into_inner)[connection].extend(bytes);
            to_server.write_all(bytes).await?;
        }
    };
    let back = async {
        tokio::io::copy(&mut from_server, &mut to_client).await?;
        to_client.shutdown().await
    };
    tokio::try_join!(there, back).map(drop)
}

/// The heads of requests, one after the other on one connection.
fn heads(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let ends = text.match_indices(" HTTP/1.1\r\n");
    let heads = ends.filter_map(|(end, _)| {
        let methods = ["GET /", "POST /", "PATCH /", "DELETE /"].iter();
        let begin = methods
            .filter_map(|method| text[..end].rfind(method))
            .max()?;
        let length = text[begin..].find("\r\n\r\n")?;
        Some(text[begin..begin + length].to_ascii_lowercase())
    });
    heads.collect()
}

#[cfg(test)]
mod tests {
    use super::heads;

    #[test]
    fn heads_are_found_between_bodies() {
        let bytes = b"POST /a HTTP/1.1\r\nX: Y\r\n\r\n{\"GET \": 1}GET /b HTTP/1.1\r\n\r\n\x81\xff";
        assert_eq!(
            heads(bytes),
            ["post /a http/1.1\r\nx: y", "get /b http/1.1"]
        );
    }
}
