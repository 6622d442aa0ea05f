//! Making containers: a request is checked whole before anything is made, and what was made is taken back when the rest
//! does not work.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bollard_stubs::models::{
    ContainerConfig, ContainerCreateBody, EndpointSettings, HostConfig, HostConfigCgroupnsModeEnum,
    HostConfigIsolationEnum, RestartPolicyNameEnum,
};
use serde_json::Value;

use super::{
    containers::NameClaim,
    handle::Container,
    limits,
    mounts::{self, MountPlan, MountRecord, MountSource},
    names,
    record::{ContainerRecord, StateRecord},
    spec,
};
use crate::{
    engine::Engine,
    error::{EngineError, Result},
    events::EventKind,
    id,
    image::{Image, Platform},
    network::{
        DEFAULT_NETWORK, EndpointRequest, HOST_NETWORK, NONE_NETWORK, parse_bindings,
        parse_port_key,
    },
    time,
};

/// `/dev/shm` when nobody says how large.
const DEFAULT_SHM_BYTES: i64 = 64 * 1024 * 1024;
/// Processes and threads of a container when nobody says how many: one that only forks takes nothing from the others.
const DEFAULT_PIDS_LIMIT: i64 = 2048;
/// Ways to keep a log that clients may name; all of them are the shim's own file here.
const LOG_DRIVERS: [&str; 4] = ["", "json-file", "local", "none"];
const LOG_OPTIONS: [&str; 9] = [
    "max-size",
    "max-file",
    "mode",
    "max-buffer-size",
    "labels",
    "labels-regex",
    "env",
    "env-regex",
    "tag",
];

/// What is to be made.
#[derive(Debug)]
pub(crate) struct CreateRequest {
    /// Its name; one is made up when it has none.
    pub(crate) name: Option<String>,
    /// What the client sent.
    pub(crate) body: Value,
    /// The platform that its image must be of.
    pub(crate) platform: Option<Platform>,
}

/// What was made.
#[derive(Debug)]
pub(crate) struct Created {
    /// The container.
    pub(crate) container: Arc<Container>,
    /// What its creator should know.
    pub(crate) warnings: Vec<String>,
}

fn invalid<T>(message: impl Into<String>) -> Result<T> {
    Err(EngineError::Invalid(message.into()))
}

/// Makes a container. Blocks.
///
/// # Errors
/// `NotFound` for an unknown image or network, `Conflict` for a name in use, `Invalid` and `Unsupported` for what cannot
/// be. Nothing is made then.
pub(crate) fn create(engine: &Engine, request: CreateRequest) -> Result<Created> {
    let (mut config, mut host, asked_endpoints) = read_body(request.body)?;
    if let Some(name) = request
        .name
        .as_deref()
        .filter(|name| !id::is_valid_name(name))
    {
        return invalid(format!(
            "Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        ));
    }
    let image = image(engine, &config, request.platform.as_ref())?;
    merge_image(&mut config, &image);
    let id = id::generate()?;
    check_config(&mut config, &host, &id)?;
    refuse_unsupported(&host)?;
    let warnings = limits::check(&mut host)?;
    put_defaults(&mut host);
    check_host(engine, &config, &host)?;
    let endpoints = endpoints(engine, &host, asked_endpoints)?;
    let plans = mounts::plan(&config, &host, |other| {
        Ok(engine.containers.resolve(other)?.record().mounts.clone())
    })?;
    let name = claim_name(engine, request.name.as_deref(), &id)?;
    let mut record = ContainerRecord {
        id: id.clone(),
        name: name.text().to_owned(),
        created_ns: time::now_ns(),
        image: image.id.clone(),
        config,
        host_config: host,
        endpoints,
        mounts: Vec::new(),
        state: StateRecord::created(),
    };
    let mut made = Made {
        engine,
        id: &id,
        anonymous: Vec::new(),
        kept: false,
    };
    record.mounts = made.volumes(plans)?;
    engine.images.snapshots().prepare(&id, &image)?;
    engine
        .containers
        .records
        .save(&id, &record)
        .map_err(EngineError::io("write the record of", &id))?;
    made.kept = true;
    let container = engine.containers.insert(record);
    name.keep();
    engine.events.publish(
        EventKind::Container,
        "create",
        &id,
        container.event_attributes(),
    );
    Ok(Created {
        container,
        warnings,
    })
}

/// What a create has made so far; taken back unless it is kept.
struct Made<'a> {
    engine: &'a Engine,
    id: &'a str,
    /// Volumes that nobody named.
    anonymous: Vec<String>,
    kept: bool,
}

impl Made<'_> {
    /// Makes the volumes of all mounts and notes that this container uses them.
    fn volumes(&mut self, plans: Vec<MountPlan>) -> Result<Vec<MountRecord>> {
        let mut records = Vec::with_capacity(plans.len());
        for plan in plans {
            let mut record = plan.record;
            if let (MountSource::Volume { name, .. }, Some(request)) =
                (&mut record.source, &plan.volume)
            {
                *name = self.engine.volumes.ensure(request)?;
                if request.name.is_none() {
                    self.anonymous.push(name.clone());
                }
            }
            if let Some(name) = record.volume() {
                self.engine.volumes.hold(self.id, [name])?;
            }
            records.push(record);
        }
        Ok(records)
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        self.engine.volumes.let_go(self.id);
        for name in &self.anonymous {
            if let Err(error) = self.engine.volumes.remove(name, true) {
                tracing::warn!(volume = name, %error, "take back a volume");
            }
        }
        if let Err(error) = self.engine.images.snapshots().remove(self.id) {
            tracing::warn!(container = self.id, %error, "take back a root file system");
        }
        if let Err(error) = self.engine.containers.records.remove(self.id) {
            tracing::warn!(container = self.id, %error, "take back a record");
        }
    }
}

fn claim_name<'a>(engine: &'a Engine, asked: Option<&str>, id: &str) -> Result<NameClaim<'a>> {
    if let Some(name) = asked {
        return engine.containers.claim_name(name, id);
    }
    let mut attempt = 0;
    loop {
        match engine.containers.claim_name(&names::random(attempt)?, id) {
            Err(EngineError::Conflict(_)) if attempt < 100 => attempt += 1,
            other => return other,
        }
    }
}

type Endpoints = HashMap<String, EndpointSettings>;

fn read_body(mut body: Value) -> Result<(ContainerConfig, HostConfig, Endpoints)> {
    let Some(fields) = body.as_object_mut() else {
        return invalid("invalid JSON: the body must be an object");
    };
    // Docker takes a single word for these lists.
    for key in ["Cmd", "Entrypoint", "Shell"] {
        if let Some(value) = fields.get_mut(key)
            && value.is_string()
        {
            *value = Value::Array(vec![value.take()]);
        }
    }
    let body: ContainerCreateBody = serde_json::from_value(body)
        .map_err(|error| EngineError::Invalid(format!("invalid JSON: {error}")))?;
    let config = ContainerConfig {
        hostname: body.hostname,
        domainname: body.domainname,
        user: body.user,
        attach_stdin: body.attach_stdin,
        attach_stdout: body.attach_stdout,
        attach_stderr: body.attach_stderr,
        exposed_ports: body.exposed_ports,
        tty: body.tty,
        open_stdin: body.open_stdin,
        stdin_once: body.stdin_once,
        env: body.env,
        cmd: body.cmd,
        healthcheck: body.healthcheck,
        args_escaped: body.args_escaped,
        image: body.image,
        volumes: body.volumes,
        working_dir: body.working_dir,
        entrypoint: body.entrypoint,
        network_disabled: body.network_disabled,
        on_build: body.on_build,
        labels: body.labels,
        stop_signal: body.stop_signal,
        stop_timeout: body.stop_timeout,
        shell: body.shell,
    };
    let endpoints = body
        .networking_config
        .and_then(|networking| networking.endpoints_config)
        .unwrap_or_default();
    Ok((config, body.host_config.unwrap_or_default(), endpoints))
}

fn image(
    engine: &Engine,
    config: &ContainerConfig,
    platform: Option<&Platform>,
) -> Result<Arc<Image>> {
    let name = config.image.as_deref().unwrap_or_default();
    if name.is_empty() {
        return invalid("no image specified: the request has no Image");
    }
    let image = engine.images.resolve(name)?;
    if let Some(platform) = platform
        && !platform.takes(&Platform {
            os: image.config.os.clone(),
            architecture: image.config.architecture.clone(),
            variant: image.config.variant.clone(),
        })
    {
        return Err(EngineError::NotFound(format!(
            "image with reference {name} was found but does not match the specified platform: wanted {platform}, actual: {}/{}",
            image.config.os, image.config.architecture
        )));
    }
    Ok(image)
}

/// Puts in what the image says where the creator says nothing.
fn merge_image(config: &mut ContainerConfig, image: &Image) {
    let defaults = &image.config.config;
    let is_blank = |text: &Option<String>| text.as_deref().unwrap_or_default().is_empty();
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    if is_blank(&config.user) {
        config.user = given(&defaults.user);
    }
    if is_blank(&config.working_dir) {
        config.working_dir = given(&defaults.working_dir);
    }
    if is_blank(&config.stop_signal) {
        config.stop_signal = given(&defaults.stop_signal);
    }
    config.stop_timeout = config.stop_timeout.or(defaults.stop_timeout);
    let no_entrypoint = config.entrypoint.as_ref().is_none_or(Vec::is_empty);
    if no_entrypoint {
        if config.cmd.as_ref().is_none_or(Vec::is_empty) {
            config.cmd = Some(defaults.cmd.clone());
        }
        if config.entrypoint.is_none() && !defaults.entrypoint.is_empty() {
            config.entrypoint = Some(defaults.entrypoint.clone());
        }
    }
    if config.entrypoint.as_deref() == Some(&[String::new()]) {
        // `--entrypoint ""`: none, and the image's is not taken either.
        config.entrypoint = None;
    }
    config.entrypoint = config.entrypoint.take().filter(|words| !words.is_empty());
    let mut env = config.env.take().unwrap_or_default();
    for entry in &defaults.env {
        let key = entry.split('=').next().unwrap_or(entry);
        let same = |other: &String| other.split('=').next() == Some(key);
        if !env.iter().any(same) {
            env.push(entry.clone());
        }
    }
    // `-e NAME` without a value takes the name away.
    env.retain(|entry| entry.contains('='));
    config.env = Some(env);
    merge_list(&mut config.exposed_ports, defaults.exposed_ports.keys());
    merge_list(&mut config.volumes, defaults.volumes.keys());
    let labels = config.labels.get_or_insert_default();
    for (key, value) in &defaults.labels {
        labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    merge_health(config, defaults.healthcheck.as_ref());
    if config.shell.as_ref().is_none_or(Vec::is_empty) && !defaults.shell.is_empty() {
        config.shell = Some(defaults.shell.clone());
    }
}

fn merge_list<'a>(list: &mut Option<Vec<String>>, more: impl Iterator<Item = &'a String>) {
    let mut merged = list.take().unwrap_or_default();
    for item in more {
        if !merged.contains(item) {
            merged.push(item.clone());
        }
    }
    merged.sort();
    *list = (!merged.is_empty()).then_some(merged);
}

fn merge_health(
    config: &mut ContainerConfig,
    of_image: Option<&bollard_stubs::models::HealthConfig>,
) {
    let Some(of_image) = of_image else { return };
    match &mut config.healthcheck {
        None => config.healthcheck = Some(of_image.clone()),
        Some(own) => {
            if own.test.as_ref().is_none_or(Vec::is_empty) {
                own.test.clone_from(&of_image.test);
            }
            let unset = |value: Option<i64>| value.unwrap_or(0) == 0;
            if unset(own.interval) {
                own.interval = of_image.interval;
            }
            if unset(own.timeout) {
                own.timeout = of_image.timeout;
            }
            if unset(own.retries) {
                own.retries = of_image.retries;
            }
            if unset(own.start_period) {
                own.start_period = of_image.start_period;
            }
            if unset(own.start_interval) {
                own.start_interval = of_image.start_interval;
            }
        }
    }
}

fn check_config(config: &mut ContainerConfig, host: &HostConfig, id: &str) -> Result<()> {
    let words = |list: &Option<Vec<String>>| list.as_ref().map_or(0, Vec::len);
    if words(&config.entrypoint) + words(&config.cmd) == 0 {
        return invalid("no command specified");
    }
    let texts = config
        .cmd
        .iter()
        .chain(&config.entrypoint)
        .chain(&config.env);
    if texts.flatten().any(|text| text.contains('\0')) {
        return invalid("a word of the command or environment holds a zero byte");
    }
    if let Some(entry) = config
        .env
        .iter()
        .flatten()
        .find(|entry| entry.starts_with('='))
    {
        return invalid(format!("invalid environment variable: {entry}"));
    }
    match config.working_dir.as_deref().unwrap_or_default() {
        "" => {}
        dir => match super::paths::clean_absolute(dir) {
            Some(clean) => config.working_dir = Some(clean),
            None => {
                return invalid(format!(
                    "the working directory '{dir}' is invalid, it needs to be an absolute path"
                ));
            }
        },
    }
    let hostname = config.hostname.as_deref().unwrap_or_default();
    let usable = |name: &str| {
        name.len() <= 64
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
    };
    if !usable(hostname) {
        return invalid(format!("invalid hostname format: {hostname}"));
    }
    if hostname.is_empty() {
        config.hostname = Some(match (&host.network_mode, &host.uts_mode) {
            (Some(mode), _) | (_, Some(mode)) if mode == "host" => spec::host_name(),
            _ => id::short(id).to_owned(),
        });
    }
    if !usable(config.domainname.as_deref().unwrap_or_default()) {
        return invalid("invalid domainname format");
    }
    if let Some(signal) = config
        .stop_signal
        .as_deref()
        .filter(|signal| !signal.is_empty())
    {
        super::signals::parse(signal)?;
    }
    for port in config.exposed_ports.iter().flatten() {
        // Ranges are expanded by clients.
        parse_port_key(port)?;
    }
    if let Some(health) = &config.healthcheck {
        super::health::check_config(health)?;
    }
    Ok(())
}

/// Refuses by name what this engine does not do; nothing that was asked for is ignored.
fn refuse_unsupported(host: &HostConfig) -> Result<()> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let refuse = |what: String| Err(EngineError::Unsupported(what));
    match text(&host.runtime).as_str() {
        "" | "mini" => {}
        other => return invalid(format!("unknown or invalid runtime name: {other}")),
    }
    if !matches!(text(&host.userns_mode).as_str(), "" | "host") {
        return refuse(format!(
            "userns mode {:?}: this engine does not map users",
            text(&host.userns_mode)
        ));
    }
    if !text(&host.cgroup_parent).is_empty() {
        return refuse(
            "cgroup parent: this engine keeps all containers under its own control group".into(),
        );
    }
    if !matches!(text(&host.volume_driver).as_str(), "" | "local") {
        return Err(EngineError::NotFound(format!(
            "plugin {:?} not found: this engine has the volume driver local alone",
            text(&host.volume_driver)
        )));
    }
    if host.device_requests.iter().flatten().next().is_some() {
        return invalid(
            "could not select device driver: this engine has none; pass the device itself (--device)",
        );
    }
    if host.links.iter().flatten().next().is_some() {
        return refuse(
            "links: not supported by this engine; put the containers on one user-defined network, where names resolve".into(),
        );
    }
    if host.storage_opt.iter().flatten().next().is_some() {
        return refuse("storage options: this engine sets no quota for root file systems".into());
    }
    match &host.isolation {
        None | Some(HostConfigIsolationEnum::EMPTY | HostConfigIsolationEnum::DEFAULT) => {}
        Some(other) => {
            return invalid(format!("invalid isolation '{other}' on linux"));
        }
    }
    Ok(())
}

/// Fills what was left open, so that inspect says what is in force.
fn put_defaults(host: &mut HostConfig) {
    fn set<T>(field: &mut Option<T>, value: T) {
        field.get_or_insert(value);
    }
    fn set_text(field: &mut Option<String>, value: &str) {
        if field.as_deref().unwrap_or_default().is_empty() {
            *field = Some(value.to_owned());
        }
    }
    if matches!(host.network_mode.as_deref(), None | Some("" | "default")) {
        host.network_mode = Some(DEFAULT_NETWORK.to_owned());
    }
    set_text(&mut host.ipc_mode, "private");
    set_text(&mut host.runtime, "mini");
    set(&mut host.pid_mode, String::new());
    set(&mut host.uts_mode, String::new());
    set(&mut host.userns_mode, String::new());
    if matches!(
        host.cgroupns_mode,
        None | Some(HostConfigCgroupnsModeEnum::EMPTY)
    ) {
        host.cgroupns_mode = Some(HostConfigCgroupnsModeEnum::PRIVATE);
    }
    if host.shm_size.unwrap_or(0) == 0 {
        host.shm_size = Some(DEFAULT_SHM_BYTES);
    }
    let log = host.log_config.get_or_insert_default();
    set_text(&mut log.typ, "json-file");
    set(&mut log.config, HashMap::new());
    let restart = host.restart_policy.get_or_insert_default();
    if matches!(restart.name, None | Some(RestartPolicyNameEnum::EMPTY)) {
        restart.name = Some(RestartPolicyNameEnum::NO);
    }
    set(&mut restart.maximum_retry_count, 0);
    for number in [
        &mut host.cpu_shares,
        &mut host.memory,
        &mut host.nano_cpus,
        &mut host.cpu_period,
        &mut host.cpu_quota,
        &mut host.cpu_realtime_period,
        &mut host.cpu_realtime_runtime,
        &mut host.memory_reservation,
        &mut host.memory_swap,
        &mut host.oom_score_adj,
    ] {
        set(number, 0);
    }
    for flag in [
        &mut host.auto_remove,
        &mut host.privileged,
        &mut host.publish_all_ports,
        &mut host.readonly_rootfs,
        &mut host.oom_kill_disable,
    ] {
        set(flag, false);
    }
    if host.pids_limit.unwrap_or(0) == 0 {
        host.pids_limit = Some(DEFAULT_PIDS_LIMIT);
    }
    for text in [&mut host.cpuset_cpus, &mut host.cpuset_mems] {
        set(text, String::new());
    }
    set(&mut host.blkio_weight, 0);
    set(&mut host.port_bindings, HashMap::new());
    let privileged = host.privileged == Some(true);
    let paths = |list: &[&str]| {
        let list = if privileged { &[] } else { list };
        list.iter().map(|path| (*path).to_owned()).collect()
    };
    set(&mut host.masked_paths, paths(&spec::MASKED_PATHS));
    set(&mut host.readonly_paths, paths(&spec::READONLY_PATHS));
}

fn check_host(engine: &Engine, config: &ContainerConfig, host: &HostConfig) -> Result<()> {
    check_restart(host)?;
    parse_bindings(host.port_bindings.as_ref().unwrap_or(&HashMap::new()))?;
    if let Some(log) = &host.log_config {
        let kind = log.typ.as_deref().unwrap_or_default();
        if !LOG_DRIVERS.contains(&kind) {
            return invalid(format!(
                "logger: no log driver named '{kind}' is registered: this engine has json-file, local and none"
            ));
        }
        for (key, value) in log.config.iter().flatten() {
            if !LOG_OPTIONS.contains(&key.as_str()) {
                return invalid(format!("unknown log opt '{key}' for {kind} log driver"));
            }
            spec::log_option(key, value)?;
        }
        let option = |key| log.config.as_ref().and_then(|config| config.get(key));
        if option("max-buffer-size").is_some()
            && option("mode").is_none_or(|mode| mode != "non-blocking")
        {
            return invalid(
                "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
            );
        }
    }
    for (name, mode) in [
        ("pid", &host.pid_mode),
        ("ipc", &host.ipc_mode),
        ("uts", &host.uts_mode),
    ] {
        let mode = mode.as_deref().unwrap_or_default();
        let valid = match mode {
            "" | "host" | "private" => true,
            "shareable" | "none" => name == "ipc",
            other => {
                name != "uts"
                    && other
                        .strip_prefix("container:")
                        .is_some_and(|c| !c.is_empty())
            }
        };
        if !valid {
            return invalid(format!("invalid {name} mode: {mode}"));
        }
        if let Some(other) = mode.strip_prefix("container:") {
            engine.containers.resolve(other)?;
        }
    }
    super::capabilities::effective(
        host.cap_add.as_deref().unwrap_or_default(),
        host.cap_drop.as_deref().unwrap_or_default(),
        host.privileged == Some(true),
    )?;
    spec::Security::parse(host)?;
    spec::check_devices(host)?;
    let no_network = config.network_disabled == Some(true);
    let shares = |mode: &Option<String>| {
        mode.as_deref()
            .is_some_and(|mode| mode == HOST_NETWORK || mode.starts_with("container:"))
    };
    if shares(&host.network_mode) {
        if host.publish_all_ports == Some(true)
            && host.network_mode.as_deref() != Some(HOST_NETWORK)
        {
            return invalid(
                "conflicting options: port publishing and the container type network mode",
            );
        }
        if host.network_mode.as_deref() != Some(HOST_NETWORK)
            && host
                .port_bindings
                .as_ref()
                .is_some_and(|ports| !ports.is_empty())
        {
            return invalid(
                "conflicting options: port publishing and the container type network mode",
            );
        }
    }
    if no_network && host.network_mode.as_deref() != Some(NONE_NETWORK) {
        return invalid(
            "NetworkDisabled stands against the network mode: use the network mode none",
        );
    }
    for address in host.dns.iter().flatten() {
        if address.parse::<std::net::IpAddr>().is_err() {
            return invalid(format!("{address} is not an ip address"));
        }
    }
    for extra in host.extra_hosts.iter().flatten() {
        let valid = extra.split_once([':', '=']).is_some_and(|(name, address)| {
            !name.is_empty()
                && (address == "host-gateway"
                    || address
                        .trim_matches(['[', ']'])
                        .parse::<std::net::IpAddr>()
                        .is_ok())
        });
        if !valid {
            return invalid(format!("bad format for add-host: {extra:?}"));
        }
    }
    Ok(())
}

pub(super) fn check_restart(host: &HostConfig) -> Result<()> {
    let policy = host.restart_policy.clone().unwrap_or_default();
    let name = policy.name.unwrap_or(RestartPolicyNameEnum::NO);
    let retries = policy.maximum_retry_count.unwrap_or(0);
    if retries < 0 {
        return invalid("invalid restart policy: maximum retry count cannot be negative");
    }
    if retries > 0 && name != RestartPolicyNameEnum::ON_FAILURE {
        return invalid(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'",
        );
    }
    let none = matches!(
        name,
        RestartPolicyNameEnum::NO | RestartPolicyNameEnum::EMPTY
    );
    if host.auto_remove == Some(true) && !none {
        return invalid("can't create 'AutoRemove' container with restart policy");
    }
    Ok(())
}

/// Which networks the container will be on.
fn endpoints(
    engine: &Engine,
    host: &HostConfig,
    asked: Endpoints,
) -> Result<BTreeMap<String, EndpointSettings>> {
    let mode = host.network_mode.as_deref().unwrap_or(DEFAULT_NETWORK);
    if let Some(other) = mode.strip_prefix("container:") {
        engine.containers.resolve(other)?;
        if !asked.is_empty() {
            return invalid(
                "conflicting options: a container that shares another's network has no endpoints of its own",
            );
        }
        return Ok(BTreeMap::new());
    }
    let main = engine.networks.resolve(mode)?;
    let mut endpoints = BTreeMap::new();
    for (key, settings) in asked {
        let key = if key == "default" { mode } else { key.as_str() };
        let network = engine.networks.resolve(key)?;
        EndpointRequest::from_settings(&network.name, &settings)?;
        endpoints.insert(network.name, settings);
    }
    endpoints.entry(main.name).or_default();
    Ok(endpoints)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: Value) -> ContainerConfig {
        read_body(json).unwrap().0
    }

    fn image(json: Value) -> Image {
        let mut whole = serde_json::json!({"rootfs": {"type": "layers", "diff_ids": []}});
        whole["config"] = json;
        Image {
            id: format!("sha256:{}", "0".repeat(64)).parse().unwrap(),
            config: serde_json::from_value(whole).unwrap(),
            repo_tags: vec![],
            repo_digests: vec![],
            size_bytes: 0,
            created_ns: None,
            tagged_ns: 0,
            layers: vec![],
            parent: None,
        }
    }

    #[test]
    fn the_image_fills_what_is_left_open() {
        let image = image(serde_json::json!({
            "Entrypoint": ["entry"], "Cmd": ["default"], "Env": ["PATH=/bin", "A=image"], "WorkingDir": "/srv",
            "User": "web", "Labels": {"a": "image", "b": "image"}, "ExposedPorts": {"80/tcp": {}}, "StopSignal": "SIGINT"
        }));
        let mut own =
            config(serde_json::json!({"Env": ["A=own", "DROPPED"], "Labels": {"a": "own"}}));
        merge_image(&mut own, &image);
        assert_eq!(own.entrypoint, Some(vec!["entry".into()]));
        assert_eq!(own.cmd, Some(vec!["default".into()]));
        assert_eq!(own.env, Some(vec!["A=own".into(), "PATH=/bin".into()]));
        assert_eq!(own.user.as_deref(), Some("web"));
        assert_eq!(own.exposed_ports, Some(vec!["80/tcp".into()]));
        let labels = own.labels.unwrap();
        assert_eq!(
            (labels["a"].as_str(), labels["b"].as_str()),
            ("own", "image")
        );
    }

    #[test]
    fn an_own_command_keeps_the_entry_point_and_an_own_entry_point_drops_the_command() {
        let image = image(serde_json::json!({"Entrypoint": ["entry"], "Cmd": ["default"]}));
        let mut own = config(serde_json::json!({"Cmd": "word"}));
        merge_image(&mut own, &image);
        assert_eq!(
            (own.entrypoint, own.cmd),
            (Some(vec!["entry".into()]), Some(vec!["word".into()]))
        );
        let mut own = config(serde_json::json!({"Entrypoint": ["mine"]}));
        merge_image(&mut own, &image);
        assert_eq!((own.entrypoint, own.cmd), (Some(vec!["mine".into()]), None));
        let mut own = config(serde_json::json!({"Entrypoint": [""], "Cmd": ["sh"]}));
        merge_image(&mut own, &image);
        assert_eq!((own.entrypoint, own.cmd), (None, Some(vec!["sh".into()])));
    }

    #[test]
    fn what_would_be_ignored_is_refused() {
        for host in [
            serde_json::json!({"Runtime": "runc"}),
            serde_json::json!({"UsernsMode": "auto"}),
            serde_json::json!({"CgroupParent": "/x"}),
            serde_json::json!({"Links": ["a:b"]}),
            serde_json::json!({"StorageOpt": {"size": "1g"}}),
            serde_json::json!({"VolumeDriver": "nfs"}),
            serde_json::json!({"DeviceRequests": [{"Count": -1}]}),
        ] {
            let host: HostConfig = serde_json::from_value(host).unwrap();
            assert!(refuse_unsupported(&host).is_err(), "{host:?}");
        }
    }

    #[test]
    fn bodies_that_are_no_objects_are_refused() {
        for body in ["[]", "5", "null", r#"{"Image": 5}"#, r#"{"Cmd": {}}"#] {
            let body = serde_json::from_str(body).unwrap();
            assert!(matches!(read_body(body), Err(EngineError::Invalid(_))));
        }
    }
}
