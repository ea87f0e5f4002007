//! Certificates for a cluster that talks by TLS.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// An authority that nobody else knows, and a certificate that it signed: PEM
/// files. Scheduler, workers and clients all take the same certificate.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The authority's certificate.
    pub authority: PathBuf,
    /// The certificate.
    pub certificate: PathBuf,
    /// The certificate's key.
    pub key: PathBuf,
}

impl Tls {
    /// Makes an authority and a certificate, with their files in this directory.
    ///
    /// # Panics
    ///
    /// If the files cannot be written.
    #[must_use]
    pub fn make(directory: &Path) -> Self {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Else both certificates have one name, and pass for self-signed.
        let name = DnType::CommonName;
        authority.distinguished_name.push(name, "authority");
        let key = KeyPair::generate().expect("a key");
        let authority = CertifiedIssuer::self_signed(authority, key).expect("an authority");
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])
            .and_then(|certificate| certificate.signed_by(&key, &authority))
            .expect("a certificate");
        let write = |name: &str, text: String| {
            let path = directory.join(name);
            fs::write(&path, text).expect("a directory to write to");
            path
        };
        Self {
            authority: write("ca.pem", authority.pem()),
            certificate: write("node.pem", certificate.pem()),
            key: write("node-key.pem", key.serialize_pem()),
        }
    }

    /// The options of `dask scheduler` and `dask worker`.
    pub(super) fn arguments(&self) -> [OsString; 6] {
        [
            "--tls-ca-file".into(),
            self.authority.clone().into(),
            "--tls-cert".into(),
            self.certificate.clone().into(),
            "--tls-key".into(),
            self.key.clone().into(),
        ]
    }
}
