//! Stopping, killing, restarting, pausing, renaming and changing containers.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bollard_stubs::models::{ContainerUpdateBody, HostConfig, RestartPolicy};
use shim_protocol::Call;

use super::{
    handle::{Container, Running},
    limits, signals,
    start::{Starter, start_locked},
};
use crate::{
    blocking,
    engine::Engine,
    error::{EngineError, Result},
    events::EventKind,
    id,
};

/// How long a program may take to end after it was asked to, when nobody says.
const DEFAULT_STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the kernel may take to end a killed program.
const KILL_TIMEOUT: Duration = Duration::from_secs(20);

/// How a container is to be stopped.
#[derive(Clone, Debug, Default)]
pub(crate) struct StopRequest {
    /// Seconds until it is killed; a negative number waits for ever.
    pub(crate) timeout_seconds: Option<i64>,
    /// Sent instead of its own stop signal.
    pub(crate) signal: Option<i32>,
}

pub(super) fn publish(engine: &Engine, container: &Container, action: &str) {
    engine.events.publish(
        EventKind::Container,
        action,
        container.id(),
        container.event_attributes(),
    );
}

async fn change_record(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    change: impl FnOnce(&mut super::record::ContainerRecord) + Send + 'static,
) -> Result<()> {
    let (engine, container) = (Arc::clone(engine), Arc::clone(container));
    blocking::run(move || container.change(&engine.containers.records, change)).await
}

/// Stops a container: asks its program to end, and kills it when it does not.
///
/// # Errors
/// `NotModified` when it does not run.
pub(crate) async fn stop(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    request: StopRequest,
) -> Result<()> {
    let _lifecycle = container.lifecycle.lock().await;
    let waiting = container.lock().backoff.take();
    if let Some(backoff) = waiting {
        backoff.cancel();
        container.set_phase(|phase| phase.restarting = false);
        change_record(engine, container, |record| {
            record.state.stopped_by_user = true;
        })
        .await?;
        publish(engine, container, "stop");
        return Ok(());
    }
    let Some(running) = container.running() else {
        return Err(EngineError::NotModified);
    };
    // Before the program ends: a machine that goes down now must not start it again.
    change_record(engine, container, |record| {
        record.state.stopped_by_user = true;
    })
    .await?;
    end(engine, container, &running, &request).await?;
    publish(engine, container, "stop");
    Ok(())
}

/// Ends a running container, and waits until that is done.
async fn end(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    running: &Running,
    request: &StopRequest,
) -> Result<()> {
    container.lock().end_asked = true;
    let config = container.record().config.clone();
    let signal = match (request.signal, config.stop_signal.as_deref()) {
        (Some(signal), _) => signal,
        (None, Some(name)) if !name.is_empty() => signals::parse(name)?,
        _ => signals::TERM,
    };
    let timeout = match request.timeout_seconds.or(config.stop_timeout) {
        None => Some(DEFAULT_STOP_TIMEOUT),
        Some(seconds) => u64::try_from(seconds).ok().map(Duration::from_secs),
    };
    let mut phase = container.phase();
    if signal != signals::KILL && timeout != Some(Duration::ZERO) {
        match send(engine, container, running, signal).await {
            // It has ended by itself meanwhile.
            Ok(()) | Err(EngineError::Conflict(_)) => {}
            Err(error) => return Err(error),
        }
        // A frozen program would never see it.
        if running.paused {
            drop(set_frozen(container, false).await);
        }
        let ended = phase.wait_for(|phase| !phase.running);
        let in_time = match timeout {
            Some(timeout) => tokio::time::timeout(timeout, ended).await.is_ok(),
            None => ended.await.is_ok(),
        };
        if in_time {
            return Ok(());
        }
    }
    kill_and_wait(engine, container, running).await
}

/// Kills a container and waits until it has ended.
pub(super) async fn kill_and_wait(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    running: &Running,
) -> Result<()> {
    let mut phase = container.phase();
    container.lock().end_asked = true;
    match send(engine, container, running, signals::KILL).await {
        // It has ended by itself meanwhile.
        Ok(()) | Err(EngineError::Conflict(_)) => {}
        Err(error) => return Err(error),
    }
    if running.paused {
        drop(set_frozen(container, false).await);
    }
    let ended = phase.wait_for(|phase| !phase.running);
    if tokio::time::timeout(KILL_TIMEOUT, ended).await.is_err() {
        return Err(EngineError::internal(
            "kill container",
            container.id(),
            format!(
                "tried to kill it, but did not receive an exit event within {} s",
                KILL_TIMEOUT.as_secs()
            ),
        ));
    }
    Ok(())
}

async fn send(
    engine: &Engine,
    container: &Container,
    running: &Running,
    signal: i32,
) -> Result<()> {
    running
        .shim
        .call(Call::Signal { signal, all: false })
        .await?;
    let mut attributes = container.event_attributes();
    attributes.insert("signal".to_owned(), signal.to_string());
    engine
        .events
        .publish(EventKind::Container, "kill", container.id(), attributes);
    Ok(())
}

/// Sends a signal to the first process of a container.
///
/// # Errors
/// `Conflict` when it does not run.
pub(crate) async fn kill(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    signal: i32,
) -> Result<()> {
    let Some(running) = container.running() else {
        return Err(EngineError::Conflict(format!(
            "cannot kill container: {}: container {} is not running",
            container.name(),
            container.id()
        )));
    };
    let own = container
        .record()
        .config
        .stop_signal
        .clone()
        .unwrap_or_default();
    let ends = signal == signals::KILL
        || own.is_empty()
        || signals::parse(&own).is_ok_and(|own| own == signal);
    if ends {
        container.lock().end_asked = true;
        change_record(engine, container, |record| {
            record.state.stopped_by_user = true;
        })
        .await?;
    }
    if signal == signals::KILL {
        return kill_and_wait(engine, container, &running).await;
    }
    send(engine, container, &running, signal).await?;
    if ends && running.paused {
        drop(set_frozen(container, false).await);
        mark_paused(container, false);
    }
    Ok(())
}

/// Stops a container when it runs, and starts it.
///
/// # Errors
/// Those of stopping and starting.
pub(crate) async fn restart(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    request: StopRequest,
) -> Result<()> {
    let _lifecycle = container.lifecycle.lock().await;
    if let Some(running) = container.running() {
        end(engine, container, &running, &request).await?;
    }
    start_locked(engine, container, Starter::User).await?;
    publish(engine, container, "restart");
    Ok(())
}

pub(super) fn mark_paused(container: &Container, paused: bool) {
    if let Some(running) = &mut container.lock().running {
        running.paused = paused;
    }
}

pub(super) async fn set_frozen(container: &Arc<Container>, frozen: bool) -> Result<()> {
    let container = Arc::clone(container);
    blocking::run(move || {
        let what = if frozen { "freeze" } else { "thaw" };
        let failed = || EngineError::io::<cgroups::Error>(what, container.id().to_owned());
        let cgroup = container.cgroup().map_err(failed())?;
        if frozen {
            cgroup.freeze().map_err(failed())
        } else {
            cgroup.thaw().map_err(failed())
        }
    })
    .await
}

/// Freezes every process of a container.
///
/// # Errors
/// `Conflict` when it does not run or is frozen already.
pub(crate) async fn pause(engine: &Arc<Engine>, container: &Arc<Container>) -> Result<()> {
    let _lifecycle = container.lifecycle.lock().await;
    let running = running_or_conflict(container)?;
    if running.paused {
        return Err(EngineError::Conflict(format!(
            "Container {} is already paused",
            container.id()
        )));
    }
    set_frozen(container, true).await?;
    mark_paused(container, true);
    publish(engine, container, "pause");
    Ok(())
}

/// Lets a frozen container go on.
///
/// # Errors
/// `Conflict` when it is not frozen.
pub(crate) async fn unpause(engine: &Arc<Engine>, container: &Arc<Container>) -> Result<()> {
    let _lifecycle = container.lifecycle.lock().await;
    if !container.running().is_some_and(|running| running.paused) {
        return Err(EngineError::Conflict(format!(
            "Container {} is not paused",
            container.id()
        )));
    }
    set_frozen(container, false).await?;
    mark_paused(container, false);
    publish(engine, container, "unpause");
    Ok(())
}

fn running_or_conflict(container: &Container) -> Result<Running> {
    if container.is_restarting() {
        return Err(EngineError::Conflict(format!(
            "Container {} is restarting, wait until the container is running",
            container.id()
        )));
    }
    container.running().ok_or_else(|| {
        EngineError::Conflict(format!("Container {} is not running", container.id()))
    })
}

/// Gives a container another name.
///
/// # Errors
/// `Invalid` for a bad name, `Conflict` when another has it.
pub(crate) async fn rename(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    name: &str,
) -> Result<()> {
    let name = name.strip_prefix('/').unwrap_or(name).to_owned();
    if name.is_empty() {
        return Err(EngineError::Invalid("New name cannot be empty".to_owned()));
    }
    if !id::is_valid_name(&name) {
        return Err(EngineError::Invalid(format!(
            "Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        )));
    }
    let _lifecycle = container.lifecycle.lock().await;
    let old = container.name();
    if old == name {
        return Err(EngineError::Invalid(
            "Renaming a container with the same name as its current name".to_owned(),
        ));
    }
    {
        let (engine, container, name) = (Arc::clone(engine), Arc::clone(container), name.clone());
        blocking::run(move || {
            let claim = engine.containers.claim_name(&name, container.id())?;
            let new = name.clone();
            container.change(&engine.containers.records, |record| record.name = new)?;
            claim.keep();
            if container.running().is_some() {
                engine.networks.rename(container.id(), &name)?;
            }
            Ok(())
        })
        .await?;
    }
    engine.containers.release_name(&old);
    let mut attributes = container.event_attributes();
    attributes.insert("oldName".to_owned(), format!("/{old}"));
    engine
        .events
        .publish(EventKind::Container, "rename", container.id(), attributes);
    Ok(())
}

/// Changes the limits and the restart policy of a container, running or not. Returns what its owner should know.
///
/// # Errors
/// `Invalid` for invalid limits; everything is as it was then.
pub(crate) async fn update(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    asked: ContainerUpdateBody,
) -> Result<Vec<String>> {
    let _lifecycle = container.lifecycle.lock().await;
    if container.is_removing() {
        return Err(EngineError::Conflict(
            "container is marked for removal and cannot be \"update\"".to_owned(),
        ));
    }
    let record = container.record();
    let mut host = record.host_config.clone();
    merge_update(&mut host, asked)?;
    let warnings = limits::check(&mut host)?;
    {
        let (engine, container) = (Arc::clone(engine), Arc::clone(container));
        blocking::run(move || {
            if container.running().is_some() {
                apply(&container, &host)?;
            }
            container.change(&engine.containers.records, |record| {
                record.host_config = host;
            })
        })
        .await?;
    }
    publish(engine, container, "update");
    Ok(warnings)
}

fn apply(container: &Container, after: &HostConfig) -> Result<()> {
    let failed = |error: cgroups::Error| {
        EngineError::Invalid(format!(
            "Cannot update container {}: {error}",
            container.id()
        ))
    };
    let limits = limits::cgroup_resources(after)?;
    // All of it or nothing.
    container
        .cgroup()
        .and_then(|cgroup| cgroup.update(&limits, None))
        .map_err(failed)
}

fn merge_update(host: &mut HostConfig, asked: ContainerUpdateBody) -> Result<()> {
    fn set<T>(field: &mut Option<T>, value: Option<T>, is_given: impl Fn(&T) -> bool) {
        if let Some(value) = value.filter(|value| is_given(value)) {
            *field = Some(value);
        }
    }
    let number = |value: &i64| *value != 0;
    let text = |value: &String| !value.is_empty();
    if asked.nano_cpus.is_some_and(|nano| nano != 0) {
        // The newer way takes the place of the older one.
        host.cpu_quota = Some(0);
        host.cpu_period = Some(0);
    } else if asked.cpu_quota.is_some_and(|quota| quota != 0) {
        host.nano_cpus = Some(0);
    }
    set(&mut host.cpu_shares, asked.cpu_shares, number);
    set(&mut host.nano_cpus, asked.nano_cpus, number);
    set(&mut host.cpu_period, asked.cpu_period, number);
    set(&mut host.cpu_quota, asked.cpu_quota, number);
    set(&mut host.cpuset_cpus, asked.cpuset_cpus, text);
    set(&mut host.cpuset_mems, asked.cpuset_mems, text);
    set(
        &mut host.memory_reservation,
        asked.memory_reservation,
        number,
    );
    set(&mut host.pids_limit, asked.pids_limit, number);
    set(&mut host.blkio_weight, asked.blkio_weight, |weight| {
        *weight != 0
    });
    let memory = asked.memory.unwrap_or(0);
    let swap = asked.memory_swap.unwrap_or(0);
    if memory > 0
        && swap == 0
        && host.memory_swap.unwrap_or(0) > 0
        && memory > host.memory_swap.unwrap_or(0)
    {
        return Err(EngineError::Invalid(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time".to_owned(),
        ));
    }
    set(&mut host.memory, asked.memory, number);
    set(&mut host.memory_swap, asked.memory_swap, number);
    if let Some(policy) = asked.restart_policy.filter(|policy| policy.name.is_some()) {
        let changed = HostConfig {
            restart_policy: Some(policy.clone()),
            auto_remove: host.auto_remove,
            ..HostConfig::default()
        };
        super::create::check_restart(&changed)?;
        host.restart_policy = Some(RestartPolicy {
            maximum_retry_count: Some(policy.maximum_retry_count.unwrap_or(0)),
            ..policy
        });
    }
    Ok(())
}

/// Sets the size of a container's terminal.
///
/// # Errors
/// `Conflict` when it does not run.
pub(crate) async fn resize(
    engine: &Engine,
    container: &Container,
    size: shim_protocol::ConsoleSize,
) -> Result<()> {
    let running = container.require_running()?;
    running
        .shim
        .call(Call::Resize {
            size,
            exec_id: None,
        })
        .await?;
    let mut attributes = container.event_attributes();
    attributes.extend(BTreeMap::from([
        ("height".to_owned(), size.height.to_string()),
        ("width".to_owned(), size.width.to_string()),
    ]));
    engine
        .events
        .publish(EventKind::Container, "resize", container.id(), attributes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_changes_what_it_names_alone() {
        let mut host = HostConfig {
            memory: Some(64 << 20),
            memory_swap: Some(128 << 20),
            nano_cpus: Some(500_000_000),
            ..HostConfig::default()
        };
        let asked = ContainerUpdateBody {
            cpu_quota: Some(20_000),
            memory: Some(0),
            ..ContainerUpdateBody::default()
        };
        merge_update(&mut host, asked).unwrap();
        assert_eq!(host.memory, Some(64 << 20));
        assert_eq!((host.nano_cpus, host.cpu_quota), (Some(0), Some(20_000)));
        let asked = ContainerUpdateBody {
            memory: Some(256 << 20),
            ..ContainerUpdateBody::default()
        };
        assert!(merge_update(&mut host, asked).is_err());
    }
}
