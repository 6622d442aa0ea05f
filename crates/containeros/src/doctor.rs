//! `doctor`: what this machine can do, what it cannot, and what would help.

use std::{io::Write as _, path::Path, process::ExitCode};

use anyhow::Context as _;
use serde::Serialize;

use crate::settings::Settings;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// Fine.
    Ok,
    /// Works with less.
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "only Mini's checks know a middle way")
    )]
    Warning,
    /// Does not work.
    Missing,
}

/// One check.
#[derive(Clone, Debug, Serialize)]
struct Check {
    name: &'static str,
    verdict: Verdict,
    /// What was found.
    found: String,
    /// What would help.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

fn check(name: &'static str, verdict: Verdict, found: impl Into<String>, remedy: &str) -> Check {
    let remedy = (verdict != Verdict::Ok).then(|| remedy.to_owned());
    Check {
        name,
        verdict,
        found: found.into(),
        remedy,
    }
}

/// Looks at everything; the exit code is 1 when something that both engines need is missing.
pub(crate) async fn run(settings: &Settings, json: bool) -> anyhow::Result<ExitCode> {
    let mut checks = vec![state_dir(settings)];
    checks.push(docker(settings).await);
    checks.extend(mini(settings));
    let mut out = std::io::stdout();
    if json {
        let text = serde_json::to_string_pretty(&checks).context("write the checks")?;
        writeln!(out, "{text}").context("print")?;
    } else {
        for check in &checks {
            let mark = match check.verdict {
                Verdict::Ok => "ok     ",
                Verdict::Warning => "warning",
                Verdict::Missing => "MISSING",
            };
            writeln!(out, "{mark}  {:<18} {}", check.name, check.found).context("print")?;
            if let Some(remedy) = &check.remedy {
                writeln!(out, "{:>9}{:<18}  → {remedy}", "", "").context("print")?;
            }
        }
    }
    let lacks = |names: &[&str]| {
        checks
            .iter()
            .any(|c| c.verdict == Verdict::Missing && names.contains(&c.name))
    };
    let no_docker = lacks(&["docker"]);
    let no_mini = checks
        .iter()
        .any(|c| c.verdict == Verdict::Missing && c.name != "docker");
    Ok(if lacks(&["state directory"]) || (no_docker && no_mini) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn state_dir(settings: &Settings) -> Check {
    let directory = &settings.state_dir;
    // Looking must change nothing, so it is not made here.
    let existing = directory.ancestors().find(|path| path.exists());
    let writable = existing.is_some_and(may_write);
    let found = match existing {
        Some(path) if path == directory => directory.display().to_string(),
        _ => format!("{} (made at the first start)", directory.display()),
    };
    check(
        "state directory",
        if writable {
            Verdict::Ok
        } else {
            Verdict::Missing
        },
        if writable {
            found
        } else {
            format!("{} may not be written", directory.display())
        },
        "run as root, or choose another with --state-dir",
    )
}

#[cfg(unix)]
fn may_write(directory: &Path) -> bool {
    use rustix::fs::{Access, access};
    access(directory, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

#[cfg(not(unix))]
fn may_write(directory: &Path) -> bool {
    directory
        .metadata()
        .is_ok_and(|found| !found.permissions().readonly())
}

async fn docker(settings: &Settings) -> Check {
    match server::engines::probe_docker(settings.docker.as_deref()).await {
        Ok(found) => check("docker", Verdict::Ok, found, ""),
        Err(reason) => check(
            "docker",
            Verdict::Missing,
            reason,
            "install it (on Debian: apt install docker.io), start it, or name it with --docker URL",
        ),
    }
}

#[cfg(target_os = "linux")]
fn mini(settings: &Settings) -> Vec<Check> {
    use Verdict::{Missing, Ok, Warning};
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let verdict = |fine: bool, otherwise: Verdict| if fine { Ok } else { otherwise };
    let mut checks = Vec::new();

    let root = server::process::is_root();
    checks.push(check(
        "root",
        verdict(root, Missing),
        if root { "yes" } else { "no" },
        "Mini needs root: run with sudo",
    ));

    let release = read("/proc/sys/kernel/osrelease").trim().to_owned();
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    let version = (
        numbers.next().unwrap_or_default(),
        numbers.next().unwrap_or_default(),
    );
    checks.push(check(
        "kernel",
        verdict(version >= (5, 10), Missing),
        release,
        "Mini needs Linux 5.10 or newer",
    ));

    let overlay = read("/proc/filesystems")
        .lines()
        .any(|line| line.trim_start_matches("nodev").trim() == "overlay");
    let found = if overlay { "overlay" } else { "not registered" };
    checks.push(check(
        "overlayfs",
        verdict(overlay, Warning),
        found,
        "modprobe overlay; without it each container copies its image",
    ));

    let wanted = ["pid", "mnt", "net", "uts", "ipc", "cgroup", "user"];
    let lacking: Vec<&str> = wanted
        .into_iter()
        .filter(|kind| !Path::new("/proc/self/ns").join(kind).exists())
        .collect();
    let found = if lacking.is_empty() {
        wanted.join(" ")
    } else {
        format!("without {}", lacking.join(" "))
    };
    checks.push(check(
        "namespaces",
        verdict(lacking.is_empty(), Missing),
        found,
        "use a kernel with all CONFIG_*_NS",
    ));

    let status = read("/proc/self/status");
    let seccomp = status.lines().any(|line| line.starts_with("Seccomp:"));
    let found = if seccomp { "filter" } else { "none" };
    checks.push(check(
        "seccomp",
        verdict(seccomp, Missing),
        found,
        "use a kernel with CONFIG_SECCOMP_FILTER",
    ));

    checks.extend(cgroups(
        &read("/proc/self/mounts"),
        &read("/sys/fs/cgroup/cgroup.controllers"),
    ));

    let nft = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"]
        .into_iter()
        .find(|path| Path::new(path).exists());
    let remedy =
        "install nftables (on Debian: apt install nftables); without it no port is published";
    checks.push(check(
        "nft",
        verdict(nft.is_some(), Warning),
        nft.unwrap_or("not found"),
        remedy,
    ));

    let program = settings.mini_path.exists();
    let remedy = "build it with `make build`, or name it with --mini-path";
    checks.push(check(
        "mini program",
        verdict(program, Missing),
        settings.mini_path.display().to_string(),
        remedy,
    ));

    let pressure = Path::new("/proc/pressure/cpu").exists();
    let found = if pressure { "counted" } else { "not counted" };
    checks.push(check(
        "pressure",
        verdict(pressure, Warning),
        found,
        "boot with psi=1 to see how long tasks wait",
    ));
    checks
}

/// Which hierarchy each controller that Mini uses is on.
#[cfg(target_os = "linux")]
fn cgroups(mounts: &str, unified: &str) -> Vec<Check> {
    const WANTED: [&str; 5] = ["cpu", "memory", "pids", "cpuset", "io"];
    let on_v1 = |controller: &str| {
        let name = if controller == "io" {
            "blkio"
        } else {
            controller
        };
        mounts
            .lines()
            .filter(|line| line.split(' ').nth(2) == Some("cgroup"))
            .any(|line| {
                line.split(' ')
                    .nth(3)
                    .is_some_and(|options| options.split(',').any(|option| option == name))
            })
    };
    let on_v2 = |controller: &str| unified.split_whitespace().any(|name| name == controller);
    let place = |controller: &&str| match (on_v1(controller), on_v2(controller)) {
        (true, _) => format!("{controller}: v1"),
        (false, true) => format!("{controller}: v2"),
        (false, false) => format!("{controller}: none"),
    };
    let found: Vec<String> = WANTED.iter().map(place).collect();
    let lacking = found.iter().any(|text| text.ends_with("none"));
    let verdict = if lacking {
        Verdict::Warning
    } else {
        Verdict::Ok
    };
    vec![check(
        "control groups",
        verdict,
        found.join(", "),
        "limits of a controller that is on no hierarchy cannot be set",
    )]
}

#[cfg(not(target_os = "linux"))]
fn mini(_settings: &Settings) -> Vec<Check> {
    vec![check(
        "mini",
        Verdict::Missing,
        "Mini needs Linux",
        "run ContainerOS on Linux, or in WSL 2 on Windows",
    )]
}
