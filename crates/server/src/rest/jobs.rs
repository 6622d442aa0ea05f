//! Long work and what starts it.

use api::{
    compare::{CompareRequest, CompareResult, CompareStarted},
    id::{EngineName, JobId},
    image::PullRequest,
    job::{Job, JobKind, JobLog},
    live::Items,
    page::ListQuery,
    problem::ProblemCode,
    revision::Written,
};
use axum::{Json, extract::State, http::StatusCode, response::Response};

use super::{engine_of, page};
use crate::{
    compare::CompareError,
    http::{ApiError, Body, Caller, Params, QueryParams},
    jobs::{self, JobError, NewJob},
    state::AppState,
};

type Accepted<T> = Result<(StatusCode, Json<T>), ApiError>;

/// `GET /jobs`
pub(crate) async fn list(
    State(state): State<AppState>,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Response, ApiError> {
    page::answer(&query, state.background.jobs.list())
}

/// `GET /jobs/{job}/log`
pub(crate) async fn log(
    State(state): State<AppState>,
    Params(id): Params<JobId>,
) -> Result<Json<JobLog>, ApiError> {
    Ok(Json(state.background.jobs.log(&id)?))
}

/// `GET /jobs/{job}`
pub(crate) async fn get(
    State(state): State<AppState>,
    Params(id): Params<JobId>,
) -> Result<Json<Job>, ApiError> {
    Ok(Json(state.background.jobs.get(&id)?))
}

/// `POST /jobs/{job}/cancel`
pub(crate) async fn cancel(
    State(state): State<AppState>,
    Params(id): Params<JobId>,
) -> Result<Json<Written>, ApiError> {
    state.background.jobs.cancel(&id)?;
    Ok(Json(Written {
        rev: None,
        warnings: Vec::new(),
    }))
}

/// `POST /engines/{engine}/images/pull`
pub(crate) async fn pull(
    State(state): State<AppState>,
    caller: Caller,
    Params(name): Params<EngineName>,
    Body(request): Body<PullRequest>,
) -> Accepted<Job> {
    let engine = engine_of(&state, &name)?;
    let docker = engine.docker()?;
    let image = request.reference.to_string();
    let new = NewJob {
        kind: JobKind::Pull,
        title: format!("Pull {image}"),
        engine: Some(name.clone()),
        started_by: Some(caller.user().to_owned()),
    };
    let work = jobs::PullRequest {
        docker,
        engine: name,
        image,
        platform: request.platform,
    };
    let job = state
        .background
        .jobs
        .start(new, move |job| jobs::pull(work, job))
        .await?;
    Ok((StatusCode::ACCEPTED, Json(job)))
}

/// `POST /compare`
pub(crate) async fn compare(
    State(state): State<AppState>,
    caller: Caller,
    Body(request): Body<CompareRequest>,
) -> Accepted<CompareStarted> {
    let started = state
        .background
        .comparisons
        .start(request, Some(caller.user().to_owned()))
        .await?;
    Ok((StatusCode::ACCEPTED, Json(started)))
}

/// `GET /compare`
pub(crate) async fn comparisons(State(state): State<AppState>) -> Json<Items<CompareResult>> {
    Json(Items {
        items: state.background.comparisons.list(),
    })
}

/// `GET /compare/{comparison}`
pub(crate) async fn comparison(
    State(state): State<AppState>,
    Params(id): Params<JobId>,
) -> Result<Json<CompareResult>, ApiError> {
    Ok(Json(state.background.comparisons.get(&id)?))
}

impl From<JobError> for ApiError {
    fn from(error: JobError) -> Self {
        let (status, code) = match error {
            JobError::NotFound => (StatusCode::NOT_FOUND, ProblemCode::NotFound),
            JobError::Ended => (StatusCode::CONFLICT, ProblemCode::Conflict),
            JobError::TooMany => (StatusCode::TOO_MANY_REQUESTS, ProblemCode::RateLimited),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<CompareError> for ApiError {
    fn from(error: CompareError) -> Self {
        match error {
            CompareError::Invalid { field, message } => Self::invalid_field(field, message),
            CompareError::NotFound => Self::new(
                StatusCode::NOT_FOUND,
                ProblemCode::NotFound,
                error.to_string(),
            ),
            CompareError::Job(job) => job.into(),
        }
    }
}
