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
}
