//! An engine on directories of its own with one container that does not run, for tests of its files.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use bollard_stubs::models::{ContainerConfig, HostConfig, VolumeCreateRequest};
use bytes::Bytes;

use super::{
    handle::Container,
    mounts::{MountRecord, MountSource},
    record::{ContainerRecord, StateRecord},
};
use crate::{EngineConfig, engine::Engine, id, image::ImportSource};

/// An engine with one container that does not run: image, a volume at `/data`, a directory of the host at `/host`.
pub(super) struct Fixture {
    pub(super) dir: tempfile::TempDir,
    pub(super) engine: Arc<Engine>,
    pub(super) container: Arc<Container>,
    pub(super) runtime: tokio::runtime::Runtime,
}

pub(super) const ID_PASSWD: &str = "root:x:0:0::/root:/bin/sh\nweb:x:33:44::/:/bin/sh\n";

/// An archive: names that end with a slash are directories, contents that begin with an arrow are links.
pub(super) fn tar_of(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(if name.ends_with('/') { 0o755 } else { 0o644 });
        header.set_mtime(1_700_000_000);
        if let Some(target) = content.strip_prefix("-> ") {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, name, target).unwrap();
            continue;
        }
        if name.ends_with('/') {
            header.set_entry_type(tar::EntryType::Directory);
        }
        header.set_size(content.len() as u64);
        builder
            .append_data(&mut header, name, content.as_bytes())
            .unwrap();
    }
    builder.into_inner().unwrap()
}

pub(super) fn fixture(change: impl FnOnce(&mut ContainerRecord)) -> Fixture {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("shared")).unwrap();
    fs::write(dir.path().join("shared/file"), "of the host").unwrap();
    let place = |name: &str| dir.path().join(name);
    let config = EngineConfig::new(place("state"), place("run"), "/nonexistent/mini".into());
    let (engine, container) = runtime.block_on(async {
        let engine = Engine::open(config).await.unwrap();
        let archive = tar_of(&[
            ("etc/", ""),
            ("etc/passwd", ID_PASSWD),
            ("etc/link", "-> passwd"),
            ("dir", "-> /etc"),
            ("chain", "-> dir/../dir/link"),
            ("out", "-> ../../../../../../../../etc"),
            ("nowhere", "-> /etc/missing/x"),
            ("loop", "-> loop"),
            ("tmp/", ""),
            ("tmp/old", "old"),
        ]);
        let body = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from(archive))]);
        let image = engine
            .images
            .import(body, ImportSource::default())
            .await
            .unwrap();
        let id = id::generate().unwrap();
        engine.images.snapshots().prepare(&id, &image).unwrap();
        let volume = VolumeCreateRequest {
            name: Some("vol".into()),
            ..VolumeCreateRequest::default()
        };
        engine.volumes.create(volume).unwrap();
        let mount = |destination: &str, source, read_only| MountRecord {
            destination: destination.into(),
            source,
            read_only,
            mode: String::new(),
            propagation: String::new(),
        };
        let volume = MountSource::Volume {
            name: "vol".into(),
            anonymous: false,
            copy: false,
            subpath: String::new(),
        };
        let bind = |path: &Path| MountSource::Bind {
            path: path.to_str().unwrap().into(),
            create: false,
            non_recursive: false,
        };
        let mut record = ContainerRecord {
            id,
            name: "box".into(),
            created_ns: 0,
            image: image.id.clone(),
            config: ContainerConfig::default(),
            host_config: HostConfig::default(),
            endpoints: BTreeMap::new(),
            mounts: vec![
                mount("/data", volume, false),
                mount("/host", bind(&place("shared")), true),
                mount("/etc/hosts", bind(&place("shared/file")), false),
            ],
            state: StateRecord::created(),
        };
        change(&mut record);
        let container = engine.containers.insert(record);
        (engine, container)
    });
    Fixture {
        dir,
        engine,
        container,
        runtime,
    }
}
