//! `/containers/{id}/logs`.

use std::sync::Arc;

use axum::{
    Extension, Router,
    body::Body,
    extract::{Path, State},
    http::header,
    response::{IntoResponse as _, Response},
    routing::get,
};

use super::{
    query::Params,
    version::{ApiVersion, MULTIPLEXED_SINCE},
};
use crate::{
    container::{LogFormat, LogRequest},
    engine::Engine,
    error::{EngineError, Result},
    time,
};

/// Content type of output with frame headers.
pub(super) const MULTIPLEXED_STREAM: &str = "application/vnd.docker.multiplexed-stream";
/// Content type of output as it is, and of every output for older clients.
pub(super) const RAW_STREAM: &str = "application/vnd.docker.raw-stream";

/// Returns the routes.
pub(super) fn routes() -> Router<Arc<Engine>> {
    Router::new().route("/containers/{id}/logs", get(logs))
}

async fn logs(
    State(engine): State<Arc<Engine>>,
    Extension(version): Extension<ApiVersion>,
    Path(id): Path<String>,
    params: Params,
) -> Result<Response> {
    let mut request = read_request(&params)?;
    let container = engine.containers.resolve(&id)?;
    let multiplexed = !container.record().has_terminal();
    request.format.multiplexed = multiplexed;
    let pieces = container.logs(request, &engine.log_watch)?;
    let kind = if multiplexed && version >= MULTIPLEXED_SINCE {
        MULTIPLEXED_STREAM
    } else {
        RAW_STREAM
    };
    Ok(([(header::CONTENT_TYPE, kind)], Body::from_stream(pieces)).into_response())
}

fn read_request(params: &Params) -> Result<LogRequest> {
    let request = LogRequest {
        stdout: params.flag("stdout"),
        stderr: params.flag("stderr"),
        follow: params.flag("follow"),
        // Docker takes what is no number, and a negative one, for all.
        tail: params.text("tail").and_then(|text| text.parse().ok()),
        since_ns: time_of(params, "since")?,
        until_ns: time_of(params, "until")?,
        format: LogFormat {
            multiplexed: false,
            timestamps: params.flag("timestamps"),
        },
    };
    if !request.stdout && !request.stderr {
        return Err(EngineError::Invalid(
            "Bad parameters: you must choose at least one stream".into(),
        ));
    }
    Ok(request)
}

/// A time; clients send 0 for none.
fn time_of(params: &Params, key: &str) -> Result<Option<i64>> {
    let time = params.text(key).map(time::parse).transpose()?;
    Ok(time.filter(|ns| *ns != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(query: &str) -> Result<LogRequest> {
        read_request(&Params::parse(query))
    }

    #[test]
    fn parameters_mean_what_they_mean_to_docker() {
        let request = request(
            "stdout=1&follow=true&tail=20&since=5.000000001&until=0&timestamps=1&details=1",
        )
        .unwrap();
        assert!(request.stdout && !request.stderr && request.follow && request.format.timestamps);
        assert_eq!(request.tail, Some(20));
        assert_eq!(request.since_ns, Some(5_000_000_001));
        assert_eq!(request.until_ns, None);
    }

    #[test]
    fn every_tail_but_a_number_is_all() {
        for tail in ["all", "", "-1", "x"] {
            let request = request(&format!("stderr=1&tail={tail}")).unwrap();
            assert_eq!(request.tail, None, "{tail}");
        }
        assert_eq!(request("stderr=1&tail=0").unwrap().tail, Some(0));
    }

    #[test]
    fn no_stream_and_no_time_are_refused() {
        let error = request("follow=1").unwrap_err();
        assert_eq!(
            error.to_string(),
            "Bad parameters: you must choose at least one stream"
        );
        assert!(request("stdout=1&since=yesterday").is_err());
    }
}
