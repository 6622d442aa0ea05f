//! `serve` and `engine`: puts the web server and the Mini engine into one process, or the engine alone.

use std::io::Write as _;

use anyhow::Context as _;
use server::{AppState, Server, ServerConfig, config::MiniEndpoint};
use tokio_util::sync::CancellationToken;

use crate::{arguments::ServeOptions, host, settings::Settings};

/// Serves the page, and hosts Mini where that is possible.
pub(crate) async fn serve(settings: &Settings, options: &ServeOptions) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let (mini, hosted) = mini::host(settings, options.no_mini, &stop).await;
    let config = ServerConfig {
        state_dir: settings.state_dir.clone(),
        listen: settings.listen,
        metrics_listen: settings.metrics_listen,
        insecure_http: options.insecure_http,
        allowed_hosts: settings.allow_host.clone(),
        docker: settings.docker.clone(),
        mini,
        starter_archive: settings.starter.clone(),
    };
    let server = Server::open(config)
        .await
        .map_err(|error| anyhow::anyhow!("{error}\nhint: {}", error.hint()))?;
    let (state, url) = (server.state().clone(), server.url());
    let fingerprint = server.fingerprint().map(str::to_owned);
    let serving = server.serve(stop.clone());
    let mut serving = std::pin::pin!(serving);
    let work = async {
        announce(&state, &url, fingerprint).await?;
        host::told_to_end().await;
        tracing::info!("stopping; containers go on");
        Ok(())
    };
    let ended = tokio::select! {
        ended = work => ended,
        () = serving.as_mut() => Ok(()),
    };
    stop.cancel();
    serving.await;
    if let Some(hosted) = hosted {
        hosted.await;
    }
    ended
}

/// What a person needs, on standard output: what is missing, and last the address.
async fn announce(state: &AppState, url: &str, fingerprint: Option<String>) -> anyhow::Result<()> {
    let mut lines = state.missing_engines().await;
    lines.extend(fingerprint.map(|fingerprint| {
        format!("Its certificate is its own; compare in the browser: SHA-256 {fingerprint}")
    }));
    lines.push(format!("ContainerOS is at {url}\n"));
    let text = lines.join("\n");
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("print the address")
}

/// Runs the Mini engine alone.
pub(crate) async fn engine(settings: &Settings) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let serving = mini::alone(settings, stop.clone());
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        () = host::told_to_end() => tracing::info!("stopping; containers go on"),
        ended = serving.as_mut() => return ended,
    }
    stop.cancel();
    serving.await
}

#[cfg(target_os = "linux")]
mod mini {
    //! Mini in this process.

    use std::{future::Future, path::Path, pin::Pin, sync::Arc};

    use engine::{Engine, EngineConfig};

    use anyhow::Context as _;

    use super::{CancellationToken, MiniEndpoint, Settings};

    /// Ends when the hosted engine has ended.
    pub(super) type Hosted = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn config(settings: &Settings) -> EngineConfig {
        let mut config = EngineConfig::new(
            settings.state_dir.clone(),
            settings.run_dir.clone(),
            settings.mini_path.clone(),
        );
        config.starter_archive.clone_from(&settings.starter);
        config
    }

    /// Starts Mini here when that is possible, and tells where Mini is.
    pub(super) async fn host(
        settings: &Settings,
        elsewhere: bool,
        stop: &CancellationToken,
    ) -> (MiniEndpoint, Option<Hosted>) {
        let config = config(settings);
        let socket = config.socket_path();
        if elsewhere {
            return (MiniEndpoint::Socket(socket), None);
        }
        if !server::process::is_root() {
            return (without_root(&socket), None);
        }
        if !settings.mini_path.exists() {
            return (
                MiniEndpoint::Absent {
                    reason: format!(
                        "the program mini is not at {}",
                        settings.mini_path.display()
                    ),
                    hint: "build it with `make build`, or name it with --mini-path".to_owned(),
                },
                None,
            );
        }
        match Engine::open(config).await {
            Ok(engine) => {
                let serving = tokio::task::JoinSet::from_iter([run(engine, stop.clone())]);
                (
                    MiniEndpoint::Socket(socket),
                    Some(Box::pin(async move { drop(serving.join_all().await) })),
                )
            }
            // Another process may host it in the same directories: then it is used from there.
            Err(error) if std::os::unix::net::UnixStream::connect(&socket).is_ok() => {
                tracing::warn!(%error, "Mini is hosted by another process; it is used from there");
                (MiniEndpoint::Socket(socket), None)
            }
            Err(error) => {
                tracing::error!(%error, "start Mini");
                let hint = "`containeros doctor` tells what is missing".to_owned();
                (
                    MiniEndpoint::Absent {
                        reason: error.to_string(),
                        hint,
                    },
                    None,
                )
            }
        }
    }

    async fn run(engine: Arc<Engine>, stop: CancellationToken) {
        if let Err(error) = engine.serve(stop).await {
            tracing::error!(%error, "serve Mini");
        }
    }

    fn without_root(socket: &Path) -> MiniEndpoint {
        if std::os::unix::net::UnixStream::connect(socket).is_ok() {
            return MiniEndpoint::Socket(socket.to_owned());
        }
        MiniEndpoint::Absent {
            reason: "Mini needs root to make namespaces, mounts and control groups, and this server does not run as root".to_owned(),
            hint: "start ContainerOS with sudo, or run `sudo containeros engine` beside it".to_owned(),
        }
    }

    /// Runs Mini until `stop`.
    pub(super) async fn alone(settings: &Settings, stop: CancellationToken) -> anyhow::Result<()> {
        anyhow::ensure!(
            server::process::is_root(),
            "Mini needs root to make namespaces, mounts and control groups: run as root"
        );
        anyhow::ensure!(
            settings.mini_path.exists(),
            "the program mini is not at {}: name it with --mini-path",
            settings.mini_path.display()
        );
        let engine = Engine::open(config(settings))
            .await
            .context("open the engine")?;
        engine.serve(stop).await.context("serve the engine")
    }
}

#[cfg(not(target_os = "linux"))]
mod mini {
    //! Mini is not possible here.

    use std::{future::Future, pin::Pin};

    use super::{CancellationToken, MiniEndpoint, Settings};

    pub(super) type Hosted = Pin<Box<dyn Future<Output = ()> + Send>>;

    const REASON: &str = "Mini needs Linux: it makes containers of namespaces and control groups";

    pub(super) async fn host(
        _settings: &Settings,
        _elsewhere: bool,
        _stop: &CancellationToken,
    ) -> (MiniEndpoint, Option<Hosted>) {
        let hint = "run ContainerOS on Linux, or in WSL 2 on Windows".to_owned();
        (
            MiniEndpoint::Absent {
                reason: REASON.to_owned(),
                hint,
            },
            None,
        )
    }

    pub(super) async fn alone(
        _settings: &Settings,
        _stop: CancellationToken,
    ) -> anyhow::Result<()> {
        anyhow::bail!(REASON)
    }
}
