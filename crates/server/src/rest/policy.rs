//! What gives power over the host: administrators only, on every route that can carry it. Default-deny: the request's type
//! holds nothing else that could.

use api::{
    auth::Role,
    container::{ContainerCreateRequest, MountRequestKind},
    problem::{FieldError, ProblemCode},
    volume::VolumeCreateRequest,
};
use axum::http::StatusCode;

use crate::http::{ApiError, Caller};

/// Checks a create request against the caller's role. An administrator whose password was given long ago gives it again: an
/// unlocked screen must not be root on the host.
pub(super) fn may_create(
    caller: &Caller,
    request: &ContainerCreateRequest,
) -> Result<(), ApiError> {
    let refused = gives_power(request);
    if caller.role() == Role::Admin && !refused.is_empty() && !caller.is_confirmed() {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            ProblemCode::Reauthenticate,
            "the request asks for power over the host, and your password was given more than ten minutes ago",
        ));
    }
    decide(caller.role(), refused)
}

/// The fields of a request that give power over the host.
fn gives_power(request: &ContainerCreateRequest) -> Vec<String> {
    let mut refused = Vec::new();
    if request.privileged {
        refused.push("privileged".to_owned());
    }
    if !request.cap_add.is_empty() {
        refused.push("cap_add".to_owned());
    }
    if request
        .pid_mode
        .as_deref()
        .is_some_and(|mode| !mode.is_empty())
    {
        refused.push("pid_mode".to_owned());
    }
    if request
        .network
        .as_deref()
        .is_some_and(|network| network == "host" || network.starts_with("container:"))
    {
        refused.push("network".to_owned());
    }
    for (number, mount) in request.mounts.iter().enumerate() {
        if mount.kind == MountRequestKind::Bind {
            refused.push(format!("mounts[{number}].kind"));
        }
    }
    refused
}

/// Checks a new volume against the caller's role: driver options can mount any path.
pub(super) fn may_create_volume(role: Role, request: &VolumeCreateRequest) -> Result<(), ApiError> {
    let mut refused = Vec::new();
    if request
        .driver
        .as_deref()
        .is_some_and(|driver| driver != "local")
    {
        refused.push("driver".to_owned());
    }
    if !request.driver_options.is_empty() {
        refused.push("driver_options".to_owned());
    }
    decide(role, refused)
}

/// Checks a new network against the caller's role: other drivers and options reach the host's own interfaces.
pub(super) fn may_create_network(
    caller: &Caller,
    request: &api::network::NetworkCreateRequest,
) -> Result<(), ApiError> {
    let mut refused = Vec::new();
    if request
        .driver
        .as_deref()
        .is_some_and(|driver| driver != "bridge")
    {
        refused.push("driver".to_owned());
    }
    if !request.driver_options.is_empty() {
        refused.push("driver_options".to_owned());
    }
    decide(caller.role(), refused)
}

/// Checks whether the caller may run programs in a container or change its files: who does so has what power it has. An
/// administrator whose password was given long ago gives it again first.
pub(super) fn may_enter(
    caller: &Caller,
    inspect: &bollard::models::ContainerInspectResponse,
) -> Result<(), ApiError> {
    let powers = powers_of(inspect);
    if powers.is_empty() {
        return Ok(());
    }
    let powers = powers.join(", ");
    if caller.role() != Role::Admin {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            ProblemCode::Forbidden,
            format!("the container has power over the host ({powers}), which an operator has not"),
        )
        .hint("ask an administrator"));
    }
    if !caller.is_confirmed() {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            ProblemCode::Reauthenticate,
            format!(
                "the container has power over the host ({powers}), and your password was given more than ten minutes ago"
            ),
        ));
    }
    Ok(())
}

/// Checks whether the caller may look into a volume: one with driver options may be any directory of the host.
pub(super) fn may_enter_volume(
    caller: &Caller,
    volume: &bollard::models::Volume,
) -> Result<(), ApiError> {
    let plain = volume.driver == "local" && volume.options.is_empty();
    if plain || caller.role() == Role::Admin {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::FORBIDDEN,
        ProblemCode::Forbidden,
        "the volume has options of its driver, by which it may be any directory of the host",
    )
    .hint("ask an administrator"))
}

/// What gives a container power over the host.
fn powers_of(inspect: &bollard::models::ContainerInspectResponse) -> Vec<&'static str> {
    let mut powers = Vec::new();
    let Some(host) = &inspect.host_config else {
        return vec!["its settings are not known"];
    };
    let foreign = |mode: &Option<String>| {
        mode.as_deref()
            .is_some_and(|mode| mode == "host" || mode.starts_with("container:"))
    };
    if host.privileged == Some(true) {
        powers.push("privileged");
    }
    if host.cap_add.as_ref().is_some_and(|added| !added.is_empty()) {
        powers.push("added capabilities");
    }
    if foreign(&host.pid_mode) {
        powers.push("another PID namespace");
    }
    if foreign(&host.network_mode) {
        powers.push("another network namespace");
    }
    if foreign(&host.ipc_mode) {
        powers.push("another IPC namespace");
    }
    if host.userns_mode.as_deref() == Some("host") || host.uts_mode.as_deref() == Some("host") {
        powers.push("a namespace of the host");
    }
    if host
        .devices
        .as_ref()
        .is_some_and(|devices| !devices.is_empty())
    {
        powers.push("devices");
    }
    if host.security_opt.as_ref().is_some_and(|options| {
        options
            .iter()
            .any(|option| option.contains("unconfined") || option.starts_with("label"))
    }) {
        powers.push("a weaker confinement");
    }
    let binds = inspect
        .mounts
        .iter()
        .flatten()
        .any(|mount| mount.typ.as_deref() == Some("bind"));
    if binds {
        powers.push("directories of the host");
    }
    powers
}

fn decide(role: Role, refused: Vec<String>) -> Result<(), ApiError> {
    if role == Role::Admin || refused.is_empty() {
        return Ok(());
    }
    let errors = refused
        .into_iter()
        .map(|field| FieldError {
            field,
            message: "gives power over the host; only an administrator may set it".to_owned(),
        })
        .collect();
    Err(ApiError::new(
        StatusCode::FORBIDDEN,
        ProblemCode::Forbidden,
        "the request asks for power over the host, which an operator has not",
    )
    .hint("ask an administrator, or leave these fields out")
    .fields(errors))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use api::container::MountRequest;
    use jiff::Timestamp;

    use super::*;
    use crate::auth::Session;

    #[test]
    fn every_field_that_gives_power_is_refused_to_operators_and_given_to_administrators() {
        let plain = ContainerCreateRequest {
            image: "x".into(),
            ..Default::default()
        };
        let caller = |role, minutes| {
            Caller::Person(Session {
                id_hash: [0; 32],
                user: "ana".into(),
                role,
                expires_at: Timestamp::now(),
                confirmed_at: Timestamp::now() - Duration::from_mins(minutes),
                must_change_password: false,
            })
        };
        let (operator, admin, absent) = (
            caller(Role::Operator, 0),
            caller(Role::Admin, 9),
            caller(Role::Admin, 11),
        );
        assert!(may_create(&operator, &plain).is_ok() && may_create(&absent, &plain).is_ok());
        let with = |change: fn(&mut ContainerCreateRequest)| {
            let mut request = plain.clone();
            change(&mut request);
            request
        };
        for request in [
            with(|r| r.privileged = true),
            with(|r| r.cap_add = vec!["SYS_ADMIN".into()]),
            with(|r| r.pid_mode = Some("host".into())),
            with(|r| r.network = Some("host".into())),
            with(|r| r.network = Some("container:x".into())),
            with(|r| {
                r.mounts = vec![MountRequest {
                    kind: MountRequestKind::Bind,
                    source: Some("/".into()),
                    target: "/h".into(),
                    ..Default::default()
                }];
            }),
        ] {
            assert_eq!(
                may_create(&operator, &request).unwrap_err().code(),
                ProblemCode::Forbidden
            );
            assert!(may_create(&admin, &request).is_ok());
            assert_eq!(
                may_create(&absent, &request).unwrap_err().code(),
                ProblemCode::Reauthenticate
            );
        }
        let volume = VolumeCreateRequest {
            name: None,
            labels: [].into(),
            driver: None,
            driver_options: [("o".into(), "bind".into())].into(),
        };
        assert!(may_create_volume(Role::Operator, &volume).is_err());
    }

    #[test]
    fn containers_with_power_over_the_host_are_entered_by_administrators_alone() {
        use bollard::models::{ContainerInspectResponse, HostConfig, MountPoint};
        let container = |host: HostConfig, mounts: Vec<MountPoint>| ContainerInspectResponse {
            host_config: Some(host),
            mounts: Some(mounts),
            ..Default::default()
        };
        let bind = MountPoint {
            typ: Some("bind".into()),
            ..Default::default()
        };
        let plain = container(HostConfig::default(), Vec::new());
        let mut strong = vec![
            ContainerInspectResponse::default(),
            container(HostConfig::default(), vec![bind]),
        ];
        for host in [
            HostConfig {
                privileged: Some(true),
                ..Default::default()
            },
            HostConfig {
                cap_add: Some(vec!["SYS_ADMIN".into()]),
                ..Default::default()
            },
            HostConfig {
                pid_mode: Some("host".into()),
                ..Default::default()
            },
            HostConfig {
                network_mode: Some("container:x".into()),
                ..Default::default()
            },
            HostConfig {
                ipc_mode: Some("host".into()),
                ..Default::default()
            },
            HostConfig {
                userns_mode: Some("host".into()),
                ..Default::default()
            },
            HostConfig {
                devices: Some(vec![bollard::models::DeviceMapping::default()]),
                ..Default::default()
            },
            HostConfig {
                security_opt: Some(vec!["seccomp=unconfined".into()]),
                ..Default::default()
            },
        ] {
            strong.push(container(host, Vec::new()));
        }
        let caller = |role, minutes| {
            Caller::Person(Session {
                id_hash: [0; 32],
                user: "ana".into(),
                role,
                expires_at: Timestamp::now(),
                confirmed_at: Timestamp::now() - Duration::from_mins(minutes),
                must_change_password: false,
            })
        };
        assert!(may_enter(&caller(Role::Operator, 0), &plain).is_ok());
        for container in strong {
            let code =
                |role, minutes| may_enter(&caller(role, minutes), &container).map_err(|e| e.code());
            assert_eq!(
                code(Role::Operator, 0),
                Err(ProblemCode::Forbidden),
                "{container:?}"
            );
            assert_eq!(code(Role::Admin, 11), Err(ProblemCode::Reauthenticate));
            assert_eq!(code(Role::Admin, 0), Ok(()));
        }
    }
}
