//! In front of each operation: who calls, may they, and the audit log.

use std::{
    net::{IpAddr, SocketAddr},
    panic::AssertUnwindSafe,
};

use api::{
    operation::{Operation, Permission},
    problem::ProblemCode,
};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures_util::FutureExt as _;

use super::{ApiError, Caller, Origins, error::REQUEST_ID, extract::unauthenticated, request_id};
use crate::{audit::Entry, state::AppState};

/// The other end of the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// What the guard of one operation knows.
#[derive(Clone, Debug)]
pub(super) struct Post {
    pub(super) state: AppState,
    pub(super) operation: &'static Operation,
}

/// Lets a caller through who may.
pub(super) async fn guard(State(post): State<Post>, mut request: Request, next: Next) -> Response {
    let ip = request
        .extensions()
        .get::<Peer>()
        .map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0.ip());
    let entry = |user: &str, decision: &str| Entry {
        user: user.to_owned(),
        ip: ip.to_string(),
        operation: post.operation.name.to_owned(),
        target: String::new(),
        decision: decision.to_owned(),
        status: None,
        request_id: request_id(),
    };
    let target = request.uri().path().to_owned();
    // Taken out first: a request's body cannot be shared between threads while we wait.
    let token = cookie(request.headers(), &cookie_name(&post.state.origins)).map(str::to_owned);
    let caller = match caller(&post, token).await {
        Ok(caller) => caller,
        Err(refused) => return refused.into_response(),
    };
    let user = caller
        .as_ref()
        .map(|caller| caller.user().to_owned())
        .unwrap_or_default();
    if !post
        .operation
        .permission
        .allows(caller.as_ref().map(Caller::role))
    {
        if caller.is_none() {
            return if post.state.auth.setup_required() {
                ApiError::new(
                    StatusCode::UNAUTHORIZED,
                    ProblemCode::SetupRequired,
                    "no administrator exists yet",
                )
                .hint("open the address that the server printed at its start")
                .into_response()
            } else {
                unauthenticated().into_response()
            };
        }
        if let Err(error) = post
            .state
            .audit
            .append(Entry {
                target,
                ..entry(&user, "refused")
            })
            .await
        {
            return ApiError::from(error).into_response();
        }
        return forbidden(post.operation.permission).into_response();
    }
    if !post.operation.mutates() {
        if let Some(caller) = caller {
            request.extensions_mut().insert(caller);
        }
        return next.run(request).await;
    }
    // On the disk before the act: what cannot be written down is not done.
    if let Err(error) = post
        .state
        .audit
        .append(Entry {
            target: target.clone(),
            ..entry(&user, "allowed")
        })
        .await
    {
        return ApiError::from(error).into_response();
    }
    if let Some(caller) = caller {
        request.extensions_mut().insert(caller);
    }
    let outcome = Entry {
        target,
        ..entry(&user, "done")
    };
    to_its_end(&post.state, outcome, next.run(request)).await
}

/// Carries out an act and writes down how it ended, also when the client goes away meanwhile: a closed tab must not leave
/// a container that was made and never started, or an act without its outcome in the audit log.
async fn to_its_end(
    state: &AppState,
    outcome: Entry,
    act: impl Future<Output = Response> + Send + 'static,
) -> Response {
    let audit = state.audit.clone();
    let id = outcome.request_id.clone();
    let act = async move {
        let response = match AssertUnwindSafe(act).catch_unwind().await {
            Ok(response) => response,
            Err(_panic) => ApiError::internal("a handler panicked").into_response(),
        };
        let status = response.status();
        let decision = if status.is_success() {
            "done"
        } else {
            "failed"
        };
        let outcome = Entry {
            status: Some(status.as_u16()),
            decision: decision.to_owned(),
            ..outcome
        };
        if let Err(error) = audit.append(outcome).await {
            tracing::error!(%error, "write the outcome to the audit log");
        }
        response
    };
    match state.tasks.spawn(REQUEST_ID.scope(id, act)).await {
        Ok(response) => response,
        Err(error) => ApiError::internal(error).into_response(),
    }
}

/// Who the cookie belongs to; `None` for nobody.
async fn caller(post: &Post, token: Option<String>) -> Result<Option<Caller>, ApiError> {
    let Some(token) = token else { return Ok(None) };
    let Some(session) = post.state.auth.session(&token).await? else {
        return Ok(None);
    };
    if let Err(wait) = post.state.auth.count_request(&session) {
        return Err(ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            ProblemCode::RateLimited,
            "too many requests in this session",
        )
        .retry_after(wait.as_secs().max(1)));
    }
    Ok(Some(Caller(session)))
}

/// The cookie's name: the prefix makes browsers refuse it from anywhere but this host over TLS. Browsers keep one jar for all
/// ports of a host, so the port keeps servers that run side by side from signing each other out.
pub(crate) fn cookie_name(origins: &Origins) -> String {
    let prefix = if origins.tls { "__Host-cos" } else { "cos" };
    format!("{prefix}-{}", origins.port)
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

fn forbidden(permission: Permission) -> ApiError {
    let needed = match permission {
        Permission::Admin => "an administrator",
        _ => "an operator or administrator",
    };
    ApiError::new(
        StatusCode::FORBIDDEN,
        ProblemCode::Forbidden,
        format!("only {needed} may do this"),
    )
}
