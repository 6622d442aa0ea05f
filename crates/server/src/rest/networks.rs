//! Networks: list, detail, making, connecting, removing with a preview, and the picture of who is connected with whom.

use std::collections::{BTreeMap, HashMap};

use api::{
    container::{BulkItemResult, BulkResult},
    id::{EngineName, NetworkId},
    network::{
        NetworkConnectRequest, NetworkCreateRequest, NetworkDetail, NetworkDisconnectRequest,
        NetworkEndpoint, NetworkPreviewRequest, NetworkRemoveRequest, NetworkSummary, Topology,
        TopologyContainer, TopologyLink, TopologyPort,
    },
    page::ListQuery,
    preview::{Preview, PreviewItem},
    problem::{FieldError, ProblemCode},
    revision::Written,
};
use axum::{Json, extract::State, http::StatusCode, response::Response};
use bollard::{
    models,
    query_parameters::{InspectContainerOptions, InspectNetworkOptions},
};
use futures_util::{StreamExt as _, stream};

use super::{Target, engine_of, page, policy};
use crate::{
    engines::{Deadline, Engine},
    http::{ApiError, Body, Caller, Params, QueryParams},
    mirror::Refresh,
    preview::{Found, Plan},
    state::AppState,
};

/// Networks that come with an engine.
const OWN: [&str; 3] = ["bridge", "host", "none"];
/// Networks looked at at the same time.
const AT_ONCE: usize = 8;

type NetworkPath = Params<(EngineName, NetworkId)>;

/// `GET /engines/{engine}/networks`
pub(crate) async fn list(
    State(state): State<AppState>,
    Params(name): Params<EngineName>,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Response, ApiError> {
    page::answer(&query, engine_of(&state, &name)?.mirror.networks())
}

/// `GET /engines/{engine}/networks/{network}`
pub(crate) async fn detail(
    State(state): State<AppState>,
    Params((name, id)): NetworkPath,
) -> Result<Json<NetworkDetail>, ApiError> {
    let engine = engine_of(&state, &name)?;
    Ok(Json(look(&engine, id.as_str()).await?))
}

/// `POST /engines/{engine}/networks`
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    Params(name): Params<EngineName>,
    Body(request): Body<NetworkCreateRequest>,
) -> Result<(StatusCode, Json<NetworkDetail>), ApiError> {
    let engine = engine_of(&state, &name)?;
    let errors = check(&request);
    if !errors.is_empty() {
        return Err(ApiError::invalid(errors));
    }
    policy::may_create_network(&caller, &request)?;
    // Engines make a second network of the same name; nobody can tell the two apart.
    refresh(&engine).await;
    if engine
        .mirror
        .networks()
        .iter()
        .any(|one| one.name == request.name)
    {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            ProblemCode::Conflict,
            format!("a network {} exists already", request.name),
        )
        .fields(vec![FieldError {
            field: "name".to_owned(),
            message: "is in use by another network".to_owned(),
        }]));
    }
    let pool = models::IpamConfig {
        subnet: request.subnet.clone(),
        gateway: request.gateway.clone(),
        ..Default::default()
    };
    let body = models::NetworkCreateRequest {
        name: request.name.clone(),
        driver: request.driver.or_else(|| Some("bridge".to_owned())),
        internal: Some(request.internal),
        attachable: Some(true),
        enable_ipv6: request.ipv6.then_some(true),
        ipam: request.subnet.is_some().then(|| models::Ipam {
            config: Some(vec![pool]),
            ..Default::default()
        }),
        options: (!request.driver_options.is_empty())
            .then(|| request.driver_options.into_iter().collect()),
        labels: (!request.labels.is_empty()).then(|| request.labels.into_iter().collect()),
        ..Default::default()
    };
    let made = engine
        .call(Deadline::Write, |docker| async move {
            docker.create_network(body).await
        })
        .await
        .map_err(|error| {
            let error = ApiError::from(error);
            let words = error.detail().to_lowercase();
            if words.contains("overlap") || words.contains("pool") {
                return ApiError::new(StatusCode::CONFLICT, ProblemCode::Conflict, error.detail())
                    .hint("choose a subnet that no other network has")
                    .fields(vec![FieldError {
                        field: "subnet".to_owned(),
                        message: error.detail().to_owned(),
                    }]);
            }
            error
        })?;
    refresh(&engine).await;
    Ok((StatusCode::CREATED, Json(look(&engine, &made.id).await?)))
}

/// `POST /engines/{engine}/networks/{network}/connect`
pub(crate) async fn connect(
    State(state): State<AppState>,
    caller: Caller,
    Params((name, network)): NetworkPath,
    Body(request): Body<NetworkConnectRequest>,
) -> Result<Json<Written>, ApiError> {
    let target = Target::find(&state, &name, &request.container).await?;
    may_enter(&caller, &target).await?;
    if network.as_str() == "host" {
        return Err(ApiError::invalid_field(
            "network",
            "a container is on the host's network from its making or never",
        ));
    }
    if request
        .ipv4
        .as_deref()
        .is_some_and(|ip| ip.parse::<std::net::Ipv4Addr>().is_err())
    {
        return Err(ApiError::invalid_field(
            "ipv4",
            "must be an address such as 10.5.0.9",
        ));
    }
    let body = models::NetworkConnectRequest {
        container: target.id().to_owned(),
        endpoint_config: Some(models::EndpointSettings {
            aliases: (!request.aliases.is_empty()).then_some(request.aliases),
            ipam_config: request.ipv4.map(|ip| models::EndpointIpamConfig {
                ipv4_address: Some(ip),
                ..Default::default()
            }),
            ..Default::default()
        }),
    };
    let key = network.as_str();
    target
        .engine
        .call(Deadline::Write, |docker| async move {
            docker.connect_network(key, body).await
        })
        .await?;
    refresh(&target.engine).await;
    Ok(target.written().await)
}

/// `POST /engines/{engine}/networks/{network}/disconnect`
pub(crate) async fn disconnect(
    State(state): State<AppState>,
    caller: Caller,
    Params((name, network)): NetworkPath,
    Body(request): Body<NetworkDisconnectRequest>,
) -> Result<Json<Written>, ApiError> {
    let target = Target::find(&state, &name, &request.container).await?;
    may_enter(&caller, &target).await?;
    let body = models::NetworkDisconnectRequest {
        container: target.id().to_owned(),
        force: Some(request.force),
    };
    let key = network.as_str();
    target
        .engine
        .call(Deadline::Write, |docker| async move {
            docker.disconnect_network(key, body).await
        })
        .await?;
    refresh(&target.engine).await;
    Ok(target.written().await)
}

/// `POST /engines/{engine}/networks/preview`
pub(crate) async fn preview(
    State(state): State<AppState>,
    caller: Caller,
    Params(name): Params<EngineName>,
    Body(request): Body<NetworkPreviewRequest>,
) -> Result<Json<Preview>, ApiError> {
    let engine = engine_of(&state, &name)?;
    refresh(&engine).await;
    let ids: Vec<String> = if request.prune {
        unused(&engine)
    } else {
        request.networks.iter().map(ToString::to_string).collect()
    };
    if ids.is_empty() && !request.prune {
        return Err(ApiError::invalid_field(
            "networks",
            "must name a network, or prune must be set",
        ));
    }
    let found = find(&engine, &ids)?;
    state.previews.keep(caller.user(), &name, found).map(Json)
}

/// `POST /engines/{engine}/networks/remove`
pub(crate) async fn remove(
    State(state): State<AppState>,
    caller: Caller,
    Params(name): Params<EngineName>,
    Body(request): Body<NetworkRemoveRequest>,
) -> Result<Json<BulkResult>, ApiError> {
    let engine = engine_of(&state, &name)?;
    let confirmed = state
        .previews
        .take(&request.preview_token, caller.user(), &name)?;
    let Plan::Networks { ids } = confirmed.plan.clone() else {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            ProblemCode::PreviewRequired,
            "the preview was not of networks",
        ));
    };
    refresh(&engine).await;
    let found = find(&engine, &ids)?;
    confirmed.still_holds(&found)?;
    let mut results = Vec::new();
    for item in found.items {
        let key = item.id.as_str();
        let removed = engine
            .call(Deadline::Write, |docker| async move {
                docker.remove_network(key).await
            })
            .await;
        let problem = match removed {
            Err(error) if !error.is_not_found() => Some(ApiError::from(error).into_problem()),
            _ => None,
        };
        results.push(BulkItemResult {
            id: item.id,
            name: item.name,
            ok: problem.is_none(),
            problem,
        });
    }
    refresh(&engine).await;
    Ok(Json(BulkResult { results, rev: None }))
}

/// `GET /engines/{engine}/topology`
pub(crate) async fn topology(
    State(state): State<AppState>,
    Params(name): Params<EngineName>,
) -> Result<Json<Topology>, ApiError> {
    let engine = engine_of(&state, &name)?;
    let networks = engine.mirror.networks();
    let containers = engine.mirror.containers();
    // Addresses are not in the list; a network that went meanwhile has none.
    let ids: Vec<String> = networks.iter().map(|one| one.id.clone()).collect();
    let looked: Vec<(String, Vec<NetworkEndpoint>)> = stream::iter(ids)
        .map(|id| {
            let engine = &engine;
            async move {
                let endpoints = look(engine, &id)
                    .await
                    .map(|network| network.endpoints)
                    .unwrap_or_default();
                (id, endpoints)
            }
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut addresses = HashMap::new();
    for (network, endpoints) in looked {
        for endpoint in endpoints {
            addresses.insert((network.clone(), endpoint.container.clone()), endpoint);
        }
    }
    let mut told = Topology {
        networks: Vec::new(),
        containers: Vec::new(),
        links: Vec::new(),
        ports: Vec::new(),
    };
    for row in &containers {
        let mut outside = None;
        for name in &row.networks {
            if matches!(name.as_str(), "host" | "none") {
                outside = Some(name.clone());
            }
            let Some(network) = networks.iter().find(|one| one.name == *name) else {
                continue;
            };
            let address = addresses.get(&(network.id.clone(), row.id.clone()));
            told.links.push(TopologyLink {
                container: row.id.clone(),
                network: network.id.clone(),
                ipv4: address.and_then(|one| one.ipv4.clone()),
                ipv6: address.and_then(|one| one.ipv6.clone()),
            });
        }
        for port in &row.ports {
            let Some(host_port) = port.host_port else {
                continue;
            };
            let host_ip = port.host_ip.clone().unwrap_or_default();
            let local = host_ip
                .parse::<std::net::IpAddr>()
                .is_ok_and(|ip| ip.is_loopback());
            told.ports.push(TopologyPort {
                host_port,
                exposed: !local,
                host_ip,
                container: row.id.clone(),
                container_port: port.container_port,
                protocol: port.protocol,
            });
        }
        told.containers.push(TopologyContainer {
            id: row.id.clone(),
            name: row.name.clone(),
            state: row.state,
            project: row.project.clone(),
            outside,
        });
    }
    told.networks = networks;
    Ok(Json(told))
}

async fn may_enter(caller: &Caller, target: &Target) -> Result<(), ApiError> {
    let id = target.id();
    let inspect = target
        .engine
        .call(Deadline::Read, |docker| async move {
            docker
                .inspect_container(id, None::<InspectContainerOptions>)
                .await
        })
        .await?;
    policy::may_enter(caller, &inspect)
}

async fn look(engine: &Engine, id: &str) -> Result<NetworkDetail, ApiError> {
    let seen = engine
        .call(Deadline::Read, |docker| async move {
            docker
                .inspect_network(id, None::<InspectNetworkOptions>)
                .await
        })
        .await?;
    let key = seen.id.clone().unwrap_or_default();
    let row = || {
        engine
            .mirror
            .networks()
            .into_iter()
            .find(|one| one.id == key)
    };
    let summary = if let Some(row) = row() {
        row
    } else {
        refresh(engine).await;
        row().ok_or_else(|| ApiError::not_found(format!("network: {id}")))?
    };
    let address = |text: Option<String>| {
        text.map(|text| text.split('/').next().unwrap_or_default().to_owned())
            .filter(|text| !text.is_empty())
    };
    let mut endpoints: Vec<NetworkEndpoint> = seen
        .containers
        .unwrap_or_default()
        .into_iter()
        .map(|(container, endpoint)| NetworkEndpoint {
            container,
            name: endpoint.name.unwrap_or_default(),
            ipv4: address(endpoint.ipv4_address),
            ipv6: address(endpoint.ipv6_address),
            mac: endpoint.mac_address.filter(|mac| !mac.is_empty()),
        })
        .collect();
    endpoints.sort_by(|a, b| a.name.cmp(&b.name));
    let options: BTreeMap<String, String> = seen.options.unwrap_or_default().into_iter().collect();
    Ok(NetworkDetail {
        summary,
        options,
        endpoints,
    })
}

fn check(request: &NetworkCreateRequest) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut wrong = |field: &str, message: &str| {
        errors.push(FieldError {
            field: field.to_owned(),
            message: message.to_owned(),
        });
    };
    if NetworkId::parse(&request.name).is_err() {
        wrong(
            "name",
            "must be letters, digits, '_', '.' and '-', starting with a letter or digit",
        );
    } else if OWN.contains(&request.name.as_str()) || request.name == "default" {
        wrong("name", "is a network that every engine has");
    }
    let is_subnet = |text: &str| {
        text.split_once('/').is_some_and(|(ip, bits)| {
            let longest = match ip.parse::<std::net::IpAddr>() {
                Ok(std::net::IpAddr::V4(_)) => 32,
                Ok(std::net::IpAddr::V6(_)) => 128,
                Err(_) => return false,
            };
            bits.parse::<u8>().is_ok_and(|bits| bits <= longest)
        })
    };
    if request
        .subnet
        .as_deref()
        .is_some_and(|subnet| !is_subnet(subnet))
    {
        wrong("subnet", "must be such as 10.5.0.0/24");
    }
    if let Some(gateway) = &request.gateway {
        if request.subnet.is_none() {
            wrong("gateway", "needs a subnet, too");
        } else if gateway.parse::<std::net::IpAddr>().is_err() {
            wrong("gateway", "must be an address such as 10.5.0.1");
        }
    }
    errors
}

/// The networks that pruning takes.
pub(super) fn unused(engine: &Engine) -> Vec<String> {
    let containers = engine.mirror.containers();
    // A stopped container, too, wants its network when it starts.
    let used = |one: &NetworkSummary| {
        containers.iter().any(|row| {
            row.networks
                .iter()
                .any(|name| *name == one.name || *name == one.id)
        })
    };
    let networks = engine.mirror.networks().into_iter();
    networks
        .filter(|one| !OWN.contains(&one.name.as_str()) && one.scope != "swarm" && !used(one))
        .map(|one| one.id)
        .collect()
}

/// Finds out what removal would do; the same for the preview and for its confirmation.
fn find(engine: &Engine, keys: &[String]) -> Result<Found, ApiError> {
    let all = engine.mirror.networks();
    let mut items = Vec::new();
    for key in keys {
        let network = all
            .iter()
            .find(|one| one.id == *key || one.name == *key)
            .ok_or_else(|| ApiError::not_found(format!("network: {key}")))?;
        let note = if OWN.contains(&network.name.as_str()) {
            Some("it comes with the engine, which will refuse".to_owned())
        } else if network.used_by.is_empty() {
            None
        } else {
            Some("containers are on it: the engine will refuse".to_owned())
        };
        items.push(PreviewItem {
            kind: "network".to_owned(),
            id: network.id.clone(),
            name: network.name.clone(),
            bytes: None,
            used_by: network.used_by.clone(),
            note,
        });
    }
    Ok(Found {
        plan: Plan::Networks { ids: items.iter().map(|item| item.id.clone()).collect() },
        items,
        freed_bytes: None,
        warnings: Vec::new(),
        undo: "A network can be made anew with the same name and subnet; containers are then connected again.".to_owned(),
    })
}

async fn refresh(engine: &Engine) {
    if let Ok(docker) = engine.docker()
        && let Err(error) = engine
            .mirror
            .refresh_list(&docker, &Refresh::Networks)
            .await
    {
        tracing::debug!(%error, "list networks");
    }
}
