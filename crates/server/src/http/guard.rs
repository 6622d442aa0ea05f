//! In front of each operation: who calls, may they, and the audit log.

use std::{
    net::{IpAddr, SocketAddr},
    panic::AssertUnwindSafe,
};

use api::{
    operation::{Answer, BASE_PATH, Operation, OperationId, Permission},
    problem::ProblemCode,
};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
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
    let target = request.uri().path().to_owned();
    // Taken out first: a request's body cannot be shared between threads while we wait.
    let given = credential(request.headers(), &post.state.origins);
    let caller = match caller(&post, given, ip).await {
        Ok(caller) => caller,
        Err(refused) => return refused.into_response(),
    };
    let entry = |decision: &str| Entry {
        user: caller.as_ref().map_or("", Caller::user).to_owned(),
        token: caller
            .as_ref()
            .and_then(Caller::token_name)
            .map(str::to_owned),
        ip: ip.to_string(),
        operation: post.operation.name.to_owned(),
        target: target.clone(),
        decision: decision.to_owned(),
        status: None,
        request_id: request_id(),
    };
    if let Err(refused) = may(&post, caller.as_ref(), &target) {
        if caller.is_some()
            && let Err(error) = post.state.audit.append(entry("refused")).await
        {
            return ApiError::from(error).into_response();
        }
        return refused.into_response();
    }
    let outcome = entry("done");
    if post.operation.mutates() {
        // On the disk before the act: what cannot be written down is not done.
        if let Err(error) = post.state.audit.append(entry("allowed")).await {
            return ApiError::from(error).into_response();
        }
    }
    if let Some(caller) = caller {
        request.extensions_mut().insert(caller);
    }
    if !post.operation.mutates() {
        return next.run(request).await;
    }
    to_its_end(&post.state, outcome, next.run(request)).await
}

/// Decides from the table of routes, and from nothing else. Default-deny: whatever is not allowed here is refused.
fn may(post: &Post, caller: Option<&Caller>, path: &str) -> Result<(), ApiError> {
    let permission = post.operation.permission;
    let Some(caller) = caller else {
        return match permission {
            Permission::Public => Ok(()),
            _ if post.state.auth.setup_required() => Err(ApiError::new(
                StatusCode::UNAUTHORIZED,
                ProblemCode::SetupRequired,
                "no administrator exists yet",
            )
            .hint("open the address that the server printed at its start")),
            _ => Err(unauthenticated()),
        };
    };
    if permission == Permission::Public {
        return Ok(());
    }
    if !permission.allows(Some(caller.role())) {
        return Err(forbidden(match permission {
            Permission::Admin | Permission::AdminConfirmed => "only an administrator may do this",
            _ => "only an operator or administrator may do this",
        }));
    }
    if permission.in_person() && caller.session().is_none() {
        return Err(
            forbidden("a token may not do this: it takes a person").hint("sign in with the page")
        );
    }
    // Through a terminal anything can be changed; the live socket only tells.
    let changes = post.operation.mutates()
        || (post.operation.answer == Answer::Upgrade && post.operation.id != OperationId::Live);
    if changes && !caller.may_change() {
        return Err(forbidden("this token only reads"));
    }
    let engine = post
        .operation
        .path
        .starts_with("/engines/{engine}")
        .then(|| path.strip_prefix(BASE_PATH)?.split('/').nth(2))
        .flatten();
    // What the live socket carries is checked at each subscription.
    if post.operation.id != OperationId::Live && !caller.may_reach(engine) {
        return Err(forbidden("this token is for other engines only"));
    }
    if let Some(session) = caller.session() {
        if session.must_change_password && post.operation.id != OperationId::PasswordChange {
            return Err(ApiError::new(
                StatusCode::FORBIDDEN,
                ProblemCode::PasswordChangeRequired,
                "this is a one-time password: choose one of your own first",
            ));
        }
        if permission.confirmed() && !session.is_confirmed() {
            return Err(ApiError::new(
                StatusCode::FORBIDDEN,
                ProblemCode::Reauthenticate,
                "this takes your password again: it was given more than ten minutes ago",
            ));
        }
    }
    Ok(())
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

/// What a request brings to say who calls.
enum Credential {
    /// The cookie of a session.
    Cookie(String),
    /// A token in the header `Authorization`.
    Bearer(String),
    /// A header `Authorization` that holds nothing we know.
    Unknown,
}

/// A header `Authorization` counts alone: a cookie that comes with it says nothing.
fn credential(headers: &HeaderMap, origins: &Origins) -> Option<Credential> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    if let Some(header) = given.next() {
        return Some(match bearer(header) {
            Some(token) if given.next().is_none() => Credential::Bearer(token.to_owned()),
            _ => Credential::Unknown,
        });
    }
    cookie(headers, &cookie_name(origins)).map(|secret| Credential::Cookie(secret.to_owned()))
}

/// The token in `Bearer TOKEN` (RFC 6750, 2.1).
pub(super) fn bearer(header: &HeaderValue) -> Option<&str> {
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim_start())
}

/// Who it is; `None` for nobody.
async fn caller(
    post: &Post,
    given: Option<Credential>,
    ip: IpAddr,
) -> Result<Option<Caller>, ApiError> {
    let auth = &post.state.auth;
    let caller = match given {
        None => None,
        Some(Credential::Cookie(secret)) => auth.session(&secret).await?.map(Caller::Person),
        Some(Credential::Bearer(secret)) => {
            let token = auth.token(&secret, ip).await?;
            Some(Caller::Program(token.ok_or_else(wrong_token)?))
        }
        Some(Credential::Unknown) => return Err(wrong_token()),
    };
    let Some(caller) = caller else {
        return Ok(None);
    };
    if let Err(wait) = auth.count_request(&caller) {
        return Err(ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            ProblemCode::RateLimited,
            "too many requests in this session or with this token",
        )
        .retry_after(wait.as_secs().max(1)));
    }
    Ok(Some(caller))
}

fn wrong_token() -> ApiError {
    ApiError::new(
        StatusCode::UNAUTHORIZED,
        ProblemCode::Unauthenticated,
        "this token does not work: it is unknown, expired or revoked",
    )
    .hint("make another under Settings, or with `containeros token create`")
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

fn forbidden(detail: &str) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, ProblemCode::Forbidden, detail)
}
