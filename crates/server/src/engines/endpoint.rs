//! Where an engine is: said, in the environment, in the docker context in use, or at the usual place.

#[cfg(unix)]
use std::path::Path;
use std::path::PathBuf;

use bollard::{API_DEFAULT_VERSION, Docker, errors::Error};

use super::context;

/// Docker's usual socket.
#[cfg(unix)]
const DEFAULT_URL: &str = "unix:///var/run/docker.sock";
/// Docker's usual named pipe.
#[cfg(windows)]
const DEFAULT_URL: &str = "npipe:////./pipe/docker_engine";

/// The client's own time limit; each call has a shorter one.
const CLIENT_TIMEOUT_S: u64 = 24 * 60 * 60;

/// Where an engine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `unix://`, `npipe://`, `tcp://`, `http://` or `https://`.
    pub url: String,
    /// Who said so.
    pub source: String,
    /// It is on this machine.
    pub local: bool,
    /// Directory with `ca.pem`, `cert.pem` and `key.pem`, for TLS.
    pub certificates: Option<PathBuf>,
}

impl Endpoint {
    /// A unix socket on this machine.
    pub(super) fn socket(path: PathBuf, source: &str) -> Self {
        Self::new(&format!("unix://{}", path.display()), source, None)
    }

    fn new(url: &str, source: &str, certificates: Option<PathBuf>) -> Self {
        let local = url.starts_with("unix://") && cfg!(target_os = "linux");
        Self {
            url: url.to_owned(),
            source: source.to_owned(),
            local,
            certificates,
        }
    }

    /// The path of its socket, when it is one.
    pub(crate) fn socket_path(&self) -> Option<PathBuf> {
        self.url.strip_prefix("unix://").map(PathBuf::from)
    }

    /// What a socket's address can hold of its path.
    #[cfg(unix)]
    pub(super) fn connectable(&self) -> String {
        within_socket_limit(&self.socket_path().unwrap_or_default())
    }

    /// Makes a client; nothing is sent yet.
    ///
    /// # Errors
    /// When the address cannot be an engine's or its certificates cannot be read.
    pub(super) fn client(&self) -> Result<Docker, Error> {
        match self.url.split_once("://").map(|(scheme, _)| scheme) {
            #[cfg(unix)]
            Some("unix") => Docker::connect_with_unix(
                &self.connectable(),
                CLIENT_TIMEOUT_S,
                API_DEFAULT_VERSION,
            ),
            #[cfg(windows)]
            Some("npipe") => {
                Docker::connect_with_named_pipe(&self.url, CLIENT_TIMEOUT_S, API_DEFAULT_VERSION)
            }
            Some("tcp" | "http" | "https") => match &self.certificates {
                Some(directory) => Docker::connect_with_ssl(
                    &self.url,
                    &directory.join("key.pem"),
                    &directory.join("cert.pem"),
                    &directory.join("ca.pem"),
                    CLIENT_TIMEOUT_S,
                    API_DEFAULT_VERSION,
                ),
                None => Docker::connect_with_http(&self.url, CLIENT_TIMEOUT_S, API_DEFAULT_VERSION),
            },
            _ => Err(Error::UnsupportedURISchemeError {
                uri: self.url.clone(),
            }),
        }
    }
}

/// A socket address holds 107 bytes. A longer path is reached through its open directory, which nobody else can exchange as
/// a link in a shared folder could be.
#[cfg(target_os = "linux")]
fn within_socket_limit(path: &Path) -> String {
    use std::{
        collections::HashMap,
        fs::File,
        os::fd::AsRawFd as _,
        sync::{LazyLock, Mutex, PoisonError},
    };
    const LONGEST: usize = 107;
    /// Open as long as clients may connect through them; the newest of each path.
    static DIRECTORIES: LazyLock<Mutex<HashMap<PathBuf, File>>> = LazyLock::new(Mutex::default);
    let long = || {
        let (directory, name) = (path.parent()?, path.file_name()?);
        let open = File::open(directory).ok()?;
        let short = format!("/proc/self/fd/{}/{}", open.as_raw_fd(), name.to_str()?);
        DIRECTORIES
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(directory.to_owned(), open);
        Some(short)
    };
    if path.as_os_str().len() <= LONGEST {
        return path.display().to_string();
    }
    long().unwrap_or_else(|| path.display().to_string())
}

#[cfg(all(unix, not(target_os = "linux")))]
fn within_socket_limit(path: &Path) -> String {
    path.display().to_string()
}

/// Finds Docker: what was said, `DOCKER_HOST`, the docker context in use, the usual place.
pub(super) fn find_docker(said: Option<&str>) -> Endpoint {
    let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let certificates = || {
        environment("DOCKER_TLS_VERIFY")?;
        environment("DOCKER_CERT_PATH").map(PathBuf::from)
    };
    if let Some(url) = said {
        return Endpoint::new(url, "setting", certificates());
    }
    if let Some(url) = environment("DOCKER_HOST") {
        return Endpoint::new(&url, "DOCKER_HOST", certificates());
    }
    let directory = environment("DOCKER_CONFIG").map(PathBuf::from).or_else(|| {
        let home = environment("HOME").or_else(|| environment("USERPROFILE"))?;
        Some(PathBuf::from(home).join(".docker"))
    });
    let context = directory.and_then(|directory| {
        context::in_use(&directory, environment("DOCKER_CONTEXT").as_deref())
    });
    match context {
        Some(found) => Endpoint::new(
            &found.url,
            &format!("docker context {:?}", found.name),
            found.certificates,
        ),
        None => Endpoint::new(DEFAULT_URL, "default socket", None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_wins_and_only_sockets_are_local() {
        let endpoint = find_docker(Some("tcp://10.0.0.1:2375"));
        assert_eq!(
            (endpoint.url.as_str(), endpoint.local),
            ("tcp://10.0.0.1:2375", false)
        );
        assert!(find_docker(Some("unix:///run/x.sock")).local);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_socket_with_a_long_path_is_reached() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(60)).join("e".repeat(60));
        std::fs::create_dir_all(&deep).unwrap();
        let path = deep.join("s");
        let short = within_socket_limit(&path);
        let listener = std::os::unix::net::UnixListener::bind(&short).unwrap();
        assert!(short.len() < 107 && path.exists());
        std::os::unix::net::UnixStream::connect(within_socket_limit(&path)).unwrap();
        listener.accept().unwrap();
    }

    #[test]
    fn an_unknown_scheme_is_an_error_not_a_guess() {
        assert!(find_docker(Some("gopher://x")).client().is_err());
    }
}
