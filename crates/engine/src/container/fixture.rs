//! Containers for unit tests: records without an image or a program.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use bollard_stubs::models::{ContainerConfig, HostConfig};

use super::{
    handle::{Container, Places},
    record::{ContainerRecord, StateRecord},
};

/// Returns a container that was never started.
pub(super) fn container(dir: &Path, host_config: HostConfig) -> Arc<Container> {
    let id = "a".repeat(64);
    let places = Places {
        state_dir: dir.to_owned(),
        bundle_dir: dir.to_owned(),
        cgroup_path: format!("/containeros-test-{}/{id}", std::process::id()),
    };
    let record = ContainerRecord {
        id,
        name: "test".into(),
        created_ns: 0,
        image: format!("sha256:{}", "0".repeat(64)).parse().unwrap(),
        config: ContainerConfig::default(),
        host_config,
        endpoints: BTreeMap::new(),
        mounts: Vec::new(),
        state: StateRecord::created(),
    };
    Container::new(record, places)
}
