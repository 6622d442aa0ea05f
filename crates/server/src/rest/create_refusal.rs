//! An engine's refusal to make or start a container, told in the field of the form that it is about.

use api::{
    container::ContainerCreateRequest,
    problem::{FieldError, ProblemCode},
};
use axum::http::StatusCode;

use super::containers::name_in_use;
use crate::{engines::CallError, http::ApiError};

/// Words of an engine's refusal to create, and the field that they are about. The first that fits counts.
const CREATE: [(&str, &str); 13] = [
    ("network", "network"),
    ("capadd", "cap_add"),
    ("unknown capability", "cap_add"),
    ("capdrop", "cap_drop"),
    ("cpuset", "limits.cpuset"),
    ("requested cpus", "limits.cpuset"),
    ("cpu", "limits.cpus"),
    ("memoryswap", "limits.memory_swap_bytes"),
    ("memory", "limits.memory_bytes"),
    ("pids", "limits.pids"),
    ("blkio", "limits.blkio_weight"),
    ("mount", "mounts"),
    ("volume", "mounts"),
];

/// The same of a refusal to start, with our own words.
const START: [(&[&str], &str, &str); 9] = [
    (
        &["port is already allocated"],
        "ports",
        "is in use on this machine",
    ),
    (
        &["address already in use"],
        "ports",
        "is in use on this machine",
    ),
    (
        &["executable file not found"],
        "command",
        "the program is not in the image",
    ),
    (
        &["exec", "no such file or directory"],
        "command",
        "the program is not in the image",
    ),
    (
        &["exec", "permission denied"],
        "command",
        "the program may not be executed",
    ),
    (
        &["exec format error"],
        "command",
        "the program is made for another processor",
    ),
    (
        &["unable to find user"],
        "user",
        "the image has no user of this name",
    ),
    (
        &["unable to find group"],
        "user",
        "the image has no group of this name",
    ),
    (
        &["network", "not found"],
        "network",
        "there is no network of this name",
    ),
];

/// Of a create call.
pub(super) fn of_create(error: CallError, request: &ContainerCreateRequest) -> ApiError {
    let CallError::Refused { status, message } = &error else {
        return error.into();
    };
    let lower = message.to_lowercase();
    if *status == 404 && lower.contains("image") {
        return invalid(
            message,
            "image",
            &format!("{} is not on this engine; pull it first", request.image),
        )
        .hint("pull the image first");
    }
    let field = CREATE
        .into_iter()
        .find(|(words, _)| matches!(status, 400 | 404) && lower.contains(words));
    match field {
        Some((_, field)) => invalid(message, field, message),
        None => name_in_use(error.into()),
    }
}

/// Of a start call.
pub(super) fn of_start(error: CallError, request: &ContainerCreateRequest) -> ApiError {
    let CallError::Refused { message, .. } = &error else {
        return error.into();
    };
    let lower = message.to_lowercase();
    let fit = START
        .into_iter()
        .find(|(words, _, _)| words.iter().all(|word| lower.contains(word)));
    let Some((_, field, words)) = fit else {
        return error.into();
    };
    if field == "ports" {
        return ApiError::from(error).fields(vec![FieldError {
            field: port_named(&lower, request),
            message: words.to_owned(),
        }]);
    }
    invalid(message, field, words)
}

/// Which of the ports asked for the engine speaks of: it names it as `address:port`.
fn port_named(lower: &str, request: &ContainerCreateRequest) -> String {
    let named = |port: u16| {
        lower.match_indices(&format!(":{port}")).any(|(at, found)| {
            !lower
                .get(at + found.len()..)
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        })
    };
    request
        .ports
        .iter()
        .position(|port| port.host_port.is_some_and(named))
        .map_or_else(
            || "ports".to_owned(),
            |index| format!("ports[{index}].host_port"),
        )
}

fn invalid(detail: &str, field: &str, message: &str) -> ApiError {
    ApiError::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        ProblemCode::Invalid,
        detail,
    )
    .fields(vec![FieldError {
        field: field.to_owned(),
        message: message.to_owned(),
    }])
}

#[cfg(test)]
mod tests {
    use api::container::PortRequest;

    use super::*;

    fn refused(status: u16, message: &str) -> CallError {
        CallError::Refused {
            status,
            message: message.to_owned(),
        }
    }

    #[test]
    fn what_an_engine_says_of_a_request_stands_at_its_field() {
        let request = ContainerCreateRequest::default();
        for (status, message, field) in [
            (404, "No such image: nope:1", "image"),
            (404, "network nonet not found", "network"),
            (
                400,
                "invalid CapAdd: unknown capability: \"CAP_BOGUS\"",
                "cap_add",
            ),
            (
                400,
                "Requested CPUs are not available - requested 99, available: 0-1",
                "limits.cpuset",
            ),
            (
                400,
                "Invalid value 1-0 for cpuset cpus: invalid format: 1-0",
                "limits.cpuset",
            ),
            (
                400,
                "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available",
                "limits.cpus",
            ),
            (
                400,
                "Minimum memory limit allowed is 6MB",
                "limits.memory_bytes",
            ),
            (
                400,
                "invalid mount config for type \"bind\": bind source path does not exist: /a",
                "mounts",
            ),
            (
                409,
                "Conflict. The container name \"/dup\" is already in use by container \"c3\".",
                "name",
            ),
        ] {
            let problem = of_create(refused(status, message), &request).into_problem();
            assert_eq!(
                problem.errors.first().map(|e| e.field.as_str()),
                Some(field),
                "{message}"
            );
            assert_eq!(problem.detail, message);
            assert!(problem.hint.is_some());
        }
        for (message, field, status) in [
            (
                "Bind for 0.0.0.0:8099 failed: port is already allocated",
                "ports",
                409,
            ),
            (
                "runc create failed: unable to start container process: exec: \"/x\": stat /x: no such file or directory: unknown",
                "command",
                422,
            ),
            (
                "unable to find user nouser: no matching entries in passwd file",
                "user",
                422,
            ),
            ("network nonet not found", "network", 422),
        ] {
            let problem = of_start(refused(500, message), &request).into_problem();
            assert_eq!(
                problem.errors.first().map(|e| e.field.as_str()),
                Some(field),
                "{message}"
            );
            assert_eq!(problem.status, status, "{message}");
        }
    }

    #[test]
    fn the_port_in_use_is_found_by_what_the_engine_names() {
        let port = |host| PortRequest {
            container_port: 80,
            host_port: host,
            host_ip: None,
            protocol: api::container::Protocol::Tcp,
        };
        let request = ContainerCreateRequest {
            ports: vec![port(None), port(Some(808)), port(Some(8080))],
            ..ContainerCreateRequest::default()
        };
        let said = "listen tcp4 127.0.0.1:8080: bind: address already in use";
        assert_eq!(port_named(said, &request), "ports[2].host_port");
        assert_eq!(port_named("address already in use", &request), "ports");
    }
}
