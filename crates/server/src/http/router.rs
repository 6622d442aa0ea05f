//! The router, made from the one table of routes.

use api::operation::{BASE_PATH, Method, OPERATIONS, OperationId};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    handler::Handler,
    http::StatusCode,
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::{MethodFilter, MethodRouter, get, on},
};

use super::{
    ApiError, Origins,
    guard::{Post, guard},
    root::root,
};
use crate::{assets, rest, state::AppState};

/// Largest body, in bytes.
const BODY_LIMIT: usize = 1024 * 1024;

/// Makes the router: each operation behind its guard, everything behind the root layer.
pub(crate) fn router(state: &AppState) -> Router {
    let mut router = Router::new()
        .route("/healthz", get(rest::metrics::alive))
        .route("/readyz", get(rest::metrics::ready));
    for operation in OPERATIONS {
        let post = Post {
            state: state.clone(),
            operation,
        };
        let filter = match operation.method {
            Method::Get => MethodFilter::GET,
            Method::Post => MethodFilter::POST,
            Method::Patch => MethodFilter::PATCH,
            Method::Put => MethodFilter::PUT,
        };
        let handler = handler(operation.id, filter).layer(from_fn_with_state(post, guard));
        if operation.id == OperationId::Metrics {
            // Where Prometheus looks when it is told nothing else, behind the same guard.
            router = router.route("/metrics", handler.clone());
        }
        router = router.route(&format!("{BASE_PATH}{}", operation.path), handler);
    }
    router
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(fallback)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(from_fn(no_store))
        .layer(from_fn_with_state(state.clone(), root))
        .with_state(state.clone())
}

/// The router of the address for monitoring alone: figures and health without sign-in, and nothing else.
pub(crate) fn monitoring_router(state: &AppState, origins: Origins) -> Router {
    let origins = std::sync::Arc::new(origins);
    Router::new()
        .route("/healthz", get(rest::metrics::alive))
        .route("/readyz", get(rest::metrics::ready))
        .route("/metrics", get(rest::metrics::metrics))
        .fallback(async || {
            (
                StatusCode::NOT_FOUND,
                "there is only /metrics, /healthz and /readyz here\n",
            )
        })
        .layer(axum::middleware::from_fn(
            move |request: axum::extract::Request, next: axum::middleware::Next| {
                let origins = std::sync::Arc::clone(&origins);
                async move {
                    if origins.host_is_ours(request.headers()) {
                        next.run(request).await
                    } else {
                        StatusCode::MISDIRECTED_REQUEST.into_response()
                    }
                }
            },
        ))
        .with_state(state.clone())
}

/// The handler of each operation; no wildcard, so none is forgotten.
fn handler(id: OperationId, filter: MethodFilter) -> MethodRouter<AppState> {
    fn to<H, T>(filter: MethodFilter, handler: H) -> MethodRouter<AppState>
    where
        H: Handler<T, AppState>,
        T: 'static,
    {
        on(filter, handler)
    }
    use rest::{
        account, alerts, audit, auth, containers, files, images, networks, system, tokens, users,
        volumes,
    };
    match id {
        OperationId::SessionStatus => to(filter, auth::status),
        OperationId::Setup => to(filter, auth::set_up),
        OperationId::Login => to(filter, auth::log_in),
        OperationId::Confirm => to(filter, auth::confirm),
        OperationId::Logout => to(filter, auth::log_out),
        OperationId::PasswordChange => to(filter, account::change_password),
        OperationId::OwnSessions => to(filter, account::sessions),
        OperationId::OwnSessionsEnd => to(filter, account::end_others),
        OperationId::OwnSessionEnd => to(filter, account::end_session),
        OperationId::SecondFactorGet => to(filter, account::second_factor),
        OperationId::TotpBegin => to(filter, account::begin_totp),
        OperationId::TotpEnable => to(filter, account::enable_totp),
        OperationId::TotpDisable => to(filter, account::disable_totp),
        OperationId::RecoveryCodesMake => to(filter, account::renew_recovery_codes),
        OperationId::TokenList => to(filter, tokens::list),
        OperationId::TokenCreate => to(filter, tokens::create),
        OperationId::TokenRevoke => to(filter, tokens::revoke),
        OperationId::UserList => to(filter, users::list),
        OperationId::UserCreate => to(filter, users::create),
        OperationId::UserGet => to(filter, users::get),
        OperationId::UserUpdate => to(filter, users::update),
        OperationId::UserPassword => to(filter, users::one_time_password),
        OperationId::UserSecondFactorRemove => to(filter, users::remove_second_factor),
        OperationId::UserRemove => to(filter, users::remove),
        OperationId::UserSessions => to(filter, users::sessions),
        OperationId::UserSessionsEnd => to(filter, users::end_sessions),
        OperationId::AlertList => to(filter, alerts::list),
        OperationId::AlertRuleList => to(filter, alerts::rules),
        OperationId::AlertRuleCreate => to(filter, alerts::add_rule),
        OperationId::AlertRuleChange => to(filter, alerts::change_rule),
        OperationId::AlertRuleRemove => to(filter, alerts::remove_rule),
        OperationId::AlertChannelList => to(filter, alerts::channels),
        OperationId::AlertChannelCreate => to(filter, alerts::add_channel),
        OperationId::AlertChannelUpdate => to(filter, alerts::change_channel),
        OperationId::AlertChannelRemove => to(filter, alerts::remove_channel),
        OperationId::AlertChannelTest => to(filter, alerts::test_channel),
        OperationId::AuditSearch => to(filter, audit::search),
        OperationId::AuditVerify => to(filter, audit::verify),
        OperationId::ApiDocument => to(filter, system::document),
        OperationId::Capabilities => to(filter, system::capabilities),
        OperationId::EngineList => to(filter, system::engines),
        OperationId::EngineGet => to(filter, system::engine),
        OperationId::EngineEvents => to(filter, system::events),
        OperationId::EngineDiskUsage => to(filter, system::disk_usage),
        OperationId::HostFigures => to(filter, rest::observe::host),
        OperationId::HostHistory => to(filter, rest::observe::host_history),
        OperationId::Metrics => to(filter, rest::metrics::metrics),
        OperationId::Live => to(filter, rest::live::open),
        OperationId::JobList => to(filter, rest::jobs::list),
        OperationId::JobGet => to(filter, rest::jobs::get),
        OperationId::JobLog => to(filter, rest::jobs::log),
        OperationId::EnginePrunePreview => to(filter, rest::prune::preview),
        OperationId::EnginePrune => to(filter, rest::prune::prune),
        OperationId::Stream => to(filter, rest::stream::open),
        OperationId::ImageLoad => to(filter, rest::image_jobs::load),
        OperationId::ImageBuild => to(filter, rest::image_jobs::build),
        OperationId::ImageBuildDockerfile => to(filter, rest::image_jobs::build_dockerfile),
        OperationId::ImageUpdateCheck => to(filter, rest::image_jobs::update_check),
        OperationId::ImagePush => to(filter, rest::image_jobs::push),
        OperationId::ImageTag => to(filter, rest::image_jobs::tag),
        OperationId::ImageSave => to(filter, rest::image_jobs::save),
        OperationId::NetworkCreate => to(filter, networks::create),
        OperationId::NetworkPreview => to(filter, networks::preview),
        OperationId::NetworkRemove => to(filter, networks::remove),
        OperationId::NetworkGet => to(filter, networks::detail),
        OperationId::NetworkConnect => to(filter, networks::connect),
        OperationId::NetworkDisconnect => to(filter, networks::disconnect),
        OperationId::Topology => to(filter, networks::topology),
        OperationId::JobCancel => to(filter, rest::jobs::cancel),
        OperationId::ContainerList => to(filter, containers::list),
        OperationId::ContainerCreate => to(filter, rest::create::create),
        OperationId::ContainerActions => to(filter, rest::bulk::act),
        OperationId::ContainerPreview => to(filter, rest::remove::preview),
        OperationId::ContainerGet => to(filter, containers::detail),
        OperationId::ContainerUpdate => to(filter, containers::update),
        OperationId::ContainerInspect => to(filter, containers::inspect),
        OperationId::ContainerReveal => to(filter, containers::reveal),
        OperationId::ContainerStart => to(filter, containers::start),
        OperationId::ContainerStop => to(filter, containers::stop),
        OperationId::ContainerRestart => to(filter, containers::restart),
        OperationId::ContainerKill => to(filter, containers::kill),
        OperationId::ContainerPause => to(filter, containers::pause),
        OperationId::ContainerUnpause => to(filter, containers::unpause),
        OperationId::ContainerRename => to(filter, containers::rename),
        OperationId::ContainerRemove => to(filter, rest::remove::remove),
        OperationId::ContainerEditPreview => to(filter, rest::edit::preview),
        OperationId::ContainerEdit => to(filter, rest::edit::edit),
        OperationId::ContainerClone => to(filter, rest::edit::clone),
        OperationId::RevisionList => to(filter, rest::edit::revisions),
        OperationId::RevisionPreview => to(filter, rest::edit::restore_preview),
        OperationId::RevisionRestore => to(filter, rest::edit::restore),
        OperationId::ContainerTop => to(filter, containers::top),
        OperationId::ContainerLogs => to(filter, rest::logs::page),
        OperationId::ContainerLogDownload => to(filter, rest::logs::download),
        OperationId::ContainerHistory => to(filter, rest::observe::container_history),
        OperationId::ContainerInside => to(filter, rest::observe::inside),
        OperationId::TerminalOpen => to(filter, rest::terminals::open),
        OperationId::TerminalList => to(filter, rest::terminals::list),
        OperationId::TerminalGet => to(filter, rest::terminals::get),
        OperationId::TerminalIo => to(filter, rest::terminals::io),
        OperationId::TerminalClose => to(filter, rest::terminals::close),
        OperationId::ContainerFileList => to(filter, files::of_container::list),
        OperationId::ContainerFileStat => to(filter, files::of_container::stat),
        OperationId::ContainerFileDownload => to(filter, files::of_container::download),
        OperationId::ContainerFileUpload => to(filter, files::of_container::upload),
        OperationId::ContainerFileText => to(filter, files::of_container::text),
        OperationId::ContainerFileEdit => to(filter, files::of_container::edit),
        OperationId::ContainerFileDirectory => to(filter, files::of_container::make_directory),
        OperationId::ContainerFileRename => to(filter, files::of_container::rename),
        OperationId::ContainerFilePreview => to(filter, files::of_container::preview),
        OperationId::ContainerFileRemove => to(filter, files::of_container::remove),
        OperationId::VolumeFileList => to(filter, files::of_volume::list),
        OperationId::VolumeFileStat => to(filter, files::of_volume::stat),
        OperationId::VolumeFileDownload => to(filter, files::of_volume::download),
        OperationId::VolumeFileUpload => to(filter, files::of_volume::upload),
        OperationId::VolumeFileText => to(filter, files::of_volume::text),
        OperationId::VolumeFileEdit => to(filter, files::of_volume::edit),
        OperationId::VolumeFileDirectory => to(filter, files::of_volume::make_directory),
        OperationId::VolumeFileRename => to(filter, files::of_volume::rename),
        OperationId::VolumeFilePreview => to(filter, files::of_volume::preview),
        OperationId::VolumeFileRemove => to(filter, files::of_volume::remove),
        OperationId::VolumeBackup => to(filter, rest::volume_copies::backup),
        OperationId::VolumeRestore => to(filter, rest::volume_copies::restore),
        OperationId::VolumeClone => to(filter, rest::volume_copies::clone),
        OperationId::ImageList => to(filter, images::list),
        OperationId::ImagePull => to(filter, rest::jobs::pull),
        OperationId::ImagePreview => to(filter, images::preview),
        OperationId::ImageRemove => to(filter, images::remove),
        OperationId::ImageGet => to(filter, images::detail),
        OperationId::VolumeList => to(filter, volumes::list),
        OperationId::VolumeCreate => to(filter, volumes::create),
        OperationId::VolumePreview => to(filter, volumes::preview),
        OperationId::VolumeRemove => to(filter, volumes::remove),
        OperationId::VolumeGet => to(filter, volumes::detail),
        OperationId::NetworkList => to(filter, networks::list),
        OperationId::CompareStart => to(filter, rest::jobs::compare),
        OperationId::CompareList => to(filter, rest::jobs::comparisons),
        OperationId::CompareGet => to(filter, rest::jobs::comparison),
    }
}

async fn method_not_allowed() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        api::problem::ProblemCode::MethodNotAllowed,
        "this path does not take that method",
    )
}

/// What is no route: the page, or nothing under `/api`.
async fn fallback(request: axum::extract::Request) -> Response {
    if request.uri().path().starts_with("/api") {
        return ApiError::not_found("path in this API").into_response();
    }
    assets::serve(request.method(), request.uri().path(), request.headers())
}

/// Answers of the API are not kept by browsers.
async fn no_store(request: axum::extract::Request, next: axum::middleware::Next) -> Response {
    let is_api = request.uri().path().starts_with("/api");
    let mut response = next.run(request).await;
    if is_api {
        response.headers_mut().insert(
            axum::http::header::CACHE_CONTROL,
            axum::http::HeaderValue::from_static("no-store"),
        );
    }
    response
}
