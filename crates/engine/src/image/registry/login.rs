//! Checking credentials against a registry: `docker login`.

use reqwest::{StatusCode, Url};

use super::{Credentials, RegistryClient, Repository};
use crate::{
    error::{EngineError, Result},
    image::{ImageStore, Reference},
};

/// Docker's clients call its hub by this address.
const HUB_ADDRESS: &str = "https://index.docker.io/v1/";

impl ImageStore {
    /// Signs in at a registry, named as clients do: by host, by URL, by nothing for Docker's hub. Nothing is kept.
    ///
    /// # Errors
    /// `Unauthorized` in Docker's words when the registry does not know them, `Unavailable` when it cannot be reached.
    pub(crate) async fn sign_in(&self, server: &str, credentials: Credentials) -> Result<()> {
        self.registry.sign_in(server, credentials).await
    }
}

impl RegistryClient {
    async fn sign_in(&self, server: &str, credentials: Credentials) -> Result<()> {
        let reference = registry_named(server)?;
        let mut problem = None;
        for base in self.endpoints(&reference)? {
            let root = base
                .join("/v2/")
                .map_err(|error| EngineError::Invalid(format!("invalid registry: {error}")))?;
            let repository = self.repository(base, &reference, &credentials);
            match repository.knows_credentials(&root).await {
                Ok(true) => return Ok(()),
                Ok(false) => {
                    return Err(EngineError::Unauthorized(format!(
                        "Get \"{root}\": unauthorized: incorrect username or password"
                    )));
                }
                Err(error) => {
                    problem.get_or_insert(error);
                }
            }
        }
        Err(problem.unwrap_or_else(|| EngineError::Invalid("no registry to ask".into())))
    }
}

impl Repository {
    async fn knows_credentials(&self, root: &Url) -> Result<bool> {
        let response = match self.get_at(root, |request| request).await {
            Ok(response) => response,
            // The token service has said no.
            Err(EngineError::NotFound(_) | EngineError::Unauthorized(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Ok(false),
            status if status.is_success() => Ok(true),
            status => Err(EngineError::Unavailable(format!(
                "get {root}: the registry answers {status}"
            ))),
        }
    }
}

/// A repository at the registry, which one does not matter.
fn registry_named(server: &str) -> Result<Reference> {
    let name = if server.is_empty() || server == HUB_ADDRESS {
        "docker.io"
    } else {
        let host = server
            .strip_prefix("https://")
            .or_else(|| server.strip_prefix("http://"))
            .unwrap_or(server);
        host.split('/').next().unwrap_or_default()
    };
    format!("{name}/login/check")
        .parse()
        .map_err(|_reference| EngineError::Invalid(format!("invalid registry address: {server:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_named_in_many_ways() {
        for (server, domain) in [
            ("", "docker.io"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("docker.io", "docker.io"),
            ("ghcr.io", "ghcr.io"),
            ("https://ghcr.io/v2/", "ghcr.io"),
            ("http://127.0.0.1:5000", "127.0.0.1:5000"),
            ("localhost:5000", "localhost:5000"),
        ] {
            assert_eq!(registry_named(server).unwrap().domain(), domain, "{server}");
        }
        assert!(registry_named("a b").is_err());
    }
}
