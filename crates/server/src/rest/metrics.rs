//! For other programs that watch: figures in Prometheus' format, and whether the server is well.

use std::{sync::Arc, time::Duration};

use api::job::JobState;
use axum::{
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};

use crate::{
    metrics::{Process, exposition, write_exposition},
    state::AppState,
};

/// How long the database may take before the server counts as not ready.
const READY_LIMIT: Duration = Duration::from_secs(2);

/// `GET /healthz`: the process answers.
pub(crate) async fn alive() -> &'static str {
    "ok"
}

/// `GET /readyz`: requests can be carried out. Engines that are away are no reason against it: the page tells of them.
pub(crate) async fn ready(State(state): State<AppState>) -> impl IntoResponse {
    let look = state.db.run("look", |c| {
        c.query_row("SELECT count(*) FROM sqlite_schema", [], |row| {
            row.get::<_, u32>(0)
        })
    });
    match tokio::time::timeout(READY_LIMIT, look).await {
        Ok(Ok(_)) => (StatusCode::OK, "ok"),
        Ok(Err(_)) | Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the database does not answer; the server's log says more\n",
        ),
    }
}

/// `GET /metrics`
pub(crate) async fn metrics(State(state): State<AppState>) -> impl IntoResponse {
    let engines: Vec<_> = state.engines.iter().map(|engine| engine.info()).collect();
    let rows: Vec<Arc<_>> = state
        .engines
        .iter()
        .flat_map(|engine| engine.mirror.containers())
        .collect();
    let figures = &state.hub.figures;
    let sampled: Vec<_> = rows
        .iter()
        .map(|row| {
            // What ran once and does not now has no figures.
            let counters = row.pid.and_then(|_| figures.counters(&row.engine, &row.id));
            (&**row, counters)
        })
        .collect();
    let jobs = state.background.jobs.list();
    let process = Process {
        started_s: state.started.as_duration().as_secs_f64(),
        memory_bytes: observe::process_memory_bytes(std::process::id()).ok(),
        cpu_s: crate::process::cpu_time().map(|time| time.as_secs_f64()),
        jobs: jobs
            .iter()
            .filter(|job| matches!(job.state, JobState::Queued | JobState::Running))
            .count(),
    };
    let text = write_exposition(&engines, &sampled, figures.host().as_ref(), &process);
    ([(header::CONTENT_TYPE, exposition::CONTENT_TYPE)], text)
}
