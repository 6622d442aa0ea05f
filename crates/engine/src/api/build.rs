//! `/build` and `/build/prune`.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router, body::Body, extract::State, http::HeaderMap, response::Response, routing::post,
};
use base64::Engine as _;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{images, query::Params};
use crate::{
    blocking,
    build::{self, BuildRequest},
    engine::Engine,
    error::{EngineError, Result},
    image::{Credentials, Platform, Progress},
};

/// Returns the routes.
pub(super) fn routes() -> Router<Arc<Engine>> {
    Router::new()
        .route("/build", post(build))
        .route("/build/prune", post(prune))
}

async fn build(
    State(engine): State<Arc<Engine>>,
    params: Params,
    headers: HeaderMap,
    body: Body,
) -> Result<Response> {
    let request = read_request(&params, &headers)?;
    let progress = Progress::default();
    let told = progress.clone();
    Ok(images::stream(progress.lines(async move {
        let body = body.into_data_stream();
        if let Err(failure) = build::build(engine, request, body, told.clone()).await {
            told.failed(&failure.message, failure.code);
        }
        Ok(())
    })))
}

async fn prune(State(engine): State<Arc<Engine>>) -> Result<Json<Value>> {
    let (gone, freed) = blocking::run(move || build::prune_caches(&engine)).await?;
    Ok(Json(
        json!({"CachesDeleted": gone, "SpaceReclaimed": freed}),
    ))
}

fn read_request(params: &Params, headers: &HeaderMap) -> Result<BuildRequest> {
    if params.text("version") == Some("2") {
        return Err(EngineError::Unsupported(
            "this engine has the classic builder: build without BuildKit (DOCKER_BUILDKIT=0)"
                .into(),
        ));
    }
    if params.flag("squash") {
        return Err(EngineError::Unsupported(
            "squash: this builder keeps every instruction's layer".into(),
        ));
    }
    let mut names = Vec::new();
    for name in params.all("t").iter().filter(|name| !name.is_empty()) {
        let name: crate::image::Reference = name.parse().map_err(|error| {
            EngineError::Invalid(format!(
                "invalid argument {name:?} for \"-t, --tag\" flag: {error}"
            ))
        })?;
        if name.digest().is_some() {
            return Err(EngineError::Invalid(
                "build tag cannot contain a digest".into(),
            ));
        }
        let name = name.with_default_tag();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(BuildRequest {
        dockerfile: params.text("dockerfile").unwrap_or("Dockerfile").to_owned(),
        remote: params.text("remote").map(str::to_owned),
        names,
        target: params.text("target").map(str::to_owned),
        arguments: json_of(params, "buildargs")?,
        labels: json_of(params, "labels")?,
        no_cache: params.flag("nocache"),
        pull: params.flag("pull"),
        keep_containers: !params.flag_or("rm", true),
        remove_failed: params.flag("forcerm"),
        quiet: params.flag("q"),
        platform: params.text("platform").map(Platform::parse).transpose()?,
        host_config: host_config(params)?,
        credentials: credentials(headers),
    })
}

fn json_of<T: DeserializeOwned + Default>(params: &Params, key: &str) -> Result<T> {
    let Some(text) = params.text(key) else {
        return Ok(T::default());
    };
    serde_json::from_str::<Option<T>>(text)
        .map(Option::unwrap_or_default)
        .map_err(|error| EngineError::Invalid(format!("invalid value for {key}: {error}")))
}

/// Limits and network of the containers that commands run in.
fn host_config(params: &Params) -> Result<Map<String, Value>> {
    let mut config = Map::new();
    for (parameter, field) in [
        ("memory", "Memory"),
        ("memswap", "MemorySwap"),
        ("cpushares", "CpuShares"),
        ("cpuperiod", "CpuPeriod"),
        ("cpuquota", "CpuQuota"),
        ("shmsize", "ShmSize"),
    ] {
        if let Some(number) = params
            .number::<i64>(parameter)?
            .filter(|number| *number != 0)
        {
            config.insert(field.to_owned(), number.into());
        }
    }
    for (parameter, field) in [
        ("cpusetcpus", "CpusetCpus"),
        ("cpusetmems", "CpusetMems"),
        ("cgroupparent", "CgroupParent"),
        ("networkmode", "NetworkMode"),
        ("isolation", "Isolation"),
    ] {
        if let Some(text) = params.text(parameter) {
            config.insert(field.to_owned(), text.into());
        }
    }
    let ulimits: Vec<Value> = json_of(params, "ulimits")?;
    if !ulimits.is_empty() {
        config.insert("Ulimits".to_owned(), ulimits.into());
    }
    // Several, or one with commas between.
    let hosts: Vec<&str> = params
        .all("extrahosts")
        .iter()
        .flat_map(|hosts| hosts.split(','))
        .filter(|host| !host.is_empty())
        .collect();
    if !hosts.is_empty() {
        config.insert("ExtraHosts".to_owned(), json!(hosts));
    }
    Ok(config)
}

/// `X-Registry-Config`: who asks which registry, JSON in base64. What cannot be read means nobody.
fn credentials(headers: &HeaderMap) -> BTreeMap<String, Credentials> {
    let read = || {
        let text = headers.get("x-registry-config")?.to_str().ok()?;
        let plain = text
            .trim()
            .trim_end_matches('=')
            .replace('+', "-")
            .replace('/', "_");
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(plain)
            .ok()?;
        serde_json::from_slice(&bytes).ok()
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(query: &str) -> Result<BuildRequest> {
        read_request(&Params::parse(query), &HeaderMap::new())
    }

    #[test]
    fn parameters_mean_what_they_mean_to_docker() {
        let request = request(
            "t=a&t=b:1&t=a:latest&buildargs=%7B%22A%22%3A%221%22%2C%22B%22%3Anull%7D&labels=%7B%22x%22%3A%22y%22%7D&rm=0&forcerm=1&memory=1024&shmsize=0&extrahosts=a:1.2.3.4,b:5.6.7.8&networkmode=none",
        )
        .unwrap();
        let names: Vec<_> = request
            .names
            .iter()
            .map(crate::image::Reference::familiar)
            .collect();
        assert_eq!(names, ["a:latest", "b:1"]);
        assert_eq!(request.arguments["A"].as_deref(), Some("1"));
        assert_eq!(request.arguments["B"], None);
        assert_eq!(request.labels["x"], "y");
        assert!(request.keep_containers && request.remove_failed && !request.no_cache);
        assert_eq!(request.dockerfile, "Dockerfile");
        assert_eq!(
            Value::Object(request.host_config),
            json!({"Memory": 1024, "NetworkMode": "none", "ExtraHosts": ["a:1.2.3.4", "b:5.6.7.8"]})
        );
    }

    #[test]
    fn what_is_not_offered_is_refused() {
        for (query, words) in [
            ("version=2", "classic builder"),
            ("squash=1", "squash"),
            ("t=UPPER", "invalid argument"),
            ("buildargs=x", "invalid value for buildargs"),
            ("memory=x", "invalid value for memory"),
        ] {
            let error = request(query).unwrap_err().to_string();
            assert!(error.contains(words), "{query}: {error}");
        }
    }

    #[test]
    fn credentials_are_read_by_registry() {
        let json = r#"{"registry.example:5000":{"username":"u","password":"p"}}"#;
        let mut headers = HeaderMap::new();
        let text = base64::engine::general_purpose::URL_SAFE.encode(json);
        headers.insert("x-registry-config", text.parse().unwrap());
        assert!(credentials(&headers).contains_key("registry.example:5000"));
        headers.insert("x-registry-config", "!".parse().unwrap());
        assert!(credentials(&headers).is_empty());
    }
}
