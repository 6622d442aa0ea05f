//! A container of our own that holds a volume, so that its files can be reached: made at first use from the starter image,
//! kept a moment for the next look, without network, and hidden from lists.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use api::{id::EngineName, problem::ProblemCode};
use axum::http::StatusCode;
use bollard::{
    Docker,
    models::{ContainerCreateBody, HostConfig, Mount, MountType},
    query_parameters::{
        CreateContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
        StartContainerOptions,
    },
};

use sha2::{Digest as _, Sha256};

use crate::{
    engines::{Deadline, Engine},
    http::ApiError,
    jobs::STARTER,
    state::AppState,
};

/// Marks them, so that what a killed server left is found.
const HELPER_LABEL: &str = "containeros.volume-files";
/// Where the volume is in them.
pub(crate) const MOUNTED_AT: &str = "/volume";
/// Kept so long after the last use.
const KEPT: Duration = Duration::from_secs(20);
/// It ends by itself, should nobody be left to remove it.
const LONGEST: &str = "21600";

type Key = (EngineName, String);

/// The helpers that there are.
#[derive(Debug, Default)]
pub struct Helpers {
    making: tokio::sync::Mutex<()>,
    ready: Mutex<HashMap<Key, Helper>>,
}

#[derive(Debug)]
struct Helper {
    id: String,
    used: Arc<Mutex<Instant>>,
    /// One for the map; more while it is in use.
    in_use: Arc<()>,
}

/// A helper that stays as long as this is held.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) id: String,
    used: Arc<Mutex<Instant>>,
    _in_use: Arc<()>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

impl Helpers {
    /// A running container that has the volume at [`MOUNTED_AT`].
    pub(crate) async fn of(
        &self,
        state: &AppState,
        engine: &Arc<Engine>,
        volume: &str,
    ) -> Result<Lease, ApiError> {
        let key = (engine.name.clone(), volume.to_owned());
        // One at a time: two who look at a volume at once get the same helper.
        let _making = self.making.lock().await;
        if let Some(lease) = self.lease(&key) {
            return Ok(lease);
        }
        let (id, name) = make(engine, volume, &mark(&state.config.state_dir)).await?;
        let used = Arc::new(Mutex::new(Instant::now()));
        let helper = Helper {
            id,
            used,
            in_use: Arc::new(()),
        };
        self.lock().insert(key.clone(), helper);
        let lease = self
            .lease(&key)
            .ok_or_else(|| ApiError::internal("a helper is gone at once"))?;
        let (state, engine) = (state.clone(), Arc::clone(engine));
        state.clone().tasks.spawn(async move {
            state.helpers.keep(&state, &key).await;
            state.helpers.remove(&engine, &key).await;
            // Its last events come a moment later.
            tokio::time::sleep(Duration::from_secs(2)).await;
            engine.mirror.unhide(&name);
        });
        Ok(lease)
    }

    /// Removes the helper of a volume that shall be removed.
    pub(crate) async fn release(&self, engine: &Engine, volume: &str) {
        self.remove(engine, &(engine.name.clone(), volume.to_owned()))
            .await;
    }

    fn lease(&self, key: &Key) -> Option<Lease> {
        let ready = self.lock();
        let helper = ready.get(key)?;
        Some(Lease {
            id: helper.id.clone(),
            used: Arc::clone(&helper.used),
            _in_use: Arc::clone(&helper.in_use),
        })
    }

    /// Waits until nobody has used the helper for a while.
    async fn keep(&self, state: &AppState, key: &Key) {
        loop {
            tokio::select! {
                () = state.stop.cancelled() => return,
                () = tokio::time::sleep(Duration::from_secs(2)) => {}
            }
            let idle = self.lock().get(key).is_none_or(|helper| {
                let used = *helper.used.lock().unwrap_or_else(PoisonError::into_inner);
                Arc::strong_count(&helper.in_use) == 1 && used.elapsed() > KEPT
            });
            if idle {
                return;
            }
        }
    }

    async fn remove(&self, engine: &Engine, key: &Key) {
        let Some(helper) = self.lock().remove(key) else {
            return;
        };
        if let Ok(docker) = engine.docker() {
            remove(&docker, &helper.id).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Helper>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn make(engine: &Engine, volume: &str, mark: &str) -> Result<(String, String), ApiError> {
    // The engine would make a volume of this name.
    engine
        .call(Deadline::Read, |docker| async move {
            docker.inspect_volume(volume).await
        })
        .await?;
    let mut bytes = [0_u8; 6];
    getrandom::fill(&mut bytes).map_err(ApiError::internal)?;
    let name = format!("containeros-files-{}", hex::encode(bytes));
    let mount = Mount {
        typ: Some(MountType::VOLUME),
        source: Some(volume.to_owned()),
        target: Some(MOUNTED_AT.to_owned()),
        // What the image has there must not get into the volume.
        volume_options: Some(bollard::models::MountVolumeOptions {
            no_copy: Some(true),
            ..Default::default()
        }),
        ..Default::default()
    };
    let body = ContainerCreateBody {
        image: Some(STARTER.to_owned()),
        entrypoint: Some(Vec::new()),
        cmd: Some(vec!["sleep".to_owned(), LONGEST.to_owned()]),
        user: Some("0".to_owned()),
        labels: Some(HashMap::from([(HELPER_LABEL.to_owned(), mark.to_owned())])),
        host_config: Some(HostConfig {
            mounts: Some(vec![mount]),
            network_mode: Some("none".to_owned()),
            auto_remove: Some(true),
            init: Some(true),
            memory: Some(256 * 1024 * 1024),
            pids_limit: Some(64),
            ..Default::default()
        }),
        ..Default::default()
    };
    engine.mirror.hide(&name);
    let options = CreateContainerOptionsBuilder::default().name(&name).build();
    let made = engine
        .call(Deadline::Write, |docker| async move {
            docker.create_container(Some(options), body).await
        })
        .await;
    let id = match made {
        Ok(made) => made.id,
        Err(error) => {
            engine.mirror.unhide(&name);
            if error.is_not_found() {
                return Err(ApiError::new(
                    StatusCode::CONFLICT,
                    ProblemCode::Unsupported,
                    format!("the engine has no image {STARTER}, whose tools reach into volumes"),
                )
                .hint("load the starter image into the engine; it comes with ContainerOS"));
            }
            return Err(error.into());
        }
    };
    let key = id.as_str();
    let started = engine
        .call(Deadline::Write, |docker| async move {
            docker
                .start_container(key, None::<StartContainerOptions>)
                .await
        })
        .await;
    if let Err(error) = started {
        if let Ok(docker) = engine.docker() {
            remove(&docker, &id).await;
        }
        engine.mirror.unhide(&name);
        return Err(error.into());
    }
    Ok((id, name))
}

async fn remove(docker: &Docker, id: &str) {
    let options = RemoveContainerOptionsBuilder::default().force(true).build();
    if let Err(error) = docker.remove_container(id, Some(options)).await {
        tracing::debug!(%error, id, "remove a helper");
    }
}

/// Tells helpers of this server from those of others that use the same engine: by where its state is.
fn mark(state_dir: &Path) -> String {
    let host = crate::capabilities::host().hostname;
    let place = format!("{host}:{}", state_dir.display());
    hex::encode(Sha256::digest(place.as_bytes()))
        .chars()
        .take(16)
        .collect()
}

/// Removes the helpers that this server left on an engine when it was killed.
///
/// # Errors
/// The engine's own.
pub(crate) async fn sweep_helpers(
    docker: &Docker,
    state_dir: &Path,
) -> Result<(), bollard::errors::Error> {
    let label = format!("{HELPER_LABEL}={}", mark(state_dir));
    let filters = HashMap::from([("label", vec![label.as_str()])]);
    let options = ListContainersOptionsBuilder::default()
        .all(true)
        .filters(&filters)
        .build();
    for container in docker.list_containers(Some(options)).await? {
        if let Some(id) = container.id {
            remove(docker, &id).await;
        }
    }
    Ok(())
}
