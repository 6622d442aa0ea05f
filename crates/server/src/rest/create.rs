//! Making a container: check, policy, create, start; what could not be started is not left behind.

use api::{
    container::{ContainerCreateRequest, ContainerCreated},
    id::EngineName,
    problem::{FieldError, ProblemCode},
};
use axum::{Json, extract::State, http::StatusCode};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions,
};

use super::{
    containers::name_in_use,
    create_body, engine_of, policy,
    target::{already_so, revision},
};
use crate::{
    engines::{CallError, Deadline, Engine},
    http::{ApiError, Body, Caller, Params},
    state::AppState,
};

/// `POST /engines/{engine}/containers`
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    Params(name): Params<EngineName>,
    Body(request): Body<ContainerCreateRequest>,
) -> Result<(StatusCode, Json<ContainerCreated>), ApiError> {
    let engine = engine_of(&state, &name)?;
    let errors = create_body::check(&request);
    if !errors.is_empty() {
        return Err(ApiError::invalid(errors));
    }
    policy::may_create(caller.role(), &request)?;
    let body = create_body::body(&request);
    let options = CreateContainerOptionsBuilder::default();
    let options = match &request.name {
        Some(name) => options.name(name).build(),
        None => options.build(),
    };
    let made = engine
        .call(Deadline::Write, |docker| async move {
            docker.create_container(Some(options), body).await
        })
        .await
        .map_err(|error| create_error(error, &request))?;
    if request.start
        && let Err(error) = start(&engine, &made.id).await
    {
        // Not started, not kept: trying again with the same name must work.
        let id = made.id.as_str();
        let options = RemoveContainerOptionsBuilder::default()
            .force(true)
            .v(true)
            .build();
        if let Err(error) = engine
            .call(Deadline::Write, |docker| async move {
                docker.remove_container(id, Some(options)).await
            })
            .await
        {
            tracing::warn!(%error, id, "remove a container that could not be started");
        }
        engine.mirror.forget_container(id);
        return Err(start_error(error, &request));
    }
    let docker = engine.docker()?;
    let position = engine
        .mirror
        .refresh_container(&docker, &made.id)
        .await
        .unwrap_or_default();
    let name = engine
        .mirror
        .container(&made.id)
        .map(|row| row.name.clone())
        .or(request.name)
        .unwrap_or_default();
    let created = ContainerCreated {
        id: made.id,
        name,
        started: request.start,
        warnings: made.warnings,
        rev: position.map(|position| revision("containers", position)),
    };
    Ok((StatusCode::CREATED, Json(created)))
}

async fn start(engine: &Engine, id: &str) -> Result<(), CallError> {
    already_so(
        engine
            .call(Deadline::Write, |docker| async move {
                docker
                    .start_container(id, None::<StartContainerOptions>)
                    .await
            })
            .await,
    )
}

/// The engine's refusal, in the field that it is about.
fn create_error(error: CallError, request: &ContainerCreateRequest) -> ApiError {
    let CallError::Refused { status, message } = &error else {
        return error.into();
    };
    let lower = message.to_lowercase();
    if *status == 404 && lower.contains("image") {
        let detail = message.clone();
        return ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            ProblemCode::Invalid,
            detail,
        )
        .hint("pull the image first")
        .fields(vec![FieldError {
            field: "image".to_owned(),
            message: format!("{} is not on this engine; pull it first", request.image),
        }]);
    }
    let field = [
        ("network", "network"),
        ("memory", "limits.memory_bytes"),
        ("cpus", "limits.cpus"),
        ("cpu", "limits.cpus"),
        ("port", "ports"),
        ("mount", "mounts"),
        ("volume", "mounts"),
    ]
    .into_iter()
    .find(|(word, _)| matches!(status, 400 | 404) && lower.contains(word))
    .map(|(_, field)| FieldError {
        field: field.to_owned(),
        message: message.clone(),
    });
    let error = name_in_use(error.into());
    match field {
        Some(field) => error.fields(vec![field]),
        None => error,
    }
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

/// The engine's refusal to start, in the field that it is about.
fn start_error(error: CallError, request: &ContainerCreateRequest) -> ApiError {
    let lower = error.to_string().to_lowercase();
    let field = if lower.contains("port is already allocated")
        || lower.contains("address already in use")
    {
        return ApiError::from(error).fields(vec![FieldError {
            field: port_named(&lower, request),
            message: "is in use on this machine".to_owned(),
        }]);
    } else if lower.contains("executable file not found")
        || lower.contains("no such file or directory") && lower.contains("exec")
    {
        Some(("command", "the program is not in the image"))
    } else if lower.contains("permission denied") && lower.contains("exec") {
        Some(("command", "the program may not be executed"))
    } else {
        None
    };
    let error = ApiError::from(error);
    match field {
        Some((field, message)) => error.fields(vec![FieldError {
            field: field.to_owned(),
            message: message.to_owned(),
        }]),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use api::container::PortRequest;

    use super::*;

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
