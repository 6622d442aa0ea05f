//! A client of registries (OCI distribution-spec, Docker registry v2): manifests and blobs, with the dance of
//! authentication.
//!
//! Plain HTTP is spoken only with registries on this host and those that the settings name. Credentials go to no other
//! host than the registry and the token service it names over TLS.

mod login;

use std::{fmt, net::IpAddr, sync::Mutex, time::Duration};

use base64::Engine as _;
use reqwest::{Method, Response, StatusCode, Url, header};
use serde::Deserialize;

use super::{
    ImageStore,
    config::null_as_default,
    digest::{Digest, Hasher},
    manifest::{ACCEPTED, MAX_MANIFEST_BYTES},
    reference::Reference,
};
use crate::error::{EngineError, Result};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A registry that sends nothing for so long is taken for dead.
const READ_TIMEOUT: Duration = Duration::from_secs(45);
const MAX_ANSWER_BYTES: u64 = 1 << 20;

/// How registries are reached.
#[derive(Clone, Debug, Default)]
pub(crate) struct RegistrySettings {
    /// Hosts (with port) that may be spoken to over plain HTTP. Those of this machine always may.
    pub(crate) insecure: Vec<String>,
    /// Base URLs asked before `docker.io` for its images.
    pub(crate) mirrors: Vec<String>,
}

/// Who asks a registry.
#[derive(Clone, Default, Deserialize)]
pub(crate) struct Credentials {
    #[serde(default, deserialize_with = "null_as_default")]
    username: String,
    #[serde(default, deserialize_with = "null_as_default")]
    password: String,
    #[serde(
        default,
        rename = "identitytoken",
        deserialize_with = "null_as_default"
    )]
    identity_token: String,
    /// The token of a registry itself, instead of all others.
    #[serde(
        default,
        rename = "registrytoken",
        deserialize_with = "null_as_default"
    )]
    registry_token: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl Credentials {
    /// Reads `X-Registry-Auth`: JSON in base64, with or without padding. What cannot be read means nobody.
    pub(crate) fn from_header(value: Option<&str>) -> Self {
        let trimmed = value.unwrap_or_default().trim().trim_end_matches('=');
        let url_safe = trimmed.replace('+', "-").replace('/', "_");
        base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(url_safe)
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok())
            .unwrap_or_default()
    }
}

/// The client, shared by all pulls.
#[derive(Debug)]
pub(crate) struct RegistryClient {
    /// By way of the proxy of the environment, if any.
    outside: reqwest::Client,
    /// For registries on this host.
    inside: reqwest::Client,
    settings: RegistrySettings,
}

/// A manifest or index as a registry gave it.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) bytes: Vec<u8>,
    pub(super) digest: Digest,
    pub(super) media_type: String,
}

/// One repository of one registry.
#[derive(Debug)]
pub(super) struct Repository {
    http: reqwest::Client,
    base: Url,
    reference: Reference,
    credentials: Credentials,
    authorization: Mutex<Option<String>>,
}

impl ImageStore {
    /// Fetches what is at an address. The answer is a good one; its body is still to be read.
    ///
    /// # Errors
    /// `Invalid` for an address that is none, `Unavailable` when it cannot be had.
    pub(crate) async fn download(&self, address: &str) -> Result<reqwest::Response> {
        let url = Url::parse(address)
            .map_err(|error| EngineError::Invalid(format!("invalid address: {error}")))?;
        let local = url.host_str().is_some_and(is_local);
        let registry = &self.registry;
        let http = if local {
            &registry.inside
        } else {
            &registry.outside
        };
        http.get(url)
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .map_err(|error| EngineError::Unavailable(error.without_url().to_string()))
    }
}

impl RegistryClient {
    /// Makes the client. Nothing is reached yet.
    pub(crate) fn new(settings: RegistrySettings) -> Result<Self> {
        // Someone else in this process may have chosen one already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("containeros/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_TIMEOUT)
                .read_timeout(READ_TIMEOUT)
                .redirect(reqwest::redirect::Policy::custom(|attempt| {
                    let from_tls = attempt
                        .previous()
                        .last()
                        .is_some_and(|url| url.scheme() == "https");
                    if attempt.previous().len() > 10
                        || (from_tls && attempt.url().scheme() != "https")
                    {
                        attempt.stop()
                    } else {
                        attempt.follow()
                    }
                }))
        };
        let made = EngineError::io::<reqwest::Error>;
        Ok(Self {
            outside: builder().build().map_err(made("make", "HTTP client"))?,
            inside: builder()
                .no_proxy()
                .build()
                .map_err(EngineError::io("make", "HTTP client"))?,
            settings,
        })
    }

    /// Finds the registry that has `reference`, and what the reference means there: mirrors first, TLS first.
    ///
    /// # Errors
    /// `NotFound` in Docker's words when it does not exist or may not be read.
    pub(super) async fn find(
        &self,
        reference: &Reference,
        credentials: &Credentials,
    ) -> Result<(Repository, Fetched)> {
        let mut refused = None;
        for base in self.endpoints(reference)? {
            let repository = self.repository(base, reference, credentials);
            let target = match (reference.digest(), reference.tag()) {
                (Some(digest), _) => digest.to_string(),
                (None, tag) => tag.unwrap_or("latest").to_owned(),
            };
            match repository.manifest(&target).await {
                Ok(fetched) => return Ok((repository, fetched)),
                // An answer weighs more than none: the first one is told.
                Err(error @ (EngineError::NotFound(_) | EngineError::Unauthorized(_))) => {
                    if !matches!(refused, Some(EngineError::NotFound(_))) {
                        refused = Some(error);
                    }
                }
                Err(error) => {
                    refused.get_or_insert(error);
                }
            }
        }
        Err(refused.unwrap_or_else(|| EngineError::Invalid("no registry to ask".into())))
    }

    /// The ways to the registry itself, for whoever writes to it: TLS first.
    ///
    /// # Errors
    /// `Invalid` for a registry that cannot be one.
    pub(super) fn repositories(
        &self,
        reference: &Reference,
        credentials: &Credentials,
    ) -> Result<Vec<Repository>> {
        let mirrors = &self.settings.mirrors;
        let is_mirror = |base: &Url| {
            mirrors
                .iter()
                .any(|mirror| Url::parse(mirror).is_ok_and(|mirror| mirror == *base))
        };
        let bases = self.endpoints(reference)?.into_iter();
        Ok(bases
            .filter(|base| !is_mirror(base))
            .map(|base| self.repository(base, reference, credentials))
            .collect())
    }

    fn repository(
        &self,
        base: Url,
        reference: &Reference,
        credentials: &Credentials,
    ) -> Repository {
        let local = base.host_str().is_some_and(is_local);
        Repository {
            http: if local { &self.inside } else { &self.outside }.clone(),
            base,
            reference: reference.clone(),
            credentials: credentials.clone(),
            authorization: Mutex::new(None),
        }
    }

    fn endpoints(&self, reference: &Reference) -> Result<Vec<Url>> {
        let domain = reference.domain();
        let mut bases = Vec::new();
        if domain == "docker.io" {
            bases.extend(self.settings.mirrors.iter().cloned());
            bases.push("https://registry-1.docker.io".into());
        } else {
            bases.push(format!("https://{domain}"));
            let host = Url::parse(&format!("http://{domain}")).ok();
            let local = host.as_ref().and_then(Url::host_str).is_some_and(is_local);
            if local
                || self
                    .settings
                    .insecure
                    .iter()
                    .any(|insecure| insecure == domain)
            {
                bases.push(format!("http://{domain}"));
            }
        }
        bases
            .iter()
            .map(|base| {
                Url::parse(base).map_err(|error| {
                    EngineError::Invalid(format!("invalid registry {base:?}: {error}"))
                })
            })
            .collect()
    }
}

/// Whether a registry of this name is on this host, so that plain HTTP is as good as TLS.
fn is_local(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl Repository {
    /// A manifest or index by tag or digest, checked against the digest.
    pub(super) async fn manifest(&self, target: &str) -> Result<Fetched> {
        let accept = ACCEPTED.join(", ");
        let path = format!("manifests/{target}");
        let prepare =
            |request: reqwest::RequestBuilder| request.header(header::ACCEPT, accept.as_str());
        let response = self.get(&path, prepare).await?;
        if !response.status().is_success() {
            return Err(self.refusal(response, target).await);
        }
        let text = |name: header::HeaderName| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        let media_type = text(header::CONTENT_TYPE)
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned();
        let announced = text(header::HeaderName::from_static("docker-content-digest"));
        let bytes = self.body(response, MAX_MANIFEST_BYTES).await?;
        let wanted = target
            .parse::<Digest>()
            .ok()
            .or_else(|| announced.parse().ok());
        let mut hasher = Hasher::for_digest(wanted.as_ref());
        hasher.update(&bytes);
        let digest = hasher.finish();
        if wanted.is_some_and(|wanted| wanted != digest) {
            return Err(EngineError::Internal(format!(
                "manifest verification failed for {target}: the registry sent {digest}"
            )));
        }
        Ok(Fetched {
            bytes,
            digest,
            media_type,
        })
    }

    /// The answer to a request for a blob from byte `offset` on: 200 or 206.
    ///
    /// # Errors
    /// `Unavailable` when it makes sense to try again.
    pub(super) async fn blob(&self, digest: &Digest, offset: u64) -> Result<Response> {
        let response = self
            .get(&format!("blobs/{digest}"), |request| {
                if offset > 0 {
                    request.header(header::RANGE, format!("bytes={offset}-"))
                } else {
                    request
                }
            })
            .await?;
        match response.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(response),
            status
                if status.is_server_error()
                    || matches!(
                        status,
                        StatusCode::TOO_MANY_REQUESTS
                            | StatusCode::RANGE_NOT_SATISFIABLE
                            | StatusCode::REQUEST_TIMEOUT
                    ) =>
            {
                Err(EngineError::Unavailable(format!(
                    "get blob {digest}: the registry answers {status}"
                )))
            }
            _ => Err(self.refusal(response, digest.as_str()).await),
        }
    }

    /// A small blob, whole and verified.
    pub(super) async fn small_blob(&self, digest: &Digest, most: u64) -> Result<Vec<u8>> {
        let response = self.blob(digest, 0).await?;
        let bytes = self.body(response, most).await?;
        let mut hasher = Hasher::for_digest(Some(digest));
        hasher.update(&bytes);
        if hasher.finish() == *digest {
            Ok(bytes)
        } else {
            Err(EngineError::Internal(format!(
                "blob verification failed for digest {digest}"
            )))
        }
    }

    async fn get(
        &self,
        path: &str,
        prepare: impl Fn(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Result<Response> {
        self.get_at(&self.url(path)?, prepare).await
    }

    /// The address of something in this repository.
    pub(super) fn url(&self, path: &str) -> Result<Url> {
        self.base
            .join(&format!("/v2/{}/{path}", self.reference.path()))
            .map_err(|error| EngineError::Invalid(format!("invalid registry path: {error}")))
    }

    async fn get_at(
        &self,
        url: &Url,
        prepare: impl Fn(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Result<Response> {
        self.send(Method::GET, url, prepare).await
    }

    /// Sends a request, once more with what the registry asks for when it wants to know who asks. `prepare` makes it
    /// whole, body included, each time.
    pub(super) async fn send(
        &self,
        method: Method,
        url: &Url,
        prepare: impl Fn(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Result<Response> {
        // What was given for this registry is for no other.
        let ours = url.origin() == self.base.origin();
        for attempt in 0.. {
            let mut request = prepare(self.http.request(method.clone(), url.clone()));
            let known = self
                .authorization
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .clone()
                .filter(|_| ours);
            if let Some(authorization) = known {
                request = request.header(header::AUTHORIZATION, authorization);
            }
            let response = request
                .send()
                .await
                .map_err(|error| self.unreachable(&error))?;
            let challenge = response
                .headers()
                .get(header::WWW_AUTHENTICATE)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned);
            match challenge {
                // Once for the first challenge, once more for a token that has run out meanwhile.
                Some(challenge)
                    if ours && response.status() == StatusCode::UNAUTHORIZED && attempt < 2 =>
                {
                    let Some(authorization) = self.answer(&challenge).await? else {
                        return Ok(response);
                    };
                    *self
                        .authorization
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(authorization);
                }
                _ => return Ok(response),
            }
        }
        Err(EngineError::Unauthorized(
            "unauthorized: authentication required".into(),
        ))
    }

    /// What to send in answer to a challenge; `None` when there is nothing to say.
    async fn answer(&self, challenge: &str) -> Result<Option<String>> {
        let (scheme, parameters) = challenge.split_once(' ').unwrap_or((challenge, ""));
        let credentials = &self.credentials;
        if !credentials.registry_token.is_empty() {
            return Ok(Some(format!("Bearer {}", credentials.registry_token)));
        }
        if scheme.eq_ignore_ascii_case("basic") {
            let has = !credentials.username.is_empty();
            return Ok(has.then(|| {
                let pair = format!("{}:{}", credentials.username, credentials.password);
                format!(
                    "Basic {}",
                    base64::engine::general_purpose::STANDARD.encode(pair)
                )
            }));
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Ok(None);
        }
        self.token(parameters).await.map(Some)
    }

    async fn token(&self, parameters: &str) -> Result<String> {
        let parameter = |name: &str| challenge_parameter(parameters, name);
        let invalid = || {
            EngineError::Internal(format!(
                "registry {} asks for authentication in a way that is not understood",
                self.reference.domain()
            ))
        };
        let mut realm =
            Url::parse(&parameter("realm").ok_or_else(invalid)?).map_err(|_url| invalid())?;
        let protected = realm.scheme() == "https"
            || realm.host_str().is_some_and(is_local)
            || self.base.scheme() == "http";
        if !protected {
            return Err(EngineError::Internal(format!(
                "registry {} sends credentials to {realm}, which is not protected by TLS",
                self.reference.domain()
            )));
        }
        let scope = parameter("scope")
            .unwrap_or_else(|| format!("repository:{}:pull", self.reference.path()));
        let service = parameter("service").unwrap_or_default();
        let credentials = &self.credentials;
        let request = if credentials.identity_token.is_empty() {
            realm
                .query_pairs_mut()
                .append_pair("service", &service)
                .append_pair("scope", &scope);
            let request = self.http.get(realm);
            if credentials.username.is_empty() {
                request
            } else {
                request.basic_auth(&credentials.username, Some(&credentials.password))
            }
        } else {
            let form = [
                ("grant_type", "refresh_token"),
                ("service", &service),
                ("scope", &scope),
                ("client_id", "containeros"),
                ("refresh_token", &credentials.identity_token),
            ];
            let body = serde_urlencoded::to_string(form).map_err(|_form| invalid())?;
            self.http
                .post(realm)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(body)
        };
        #[derive(Deserialize)]
        struct Token {
            #[serde(default)]
            token: String,
            #[serde(default)]
            access_token: String,
        }
        let response = request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        if !response.status().is_success() {
            return Err(self.refusal(response, "").await);
        }
        let token: Token = serde_json::from_slice(&self.body(response, MAX_ANSWER_BYTES).await?)
            .map_err(|_json| invalid())?;
        let token = if token.token.is_empty() {
            token.access_token
        } else {
            token.token
        };
        Ok(format!("Bearer {token}"))
    }

    pub(super) async fn body(&self, mut response: Response, most: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.unreachable(&error))?
        {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > most {
                return Err(EngineError::Internal(format!(
                    "registry {} sends more than {most} bytes where little is expected",
                    self.reference.domain()
                )));
            }
        }
        Ok(bytes)
    }

    pub(super) fn unreachable(&self, error: &reqwest::Error) -> EngineError {
        // The URL may have a signature in its query; the cause says enough.
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        EngineError::Unavailable(format!("reach registry {}: {cause}", self.base.authority()))
    }

    /// What a registry's refusal means, in the words Docker's clients match on.
    async fn refusal(&self, response: Response, target: &str) -> EngineError {
        #[derive(Deserialize)]
        struct Answer {
            errors: Vec<Problem>,
        }
        #[derive(Deserialize)]
        struct Problem {
            #[serde(default)]
            code: String,
            #[serde(default)]
            message: String,
        }
        let status = response.status();
        let body = self
            .body(response, MAX_ANSWER_BYTES)
            .await
            .unwrap_or_default();
        let problem = serde_json::from_slice::<Answer>(&body)
            .ok()
            .and_then(|answer| answer.errors.into_iter().next());
        let (code, message) = problem
            .map(|problem| (problem.code, problem.message))
            .unwrap_or_default();
        let code_in_words = code.to_ascii_lowercase().replace('_', " ");
        let name = self.reference.familiar_name();
        match (status, code.as_str()) {
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _)
            | (StatusCode::NOT_FOUND, "NAME_UNKNOWN" | "DENIED") => EngineError::NotFound(format!(
                "pull access denied for {name}, repository does not exist or may require 'docker login'{}",
                if message.is_empty() {
                    String::new()
                } else {
                    format!(": {code_in_words}: {message}")
                }
            )),
            (StatusCode::NOT_FOUND, _)
                if !target.starts_with("sha256:") || self.reference.digest().is_some() =>
            {
                EngineError::NotFound(format!(
                    "manifest for {} not found: manifest unknown: {}",
                    self.reference.clone().with_default_tag().familiar(),
                    if message.is_empty() {
                        "manifest unknown"
                    } else {
                        &message
                    }
                ))
            }
            (StatusCode::NOT_FOUND, _) => {
                EngineError::NotFound(format!("{target} of {name} not found in the registry"))
            }
            (StatusCode::TOO_MANY_REQUESTS, _) => {
                EngineError::Unavailable(format!("toomanyrequests: {message}"))
            }
            _ => EngineError::Internal(format!(
                "registry {} answers {status}: {message}",
                self.base.authority()
            )),
        }
    }
}

/// One parameter of a `WWW-Authenticate` header: `name="value"` or `name=value`.
fn challenge_parameter(parameters: &str, name: &str) -> Option<String> {
    let mut rest = parameters;
    loop {
        let (key, after) = rest.split_once('=')?;
        let key = key.trim_matches(|c: char| c == ',' || c.is_whitespace());
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if key.eq_ignore_ascii_case(name) {
            return Some(value.to_owned());
        }
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let challenge = r#"realm="https://auth.example/token?a=b",service="registry.example",scope="repository:a/b:pull,push""#;
        assert_eq!(
            challenge_parameter(challenge, "realm").unwrap(),
            "https://auth.example/token?a=b"
        );
        assert_eq!(
            challenge_parameter(challenge, "scope").unwrap(),
            "repository:a/b:pull,push"
        );
        assert_eq!(challenge_parameter(challenge, "error"), None);
        assert_eq!(
            challenge_parameter("realm=x, service=y", "service").unwrap(),
            "y"
        );
        assert_eq!(challenge_parameter("realm=\"x", "service"), None);
    }

    #[test]
    fn credentials_are_read_padded_or_not_and_never_shown() {
        let json = r#"{"username":"u","password":"pässwörd?>"}"#;
        for engine in [
            base64::engine::general_purpose::URL_SAFE,
            base64::engine::general_purpose::URL_SAFE_NO_PAD,
            base64::engine::general_purpose::STANDARD,
        ] {
            let credentials = Credentials::from_header(Some(&engine.encode(json)));
            assert_eq!(credentials.password, "pässwörd?>");
            assert!(!format!("{credentials:?}").contains("pässwörd"));
        }
        let nulls = base64::engine::general_purpose::URL_SAFE
            .encode(r#"{"username":"u","identitytoken":null}"#);
        assert_eq!(Credentials::from_header(Some(&nulls)).username, "u");
        for nothing in [None, Some(""), Some("{}"), Some("e30="), Some("!!")] {
            assert!(Credentials::from_header(nothing).username.is_empty());
        }
    }

    #[test]
    fn plain_http_is_for_this_host_and_the_settings_only() {
        let client = RegistryClient::new(RegistrySettings {
            insecure: vec!["registry.test:5000".into()],
            mirrors: vec!["http://127.0.0.1:5000".into()],
        })
        .unwrap();
        let schemes = |name: &str| {
            let urls = client.endpoints(&name.parse().unwrap()).unwrap();
            urls.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            schemes("localhost:5000/a"),
            ["https://localhost:5000/", "http://localhost:5000/"]
        );
        assert_eq!(schemes("127.0.0.1:5000/a").len(), 2);
        assert_eq!(schemes("[::1]:5000/a").len(), 2);
        assert_eq!(schemes("registry.test:5000/a").len(), 2);
        assert_eq!(schemes("ghcr.io/a/b"), ["https://ghcr.io/"]);
        assert_eq!(
            schemes("alpine"),
            ["http://127.0.0.1:5000/", "https://registry-1.docker.io/"]
        );
    }
}
