//! What differs between the platforms.

use std::path::PathBuf;

/// State and run directory when none are given.
#[cfg(unix)]
pub(crate) fn default_directories() -> (PathBuf, PathBuf) {
    if server::process::is_root() {
        return (
            PathBuf::from("/var/lib/containeros"),
            PathBuf::from("/run/containeros"),
        );
    }
    let variable = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let home = variable("HOME").unwrap_or_else(|| PathBuf::from("/"));
    let state = variable("XDG_STATE_HOME")
        .unwrap_or_else(|| home.join(".local/state"))
        .join("containeros");
    let run = variable("XDG_RUNTIME_DIR").map_or_else(
        || state.join("run"),
        |directory| directory.join("containeros"),
    );
    (state, run)
}

/// State and run directory when none are given.
#[cfg(not(unix))]
pub(crate) fn default_directories() -> (PathBuf, PathBuf) {
    let local = std::env::var_os("LOCALAPPDATA")
        .map_or_else(|| PathBuf::from("."), PathBuf::from)
        .join("ContainerOS");
    (local.clone(), local.join("run"))
}

/// Waits until the process is told to end.
#[cfg(unix)]
pub(crate) async fn told_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Waits until the process is told to end.
#[cfg(not(unix))]
pub(crate) async fn told_to_end() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}
