//! Connecting containers to networks and disconnecting them, whether they run or not.

use std::{path::Path, sync::Arc};

use bollard_stubs::models::EndpointSettings;

use super::{handle::Container, record::ContainerRecord};
use crate::{
    blocking,
    engine::Engine,
    error::{EngineError, Result},
    network::{Driver, EndpointRequest, NetworkSummary, Sandbox},
};

/// Connects a container to a network, from now on and from its next starts on.
///
/// # Errors
/// `Invalid` when its networks cannot be together or an address is malformed, `Forbidden` when it runs and is on that
/// network, and what the kernel refuses; it is then connected as before.
pub(crate) async fn connect(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    network: &str,
    settings: EndpointSettings,
) -> Result<()> {
    let _lifecycle = container.lifecycle.lock().await;
    let network = engine.networks.resolve(network)?;
    let record = container.record();
    if container.is_removing() {
        return Err(EngineError::Conflict(format!(
            "container is marked for removal and cannot be connected to network {}",
            network.name
        )));
    }
    require_compatible(engine, &record, &network)?;
    if container.running().is_some() && key_of(engine, &record, &network).is_some() {
        return Err(EngineError::Forbidden(format!(
            "endpoint with name {} already exists in network {}",
            record.name, network.name
        )));
    }
    let request = EndpointRequest::from_settings(&network.name, &settings)?;
    let (engine, container) = (Arc::clone(engine), Arc::clone(container));
    blocking::run(move || {
        let before = running_sandbox(&engine, &container);
        if before.is_some() {
            engine.networks.attach(container.id(), &request)?;
        }
        let kept = container.change(&engine.containers.records, |record| {
            record.endpoints.insert(network.name.clone(), settings);
        });
        if let (Err(_), Some(_)) = (&kept, &before) {
            engine.networks.detach(container.id(), &network.id)?;
        }
        kept?;
        refresh_files(&engine, &container, before.as_ref());
        Ok(())
    })
    .await
}

/// Disconnects a container from a network.
///
/// # Errors
/// `Forbidden` when it is not on that network or it is the host's, and what the kernel refuses.
pub(crate) async fn disconnect(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    network: &str,
) -> Result<()> {
    let _lifecycle = container.lifecycle.lock().await;
    let network = engine.networks.resolve(network)?;
    let record = container.record();
    if network.driver == Driver::Host {
        return Err(EngineError::Forbidden(
            "container cannot be disconnected from host network or connected to host network"
                .to_owned(),
        ));
    }
    let key = key_of(engine, &record, &network);
    let (engine, container) = (Arc::clone(engine), Arc::clone(container));
    blocking::run(move || {
        let before = running_sandbox(&engine, &container);
        match (&before, &key) {
            // Its own word for a container that is not on the network.
            (Some(_), _) => engine.networks.detach(container.id(), &network.id)?,
            (None, Some(_)) => {}
            (None, None) => {
                return Err(EngineError::Forbidden(format!(
                    "container {} is not connected to network {}",
                    container.id(),
                    network.name
                )));
            }
        }
        if let Some(key) = key {
            container.change(&engine.containers.records, |record| {
                record.endpoints.remove(&key);
            })?;
        }
        refresh_files(&engine, &container, before.as_ref());
        Ok(())
    })
    .await
}

/// The network side of a container that runs.
fn running_sandbox(engine: &Engine, container: &Container) -> Option<Sandbox> {
    container
        .running()
        .and_then(|_running| engine.networks.sandbox(container.id()))
}

/// Under which name or id a network is in a record.
fn key_of(engine: &Engine, record: &ContainerRecord, network: &NetworkSummary) -> Option<String> {
    let is_it = |key: &&String| {
        **key == network.name
            || engine
                .networks
                .resolve(key)
                .is_ok_and(|found| found.id == network.id)
    };
    record.endpoints.keys().find(is_it).cloned()
}

/// Refuses networks that a container cannot be on together, in Docker's words.
fn require_compatible(
    engine: &Engine,
    record: &ContainerRecord,
    network: &NetworkSummary,
) -> Result<()> {
    let invalid = |why: &str| Err(EngineError::Invalid(why.to_owned()));
    let mode = record.host_config.network_mode.as_deref();
    if mode.is_some_and(|mode| mode.starts_with("container:")) {
        return invalid(
            "container sharing network namespace with another container or host cannot be connected to any other network",
        );
    }
    let drivers = record.endpoints.keys().filter_map(|key| {
        let found = engine.networks.resolve(key).ok()?;
        Some(found.driver)
    });
    if network.driver == Driver::Host || drivers.clone().any(|driver| driver == Driver::Host) {
        return invalid(
            "container cannot be disconnected from host network or connected to host network",
        );
    }
    let own = key_of(engine, record, network);
    let others = record.endpoints.keys().any(|key| Some(key) != own.as_ref());
    let mut kinds = drivers.chain([network.driver]);
    if others && kinds.any(|driver| driver == Driver::Null) {
        return invalid(
            "container cannot be connected to multiple networks with one of the networks in private (none) mode",
        );
    }
    Ok(())
}

/// Writes `/etc/hosts` and `/etc/resolv.conf` of a running container again, where nobody has changed them since: its
/// addresses, and who answers for names, may be others now.
fn refresh_files(engine: &Engine, container: &Container, before: Option<&Sandbox>) {
    let now = engine.networks.sandbox(container.id());
    let (Some(before), Some(now)) = (before, now) else {
        return;
    };
    let record = container.record();
    let extra = record.host_config.extra_hosts.clone().unwrap_or_default();
    let hosts = |sandbox: &Sandbox| engine.networks.hosts_file(sandbox, &extra).ok();
    let resolv_conf = |sandbox: &Sandbox| Some(engine.networks.resolv_conf(sandbox));
    let bundle = container.bundle_dir();
    for (file, old, new) in [
        ("hosts", hosts(before), hosts(&now)),
        ("resolv.conf", resolv_conf(before), resolv_conf(&now)),
    ] {
        if let (Some(old), Some(new)) = (old, new)
            && let Err(error) = replace(&bundle.join(file), &old, &new)
        {
            tracing::warn!(container = container.id(), file, %error, "write a file of a container");
        }
    }
}

/// Puts `new` in the place of `old` in a file that is mounted somewhere: it must stay the same file.
fn replace(path: &Path, old: &str, new: &str) -> std::io::Result<()> {
    if old != new && std::fs::read(path)? == old.as_bytes() {
        std::fs::write(path, new)?;
    }
    Ok(())
}
