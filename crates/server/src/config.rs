//! How the server is set up.

use std::{net::SocketAddr, path::PathBuf};

/// Everything that the server is told at its start.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where users, sessions, history and the audit log are kept; made with mode 0700.
    pub state_dir: PathBuf,
    /// Where the page and the API are served. Other than loopback gets TLS.
    pub listen: SocketAddr,
    /// Another address where figures and health are told without sign-in and without TLS, and nothing else.
    pub metrics_listen: Option<SocketAddr>,
    /// Serve without TLS on an address that others reach.
    pub insecure_http: bool,
    /// Names of this server beside the address and `localhost`, for the check of the Host header.
    pub allowed_hosts: Vec<String>,
    /// Where Docker Engine is, when it was said; found by looking otherwise.
    pub docker: Option<String>,
    /// Where Mini is, and why not when it cannot be here.
    pub mini: MiniEndpoint,
    /// The OCI archive of the starter image.
    pub starter_archive: Option<PathBuf>,
}

/// Where the Mini engine is.
#[derive(Clone, Debug)]
pub enum MiniEndpoint {
    /// Its socket.
    Socket(PathBuf),
    /// It cannot be here.
    Absent {
        /// Why, in a sentence.
        reason: String,
        /// What would make it possible, in one line.
        hint: String,
    },
}
