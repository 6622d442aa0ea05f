//! Work on images that takes long, each as a job: push, build, load, save as a stream; and tags and the look for newer ones.

use std::collections::HashMap;

use api::{
    id::{EngineName, ImageId},
    image::{
        BuildDockerfileRequest, BuildQuery, ImagePushRequest, ImageTagRequest, RegistryLogin,
        UpdateCheck, UpdateCheckRequest, UpdateState,
    },
    job::{Job, JobKind},
    live::Items,
    problem::ProblemCode,
    revision::Written,
};
use axum::{
    Json,
    body::Body as HttpBody,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use bollard::{
    Docker,
    auth::DockerCredentials,
    body_try_stream,
    models::BuildInfo,
    query_parameters::{BuildImageOptionsBuilder, PushImageOptionsBuilder, TagImageOptionsBuilder},
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::mpsc;

use super::{
    engine_of,
    files::{attachment, must_be},
    images::find_row,
};
use crate::{
    engines::{CallError, Deadline, Engine},
    filesystem::{Entry, EntryKind, header_of, padding},
    http::{ApiError, Body, Caller, Params, QueryParams},
    jobs::{Failure, JobHandle, NewJob},
    mirror::Refresh,
    state::AppState,
};

/// Images looked for in one request.
const MOST_CHECKED: usize = 100;
/// Registries asked at the same time.
const AT_ONCE: usize = 4;
/// Pieces of an upload that wait for the engine.
const QUEUE: usize = 8;
/// Lines of a build's output that its job keeps.
const MOST_LINES: usize = 400;

type Accepted = Result<(StatusCode, Json<Job>), ApiError>;
type ImagePath = Params<(EngineName, ImageId)>;

/// `POST /engines/{engine}/images/{image}/push`
pub(crate) async fn push(
    State(state): State<AppState>,
    caller: Caller,
    Params((name, image)): ImagePath,
    Body(request): Body<ImagePushRequest>,
) -> Accepted {
    let engine = engine_of(&state, &name)?;
    let row = find_row(&engine, image.as_str())
        .ok_or_else(|| ApiError::not_found(format!("image: {image}")))?;
    let reference = image.to_string();
    if reference.starts_with("sha256:") || reference.contains('@') {
        return Err(ApiError::invalid_field(
            "image",
            "must be a name with a tag: an id names no registry",
        )
        .hint("tag the image with the registry's name first"));
    }
    let docker = engine.docker()?;
    let new = NewJob {
        kind: JobKind::Push,
        title: format!("Push {reference}"),
        engine: Some(name),
        started_by: Some(caller.user().to_owned()),
    };
    let credentials = request.login.map(credentials);
    let job = state
        .background
        .jobs
        .start(new, move |job| async move {
            let (repository, tag) = split_tag(&reference);
            let options = PushImageOptionsBuilder::default().tag(tag).build();
            let mut lines =
                std::pin::pin!(docker.push_image(repository, Some(options), credentials));
            loop {
                let next = tokio::select! {
                    () = job.cancelled() => return Err(Failure::Cancelled),
                    next = lines.next() => next,
                };
                let Some(line) = next else { break };
                let line = line?;
                let status = line.status.unwrap_or_default();
                let detail = line.progress_detail.unwrap_or_default();
                let number =
                    |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0);
                // The client in use does not tell which layer it is about.
                if !status.is_empty() {
                    let (current, total) = (number(detail.current), number(detail.total));
                    if current.is_some() {
                        job.step("layer", &status, current, total);
                    }
                    job.message(status);
                }
            }
            // The digest under which the registry has it now.
            refresh(&engine).await;
            Ok(Some(row.id))
        })
        .await?;
    Ok((StatusCode::ACCEPTED, Json(job)))
}

/// `POST /engines/{engine}/images/{image}/tag`
pub(crate) async fn tag(
    State(state): State<AppState>,
    Params((name, image)): ImagePath,
    Body(request): Body<ImageTagRequest>,
) -> Result<Json<Written>, ApiError> {
    let engine = engine_of(&state, &name)?;
    let row = find_row(&engine, image.as_str())
        .ok_or_else(|| ApiError::not_found(format!("image: {image}")))?;
    let reference = request.reference.to_string();
    if reference.starts_with("sha256:") || reference.contains('@') {
        return Err(ApiError::invalid_field(
            "reference",
            "must be a name, perhaps with a tag",
        ));
    }
    let (repository, tag) = split_tag(&reference);
    let options = TagImageOptionsBuilder::default()
        .repo(repository)
        .tag(tag)
        .build();
    let id = row.id.as_str();
    engine
        .call(Deadline::Write, |docker| async move {
            docker.tag_image(id, Some(options)).await
        })
        .await?;
    refresh(&engine).await;
    Ok(Json(Written {
        rev: None,
        warnings: Vec::new(),
    }))
}

/// `GET /engines/{engine}/images/{image}/save`
pub(crate) async fn save(
    State(state): State<AppState>,
    Params((name, image)): ImagePath,
) -> Result<Response, ApiError> {
    let engine = engine_of(&state, &name)?;
    find_row(&engine, image.as_str())
        .ok_or_else(|| ApiError::not_found(format!("image: {image}")))?;
    let docker = engine.docker()?;
    let (pipe, archive) = mpsc::channel::<std::io::Result<Bytes>>(QUEUE);
    let key = image.to_string();
    // The engine's stream borrows its client, so it lives in a task of its own; it ends when nobody takes its pieces.
    state.tasks.spawn(async move {
        let mut pieces = std::pin::pin!(docker.export_image(&key));
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| std::io::Error::other(error.to_string()));
            if pipe.send(piece).await.is_err() {
                return;
            }
        }
    });
    let archive = tokio_stream::wrappers::ReceiverStream::new(archive);
    let mut response = HttpBody::from_stream(archive).into_response();
    attachment(
        &mut response,
        &format!("{}.tar", image.as_str().replace(['/', ':'], "_")),
        "application/x-tar",
    );
    Ok(response)
}

/// `POST /engines/{engine}/images/load`; answers when the archive has been taken, with the job at its end or on its way to it.
pub(crate) async fn load(
    State(state): State<AppState>,
    caller: Caller,
    Params(name): Params<EngineName>,
    request: Request,
) -> Accepted {
    must_be(request.headers(), &["application/x-tar"])?;
    let engine = engine_of(&state, &name)?;
    let docker = engine.docker()?;
    let new = NewJob {
        kind: JobKind::Load,
        title: "Load images from an archive".to_owned(),
        engine: Some(name),
        started_by: Some(caller.user().to_owned()),
    };
    let size = length_if_told(&request);
    uploaded(&state, request, new, move |job, archive| async move {
        let archive = counted(archive, job.clone(), size);
        crate::jobs::load(&docker, archive, &job).await?;
        refresh(&engine).await;
        Ok(None)
    })
    .await
}

/// `POST /engines/{engine}/images/build`
pub(crate) async fn build(
    State(state): State<AppState>,
    caller: Caller,
    Params(name): Params<EngineName>,
    QueryParams(query): QueryParams<BuildQuery>,
    request: Request,
) -> Accepted {
    must_be(request.headers(), &["application/x-tar"])?;
    check_tag(query.tag.as_ref())?;
    let engine = engine_of(&state, &name)?;
    let new = build_job(&engine, &caller, query.tag.as_ref());
    let size = length_if_told(&request);
    let plan = Build {
        docker: engine.docker()?,
        tag: query.tag.map(String::from),
        dockerfile: query.dockerfile,
        pull: query.pull.unwrap_or(false),
        no_cache: query.no_cache.unwrap_or(false),
        args: HashMap::new(),
    };
    uploaded(&state, request, new, move |job, archive| async move {
        let built = run_build(plan, counted(archive, job.clone(), size), &job).await;
        refresh(&engine).await;
        built
    })
    .await
}

/// `POST /engines/{engine}/images/build-dockerfile`
pub(crate) async fn build_dockerfile(
    State(state): State<AppState>,
    caller: Caller,
    Params(name): Params<EngineName>,
    Body(request): Body<BuildDockerfileRequest>,
) -> Accepted {
    check_tag(request.tag.as_ref())?;
    if request.dockerfile.trim().is_empty() {
        return Err(ApiError::invalid_field("dockerfile", "is needed"));
    }
    let engine = engine_of(&state, &name)?;
    let new = build_job(&engine, &caller, request.tag.as_ref());
    let plan = Build {
        docker: engine.docker()?,
        tag: request.tag.map(String::from),
        dockerfile: None,
        pull: request.pull,
        no_cache: request.no_cache,
        args: request
            .args
            .into_iter()
            .map(|one| (one.key, one.value))
            .collect(),
    };
    let context = context_of(&request.dockerfile);
    let job = state
        .background
        .jobs
        .start(new, move |job| async move {
            let archive = stream::iter([Ok(Bytes::from(context))]);
            let built = run_build(plan, archive, &job).await;
            refresh(&engine).await;
            built
        })
        .await?;
    Ok((StatusCode::ACCEPTED, Json(job)))
}

/// `POST /engines/{engine}/images/update-check`
pub(crate) async fn update_check(
    State(state): State<AppState>,
    Params(name): Params<EngineName>,
    Body(request): Body<UpdateCheckRequest>,
) -> Result<Json<Items<UpdateCheck>>, ApiError> {
    let engine = engine_of(&state, &name)?;
    let mut references: Vec<String> = request.images.iter().map(ToString::to_string).collect();
    if references.is_empty() {
        let used = engine
            .mirror
            .images()
            .into_iter()
            .filter(|image| !image.used_by.is_empty());
        references = used.flat_map(|image| image.tags).collect();
    }
    references.sort_unstable();
    references.dedup();
    if references.len() > MOST_CHECKED {
        return Err(ApiError::invalid_field(
            "images",
            format!("must be at most {MOST_CHECKED}"),
        ));
    }
    let login = request.login.map(credentials);
    let (engine, login) = (&engine, &login);
    let items: Vec<UpdateCheck> = stream::iter(references)
        .map(|reference| async move { check_one(engine, reference, login.clone()).await })
        .buffered(AT_ONCE)
        .collect()
        .await;
    Ok(Json(Items { items }))
}

async fn check_one(
    engine: &Engine,
    reference: String,
    login: Option<DockerCredentials>,
) -> UpdateCheck {
    let mut told = UpdateCheck {
        reference: reference.clone(),
        local_digests: Vec::new(),
        remote_digest: None,
        state: UpdateState::Unknown,
        problem: None,
    };
    let Some(row) = find_row(engine, &reference) else {
        told.problem = Some(ApiError::not_found(format!("image: {reference}")).into_problem());
        return told;
    };
    let digest = |text: &String| text.rsplit('@').next().unwrap_or_default().to_owned();
    told.local_digests = row.digests.iter().map(digest).collect();
    if told.local_digests.is_empty() {
        // Built or loaded here: no registry knows it.
        told.state = UpdateState::Local;
        return told;
    }
    let key = reference.as_str();
    let asked = engine
        .call(Deadline::Slow(0), |docker| async move {
            docker.inspect_registry_image(key, login).await
        })
        .await;
    match asked {
        Ok(found) => {
            let remote = found.descriptor.digest.unwrap_or_default();
            told.state = if told.local_digests.contains(&remote) {
                UpdateState::Current
            } else {
                UpdateState::Newer
            };
            told.remote_digest = Some(remote);
        }
        Err(error) => {
            let problem = match error {
                CallError::Refused { message, .. } => {
                    ApiError::new(StatusCode::BAD_GATEWAY, ProblemCode::EngineRefused, message)
                        .hint("the engine asks the registry: it must reach it, and a private one wants a login")
                }
                other => other.into(),
            };
            told.problem = Some(problem.into_problem());
        }
    }
    told
}

/// What a build is made of.
struct Build {
    docker: Docker,
    tag: Option<String>,
    dockerfile: Option<String>,
    pull: bool,
    no_cache: bool,
    args: HashMap<String, String>,
}

fn build_job(engine: &Engine, caller: &Caller, tag: Option<&ImageId>) -> NewJob {
    NewJob {
        kind: JobKind::Build,
        title: tag.map_or_else(|| "Build an image".to_owned(), |tag| format!("Build {tag}")),
        engine: Some(engine.name.clone()),
        started_by: Some(caller.user().to_owned()),
    }
}

/// Runs a build: each instruction is a step, its output goes to the job's log.
async fn run_build(
    plan: Build,
    context: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    job: &JobHandle,
) -> Result<Option<String>, Failure> {
    let mut options = BuildImageOptionsBuilder::default()
        .rm(true)
        .forcerm(true)
        .nocache(plan.no_cache)
        .buildargs(&plan.args);
    if let Some(tag) = &plan.tag {
        options = options.t(tag);
    }
    if let Some(dockerfile) = &plan.dockerfile {
        options = options.dockerfile(dockerfile);
    }
    if plan.pull {
        options = options.pull("1");
    }
    let docker = plan.docker;
    let mut lines =
        std::pin::pin!(docker.build_image(options.build(), None, Some(body_try_stream(context))));
    let (mut step, mut id, mut shown) = (String::new(), None, 0);
    loop {
        let next = tokio::select! {
            () = job.cancelled() => return Err(Failure::Cancelled),
            next = lines.next() => next,
        };
        let Some(line) = next else { break };
        let BuildInfo {
            stream,
            error_detail,
            aux,
            status,
            ..
        } = line?;
        if let Some(error) = error_detail {
            let message = error
                .message
                .unwrap_or_else(|| "build: the engine gave no reason".to_owned());
            if !step.is_empty() {
                job.step(&step, "failed", None, None);
            }
            return Err(Failure::new(ProblemCode::EngineRefused, message)
                .with_hint("correct the instruction that is named, and build again"));
        }
        if let Some(found) = aux.and_then(|aux| aux.id) {
            id = Some(found);
        }
        for text in stream.iter().chain(&status).flat_map(|text| text.lines()) {
            let text = text.trim_end();
            if text.is_empty() {
                continue;
            }
            if text.starts_with("Step ") {
                if !step.is_empty() {
                    job.step(&step, "done", None, None);
                }
                text.clone_into(&mut step);
                job.step(&step, "runs", None, None);
            }
            if let Some(found) = text.strip_prefix("Successfully built ") {
                id.get_or_insert_with(|| found.to_owned());
            }
            if shown < MOST_LINES {
                shown += 1;
                job.log(text);
            }
            job.message(text);
        }
    }
    if !step.is_empty() {
        job.step(&step, "done", None, None);
    }
    match id {
        Some(id) => Ok(Some(id)),
        None => Err(Failure::new(
            ProblemCode::EngineGarbled,
            "the engine told no image at the build's end",
        )),
    }
}

/// Starts a job that takes the request's body, and answers once it has been taken or the job has ended. A client that goes
/// away ends the job: half an archive is of no use.
async fn uploaded<W, F>(state: &AppState, request: Request, new: NewJob, work: W) -> Accepted
where
    W: FnOnce(JobHandle, tokio_stream::wrappers::ReceiverStream<std::io::Result<Bytes>>) -> F
        + Send
        + 'static,
    F: Future<Output = Result<Option<String>, Failure>> + Send + 'static,
{
    let (pipe, archive) = mpsc::channel(QUEUE);
    let archive = tokio_stream::wrappers::ReceiverStream::new(archive);
    let job = state
        .background
        .jobs
        .start(new, move |job| work(job, archive))
        .await?;
    let mut body = request
        .into_body()
        .into_data_stream()
        .map_err(std::io::Error::other);
    while let Some(piece) = body.next().await {
        let broken = piece.is_err();
        // The job has ended; what is left of the body is not wanted.
        if pipe.send(piece).await.is_err() || broken {
            break;
        }
    }
    drop(pipe);
    Ok((
        StatusCode::ACCEPTED,
        Json(state.background.jobs.get(&job.id)?),
    ))
}

fn counted(
    archive: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    job: JobHandle,
    size: Option<u64>,
) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    let mut sent = 0_u64;
    archive.inspect(move |piece| {
        if let Ok(piece) = piece {
            sent += piece.len() as u64;
            job.step("upload", "Takes the archive", Some(sent), size);
        }
    })
}

fn length_if_told(request: &Request) -> Option<u64> {
    let length = request.headers().get(axum::http::header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

/// An archive of one file.
fn context_of(dockerfile: &str) -> Vec<u8> {
    let entry = Entry {
        name: "Dockerfile".to_owned(),
        kind: EntryKind::File,
        mode: 0o644,
        uid: 0,
        gid: 0,
        size: dockerfile.len() as u64,
        mtime: 0,
        link: String::new(),
    };
    let mut archive = header_of(&entry);
    archive.extend_from_slice(dockerfile.as_bytes());
    archive.extend(std::iter::repeat_n(0, padding(entry.size) + 1024));
    archive
}

fn check_tag(tag: Option<&ImageId>) -> Result<(), ApiError> {
    if tag.is_some_and(|tag| tag.as_str().starts_with("sha256:") || tag.as_str().contains('@')) {
        return Err(ApiError::invalid_field(
            "tag",
            "must be a name, perhaps with a tag",
        ));
    }
    Ok(())
}

fn credentials(login: RegistryLogin) -> DockerCredentials {
    DockerCredentials {
        username: Some(login.name),
        password: Some(login.password),
        serveraddress: login.registry,
        ..Default::default()
    }
}

/// A reference without its tag, and the tag.
fn split_tag(reference: &str) -> (&str, &str) {
    match reference.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (reference, "latest"),
    }
}

async fn refresh(engine: &Engine) {
    if let Ok(docker) = engine.docker()
        && let Err(error) = engine.mirror.refresh_list(&docker, &Refresh::Images).await
    {
        tracing::debug!(%error, "list images");
    }
}

#[cfg(test)]
mod tests {
    use super::split_tag;

    #[test]
    fn the_tag_is_what_stands_behind_the_last_colon_of_the_name() {
        assert_eq!(split_tag("busybox"), ("busybox", "latest"));
        assert_eq!(split_tag("host:5000/a/b"), ("host:5000/a/b", "latest"));
        assert_eq!(split_tag("host:5000/a/b:1"), ("host:5000/a/b", "1"));
    }
}
