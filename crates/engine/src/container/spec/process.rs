//! The programs that run in a container: its first, and those of `exec`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Security, Shared, Surroundings};
use crate::container::{limits, record::ContainerRecord, user::User};

/// Where a shell looks for programs when nobody says.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Where the first process of `--init` is seen inside.
pub(super) const INIT_PATH: &str = "/sbin/docker-init";

/// The `process` object of the container's first process.
pub(super) fn first(
    record: &ContainerRecord,
    around: &Surroundings,
    security: &Security,
    capabilities: &BTreeSet<String>,
) -> Value {
    let config = &record.config;
    let mut args = record.command_line();
    // Where the first process of another namespace reaps orphans, one more would do nothing.
    if record.host_config.init == Some(true) && around.pid == Shared::Own {
        args.splice(0..0, [INIT_PATH.to_owned(), "--".to_owned()]);
    }
    let mut process = common(record, &around.user, capabilities, config.tty == Some(true));
    let own_env = config.env.clone().unwrap_or_default();
    process.insert("args".into(), json!(args));
    process.insert(
        "env".into(),
        json!(environment(
            record,
            own_env,
            &around.user,
            config.tty == Some(true)
        )),
    );
    process.insert("cwd".into(), working_dir(record).into());
    process.insert("noNewPrivileges".into(), security.no_new_privileges.into());
    if !security.apparmor_profile.is_empty() {
        process.insert(
            "apparmorProfile".into(),
            security.apparmor_profile.clone().into(),
        );
    }
    if let Some(adj) = record.host_config.oom_score_adj.filter(|adj| *adj != 0) {
        process.insert("oomScoreAdj".into(), adj.into());
    }
    Value::Object(process)
}

/// What is asked of an `exec`.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExecProcess {
    /// Program and arguments.
    pub(crate) command: Vec<String>,
    /// Added to the container's environment.
    pub(crate) env: Vec<String>,
    /// Absolute; the container's own when empty.
    pub(crate) working_dir: String,
    /// With a terminal.
    pub(crate) terminal: bool,
    /// With all capabilities.
    pub(crate) privileged: bool,
}

/// The `process` object of one more process in a running container.
///
/// # Errors
/// Those of the security options, which were read when the container was made.
pub(crate) fn exec_process(
    record: &ContainerRecord,
    user: &User,
    asked: &ExecProcess,
) -> crate::error::Result<Value> {
    let host = &record.host_config;
    let security = Security::parse(host)?;
    let capabilities = crate::container::capabilities::effective(
        host.cap_add.as_deref().unwrap_or_default(),
        host.cap_drop.as_deref().unwrap_or_default(),
        asked.privileged || host.privileged == Some(true),
    )?;
    let mut process = common(record, user, &capabilities, asked.terminal);
    let mut own_env = record.config.env.clone().unwrap_or_default();
    override_env(&mut own_env, &asked.env);
    process.insert("args".into(), json!(asked.command));
    process.insert(
        "env".into(),
        json!(environment(record, own_env, user, asked.terminal)),
    );
    let cwd = match asked.working_dir.as_str() {
        "" => working_dir(record),
        dir => dir.to_owned(),
    };
    process.insert("cwd".into(), cwd.into());
    process.insert(
        "noNewPrivileges".into(),
        (security.no_new_privileges && !asked.privileged).into(),
    );
    if !security.apparmor_profile.is_empty() && !asked.privileged {
        process.insert("apparmorProfile".into(), security.apparmor_profile.into());
    }
    Ok(Value::Object(process))
}

fn common(
    record: &ContainerRecord,
    user: &User,
    capabilities: &BTreeSet<String>,
    terminal: bool,
) -> Map<String, Value> {
    // For others than root the kernel takes the rest away anyway; this is what Docker asks for.
    let held = if user.uid == 0 {
        json!(capabilities)
    } else {
        json!([])
    };
    let rlimits: Vec<Value> = record
        .host_config
        .ulimits
        .iter()
        .flatten()
        .filter_map(|limit| {
            let kind = limits::rlimit_name(limit.name.as_deref()?)?;
            // -1 is "no limit", which the runtime-spec writes as the largest number.
            let number = |value: Option<i64>| u64::try_from(value.unwrap_or(0)).unwrap_or(u64::MAX);
            Some(json!({"type": kind, "soft": number(limit.soft), "hard": number(limit.hard)}))
        })
        .collect();
    let process = json!({
        "terminal": terminal,
        "user": {"uid": user.uid, "gid": user.gid, "additionalGids": user.additional_gids},
        "capabilities": {
            "bounding": capabilities,
            "effective": held.clone(),
            "permitted": held,
            "inheritable": [],
            "ambient": [],
        },
        "rlimits": rlimits,
    });
    match process {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn working_dir(record: &ContainerRecord) -> String {
    match record.config.working_dir.as_deref() {
        None | Some("") => "/".to_owned(),
        Some(dir) => dir.to_owned(),
    }
}

/// The environment: what every container has, under what it says itself.
fn environment(
    record: &ContainerRecord,
    own: Vec<String>,
    user: &User,
    terminal: bool,
) -> Vec<String> {
    let mut env = vec![format!("PATH={DEFAULT_PATH}")];
    if let Some(name) = record
        .config
        .hostname
        .as_deref()
        .filter(|name| !name.is_empty())
    {
        env.push(format!("HOSTNAME={name}"));
    }
    if terminal {
        env.push("TERM=xterm".to_owned());
    }
    override_env(&mut env, &own);
    if !env.iter().any(|entry| entry.starts_with("HOME=")) {
        let home = if user.home.is_empty() {
            "/"
        } else {
            &user.home
        };
        env.push(format!("HOME={home}"));
    }
    env
}

/// Puts entries over those of the same name; an entry without a value takes the name away.
fn override_env(env: &mut Vec<String>, more: &[String]) {
    for entry in more {
        let name = entry.split('=').next().unwrap_or(entry);
        let place = env
            .iter()
            .position(|other| other.split('=').next() == Some(name));
        match (place, entry.contains('=')) {
            (Some(place), true) => {
                if let Some(old) = env.get_mut(place) {
                    old.clone_from(entry);
                }
            }
            (Some(place), false) => {
                env.remove(place);
            }
            (None, true) => env.push(entry.clone()),
            (None, false) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_entries_win_in_place_and_bare_names_are_taken_away() {
        let mut env = vec!["A=1".to_owned(), "B=2".to_owned()];
        override_env(&mut env, &["B=3".into(), "C=4".into(), "A".into()]);
        assert_eq!(env, ["B=3", "C=4"]);
    }
}
