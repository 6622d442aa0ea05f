//! Makes the starter image: `containeros/starter:latest`, an archive that is an OCI layout and a Docker archive at once.
//!
//! Made of a static busybox and our own `lab`, without any other tool and without the network; the same inputs give the
//! same bytes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use sha2::Digest as _;

const NAME: &str = "containeros/starter:latest";
/// Every file's time, and the image's: 2026-01-01T00:00:00Z.
const TIME_UNIX_S: u64 = 1_767_225_600;
const TIME: &str = "2026-01-01T00:00:00Z";

const DIRECTORIES: [(&str, u32); 24] = [
    ("bin", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("sbin", 0o755),
    ("srv", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("usr/bin", 0o755),
    ("usr/sbin", 0o755),
    ("usr/share", 0o755),
    ("usr/share/udhcpc", 0o755),
    ("var", 0o755),
    ("var/log", 0o755),
    ("var/spool", 0o755),
    ("var/tmp", 0o1777),
    ("var/www", 0o755),
    ("data", 0o755),
];

const FILES: [(&str, &str); 9] = [
    (
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nbin:x:2:2:bin:/bin:/bin/false\n\
         www-data:x:33:33:www-data:/var/www:/bin/false\nuser:x:1000:1000:user:/home:/bin/sh\n\
         nobody:x:65534:65534:nobody:/:/bin/false\n",
    ),
    (
        "etc/group",
        "root:x:0:\ndaemon:x:1:\nbin:x:2:\ntty:x:5:\nwww-data:x:33:\nusers:x:100:\nuser:x:1000:\nnogroup:x:65534:\n",
    ),
    (
        "etc/nsswitch.conf",
        "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
    ),
    ("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    (
        "etc/services",
        "ssh 22/tcp\ndomain 53/tcp\ndomain 53/udp\nhttp 80/tcp\nntp 123/udp\nhttps 443/tcp\n",
    ),
    (
        "etc/protocols",
        "ip 0 IP\nicmp 1 ICMP\ntcp 6 TCP\nudp 17 UDP\n",
    ),
    (
        "etc/profile",
        "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nexport PS1='\\u@\\h:\\w\\$ '\n",
    ),
    (
        "etc/os-release",
        "NAME=\"ContainerOS starter\"\nID=containeros-starter\nPRETTY_NAME=\"ContainerOS starter image\"\n",
    ),
    (
        "var/www/index.html",
        "<!doctype html><title>starter</title><p>It works.</p>\n",
    ),
];

/// Runs `starter --busybox PATH --lab PATH --out PATH`.
pub(crate) fn run(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<()> {
    let (mut busybox, mut lab, mut out) = (None, None, None);
    while let Some(argument) = arguments.next() {
        let place = match argument.as_str() {
            "--busybox" => &mut busybox,
            "--lab" => &mut lab,
            "--out" => &mut out,
            other => bail!("unknown option {other:?}"),
        };
        *place = Some(PathBuf::from(
            arguments.next().context("an option lacks its value")?,
        ));
    }
    let busybox = busybox.context("missing --busybox")?;
    let lab = lab.context("missing --lab")?;
    let out = out.context("missing --out")?;
    let applets = applets(&busybox)?;
    let archive = archive(&layer(&program(&busybox)?, &program(&lab)?, &applets)?)?;
    if let Some(parent) = out.parent() {
        fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
    }
    let temporary = out.with_extension("tmp");
    fs::write(&temporary, archive).with_context(|| format!("write {}", temporary.display()))?;
    fs::rename(&temporary, &out).with_context(|| format!("rename to {}", out.display()))
}

/// A program that runs in an image without any library.
fn program(path: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    ensure!(
        bytes.starts_with(b"\x7fELF"),
        "{} is no program",
        path.display()
    );
    // A dynamic program names its loader.
    let dynamic = bytes
        .windows(10)
        .any(|window| window == b"/ld-linux-" || window == b"/ld-linux.");
    ensure!(!dynamic, "{} is not static", path.display());
    Ok(bytes)
}

/// Where busybox wants its links, such as `bin/ls`; sorted.
fn applets(busybox: &Path) -> anyhow::Result<Vec<String>> {
    let path = fs::canonicalize(busybox).with_context(|| format!("find {}", busybox.display()))?;
    let output = Command::new(&path)
        .arg("--list-full")
        .env_clear()
        .output()
        .with_context(|| format!("run {}", path.display()))?;
    ensure!(
        output.status.success(),
        "{} --list-full: {}",
        path.display(),
        output.status
    );
    let mut applets: Vec<String> = String::from_utf8(output.stdout)?
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && *line != "bin/busybox" && *line != "linuxrc")
        .map(Into::into)
        .collect();
    applets.sort();
    applets.dedup();
    Ok(applets)
}

/// The archive of the root file system.
fn layer(busybox: &[u8], lab: &[u8], applets: &[String]) -> anyhow::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, mode) in DIRECTORIES {
        let mut header = header(tar::EntryType::Directory, mode, 0);
        builder.append_data(&mut header, format!("{path}/"), std::io::empty())?;
    }
    for (path, bytes) in [("bin/busybox", busybox), ("usr/bin/lab", lab)] {
        let mut header = header(tar::EntryType::Regular, 0o755, bytes.len());
        builder.append_data(&mut header, path, bytes)?;
    }
    for (path, text) in FILES {
        let mut header = header(tar::EntryType::Regular, 0o644, text.len());
        builder.append_data(&mut header, path, text.as_bytes())?;
    }
    for applet in applets {
        let mut header = header(tar::EntryType::Symlink, 0o777, 0);
        builder.append_link(&mut header, applet, "/bin/busybox")?;
    }
    Ok(builder.into_inner()?)
}

/// The image around its one layer.
fn archive(layer: &[u8]) -> anyhow::Result<Vec<u8>> {
    let layer_digest = digest(layer);
    let config = serde_json::to_vec(&json!({
        "architecture": match std::env::consts::ARCH { "x86_64" => "amd64", "aarch64" => "arm64", other => other },
        "os": "linux",
        "created": TIME,
        "author": "ContainerOS",
        "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "Cmd": ["sh"],
            "WorkingDir": "/",
            "Labels": {
                "org.opencontainers.image.title": "ContainerOS starter",
                "org.opencontainers.image.description": "busybox and lab, a workload for trying out containers: run `lab help`",
                "org.opencontainers.image.vendor": "ContainerOS",
            },
        },
        "rootfs": { "type": "layers", "diff_ids": [layer_digest] },
        "history": [{ "created": TIME, "created_by": "cargo xtask starter", "comment": "busybox-static and lab" }],
    }))?;
    let descriptor = |media_type: &str, bytes: &[u8]| json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() });
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
    }))?;
    let mut named: Value = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
    named["annotations"] = json!({
        "io.containerd.image.name": format!("docker.io/{NAME}"),
        "org.opencontainers.image.ref.name": "latest",
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [named],
    });
    let docker = json!([{
        "Config": blob_path(&config),
        "RepoTags": [NAME],
        "Layers": [blob_path(layer)],
    }]);
    let mut builder = tar::Builder::new(Vec::new());
    for path in ["blobs/", "blobs/sha256/"] {
        let mut header = header(tar::EntryType::Directory, 0o755, 0);
        builder.append_data(&mut header, path, std::io::empty())?;
    }
    let files = [
        (blob_path(layer), layer.to_vec()),
        (blob_path(&config), config),
        (blob_path(&manifest), manifest),
        ("index.json".into(), serde_json::to_vec(&index)?),
        ("manifest.json".into(), serde_json::to_vec(&docker)?),
        (
            "oci-layout".into(),
            br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec(),
        ),
    ];
    for (path, bytes) in files {
        let mut header = header(tar::EntryType::Regular, 0o644, bytes.len());
        builder.append_data(&mut header, path, bytes.as_slice())?;
    }
    Ok(builder.into_inner()?)
}

fn header(kind: tar::EntryType, mode: u32, size: usize) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size as u64);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(TIME_UNIX_S);
    header
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(sha2::Sha256::digest(bytes)))
}

fn blob_path(bytes: &[u8]) -> String {
    format!("blobs/{}", digest(bytes).replacen(':', "/", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_inputs_give_the_same_image() {
        let make = || {
            let layer = layer(b"busybox", b"lab", &["bin/ls".to_owned()]).unwrap();
            archive(&layer).unwrap()
        };
        assert_eq!(make(), make());
        let bytes = make();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let names: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert!(
            names.contains(&"manifest.json".to_owned()) && names.contains(&"index.json".to_owned())
        );
    }
}
