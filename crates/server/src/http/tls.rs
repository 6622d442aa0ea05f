//! TLS with a certificate of our own, for addresses that others reach.

use std::{net::SocketAddr, path::Path, sync::Arc};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use sha2::{Digest as _, Sha256};

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("set up TLS: {0}")]
pub(crate) struct TlsError(String);

/// A configuration and what to compare in the browser.
#[derive(Debug)]
pub(super) struct Tls {
    pub(super) config: Arc<ServerConfig>,
    /// SHA-256 of the certificate.
    pub(super) fingerprint: String,
}

/// Reads the certificate in `directory`, or makes one.
pub(super) fn load(
    directory: &Path,
    listen: SocketAddr,
    names: &[String],
) -> Result<Tls, TlsError> {
    let certificate_path = directory.join("certificate.pem");
    let key_path = directory.join("key.pem");
    if !(certificate_path.exists() && key_path.exists()) {
        let mut all = vec![
            "localhost".to_owned(),
            "127.0.0.1".to_owned(),
            listen.ip().to_string(),
        ];
        all.push(crate::capabilities::host().hostname);
        all.extend(names.iter().cloned());
        all.retain(|name| !name.is_empty());
        let made = rcgen::generate_simple_self_signed(all).map_err(|e| TlsError(e.to_string()))?;
        crate::files::write_private(&key_path, made.signing_key.serialize_pem().as_bytes())
            .and_then(|()| {
                crate::files::write_private(&certificate_path, made.cert.pem().as_bytes())
            })
            .map_err(|e| TlsError(format!("write {}: {e}", directory.display())))?;
    }
    let wrong = |path: &Path| {
        let path = path.display().to_string();
        move |e: rustls::pki_types::pem::Error| TlsError(format!("read {path}: {e}"))
    };
    let certificate =
        CertificateDer::from_pem_file(&certificate_path).map_err(wrong(&certificate_path))?;
    let key = PrivateKeyDer::from_pem_file(&key_path).map_err(wrong(&key_path))?;
    let digest = Sha256::digest(certificate.as_ref());
    let fingerprint = digest
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect::<Vec<_>>()
        .join(":");
    let mut config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| TlsError(e.to_string()))?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .map_err(|e| TlsError(e.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Tls {
        config: Arc::new(config),
        fingerprint,
    })
}
