//! Certificates for `tls://` links.
//!
//! Dask's TLS is mutual, and checks that a certificate is signed by the
//! cluster's authority, not whose name is in it (protocol, section 13).

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig,
    SignatureScheme,
};

/// What a peer needs for `tls://` addresses; by default nothing, for `tcp://`.
///
/// ```no_run
/// use flowdask::wire::Security;
///
/// let security = Security::tls_files("ca.pem", "node.pem", "node-key.pem")?;
/// # Ok::<(), flowdask::wire::SecurityError>(())
/// ```
#[derive(Clone, Default)]
pub struct Security {
    tls: Option<Arc<Tls>>,
}

struct Tls {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

/// Certificates or keys that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecurityError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The text holds no certificate or no key.
    #[error("the {what} is no PEM text with {wanted}")]
    Pem {
        /// What was read.
        what: &'static str,
        /// What was expected in it.
        wanted: &'static str,
        /// What is wrong.
        #[source]
        source: Option<rustls::pki_types::pem::Error>,
    },
    /// The parts do not fit together.
    #[error(
        "the certificates cannot be used: the key must be the certificate's, and the authority's certificate valid"
    )]
    Unusable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Security {
    /// TLS with an authority, a certificate and its key, from PEM files.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or holds something else.
    pub fn tls_files(
        authority: impl AsRef<Path>,
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, SecurityError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|source| SecurityError::Read {
                path: path.to_owned(),
                source,
            })
        };
        Self::tls_pem(
            &read(authority.as_ref())?,
            &read(certificate.as_ref())?,
            &read(key.as_ref())?,
        )
    }

    /// TLS with an authority, a certificate and its key, as PEM text.
    ///
    /// # Errors
    ///
    /// The texts hold something else, or do not fit together.
    pub fn tls_pem(
        authority: &[u8],
        certificate: &[u8],
        key: &[u8],
    ) -> Result<Self, SecurityError> {
        let mut roots = RootCertStore::empty();
        for root in certificates("authority's certificate", authority)? {
            roots.add(root).map_err(unusable)?;
        }
        let roots = Arc::new(roots);
        let chain = certificates("certificate", certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|source| SecurityError::Pem {
            what: "key",
            wanted: "a private key",
            source: Some(source),
        })?;
        let provider = Arc::new(ring::default_provider());

        let verifier = ChainVerifier::new(&roots, &provider)?;
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .map_err(unusable)?;

        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .build()
            .map_err(unusable)?;
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(unusable)?;
        Ok(Self {
            tls: Some(Arc::new(Tls {
                client: Arc::new(client),
                server: Arc::new(server),
            })),
        })
    }

    /// Whether links are encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    pub(super) fn connector(&self) -> Option<tokio_rustls::TlsConnector> {
        let tls = self.tls.as_ref()?;
        Some(Arc::clone(&tls.client).into())
    }

    pub(super) fn acceptor(&self) -> Option<tokio_rustls::TlsAcceptor> {
        let tls = self.tls.as_ref()?;
        Some(Arc::clone(&tls.server).into())
    }
}

/// Keys are secret.
impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_encrypted() {
            "Security(tls)"
        } else {
            "Security(none)"
        })
    }
}

fn certificates(
    what: &'static str,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, SecurityError> {
    let error = |source| SecurityError::Pem {
        what,
        wanted: "a certificate",
        source,
    };
    let chain = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| error(Some(source)))?;
    if chain.is_empty() {
        return Err(error(None));
    }
    Ok(chain)
}

fn unusable(error: impl std::error::Error + Send + Sync + 'static) -> SecurityError {
    SecurityError::Unusable(Box::new(error))
}

/// Checks the chain of a server's certificate, as Dask does, not its name.
#[derive(Debug)]
struct ChainVerifier(Arc<WebPkiServerVerifier>);

impl ChainVerifier {
    fn new(
        roots: &Arc<RootCertStore>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, SecurityError> {
        WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider))
            .build()
            .map(Self)
            .map_err(unusable)
    }
}

impl ServerCertVerifier for ChainVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict = self
            .0
            .verify_server_cert(certificate, intermediates, name, ocsp, now);
        match verdict {
            // The name is looked at after the chain was found good.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
