//! First start and sign-in.

use std::net::IpAddr;

use api::{
    auth::{ConfirmRequest, LoginRequest, Me, SecretText, SessionStatus, SetupRequest},
    problem::{FieldError, ProblemCode},
};
use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Response},
};

use crate::{
    auth::{
        FirstUserError, IDLE_LIMIT, LoginError, Session, SetupError, check_name, check_password,
    },
    http::{ApiError, Body, Caller, Peer, Person, cookie_name},
    state::AppState,
};

/// `GET /auth/session`
pub(crate) async fn status(
    State(state): State<AppState>,
    caller: Option<Extension<Caller>>,
) -> Json<SessionStatus> {
    let me = caller.and_then(|Extension(caller)| caller.session().map(me));
    Json(SessionStatus {
        setup_required: state.auth.setup_required(),
        server_version: me.is_some().then(|| env!("CARGO_PKG_VERSION").to_owned()),
        me,
    })
}

/// `POST /auth/setup`
pub(crate) async fn set_up(
    State(state): State<AppState>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    Body(request): Body<SetupRequest>,
) -> Result<Response, ApiError> {
    let mut errors = Vec::new();
    let mut check = |field: &str, result: Result<(), &'static str>| {
        if let Err(message) = result {
            errors.push(FieldError {
                field: field.to_owned(),
                message: message.to_owned(),
            });
        }
    };
    check("name", check_name(&request.name));
    check("password", check_password(request.password.expose()));
    if !errors.is_empty() {
        return Err(ApiError::invalid(errors));
    }
    // The token and the password are read here and go to the checks that need them, nowhere else.
    state
        .auth
        .set_up(
            request.token.expose(),
            &request.name,
            request.password.expose(),
        )
        .await
        .map_err(|error| match error {
            FirstUserError::Token(SetupError::Wrong) => ApiError::new(
                StatusCode::UNAUTHORIZED,
                ProblemCode::WrongCredentials,
                "wrong set-up token",
            )
            .hint("open the address that the server printed at its start"),
            FirstUserError::Token(SetupError::Dead) => ApiError::new(
                StatusCode::UNAUTHORIZED,
                ProblemCode::WrongCredentials,
                "the set-up token is no longer valid",
            )
            .hint("restart the server: it prints a new one"),
            FirstUserError::Token(SetupError::Done) => ApiError::new(
                StatusCode::CONFLICT,
                ProblemCode::SetupDone,
                "the administrator exists already",
            )
            .hint("sign in"),
            other => ApiError::internal(other),
        })?;
    tracing::info!(user = request.name, "the first administrator was made");
    signed_in(
        &state,
        &request.name,
        ip(peer),
        &headers,
        StatusCode::CREATED,
    )
    .await
}

/// `POST /auth/login`
pub(crate) async fn log_in(
    State(state): State<AppState>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    Body(request): Body<LoginRequest>,
) -> Result<Response, ApiError> {
    let ip = ip(peer);
    let code = request.code.as_ref().map(SecretText::expose);
    let (user, _role) = state
        .auth
        .log_in(&request.name, request.password.expose(), code, ip)
        .await
        .map_err(login_error)?;
    signed_in(&state, &user, ip, &headers, StatusCode::OK).await
}

/// `POST /auth/confirm`
pub(crate) async fn confirm(
    State(state): State<AppState>,
    Person(session): Person,
    peer: Option<Extension<Peer>>,
    Body(request): Body<ConfirmRequest>,
) -> Result<Json<Me>, ApiError> {
    state
        .auth
        .confirm(&session, request.password.expose(), ip(peer))
        .await
        .map_err(login_error)?;
    Ok(Json(me(&session)))
}

/// `POST /auth/logout`
pub(crate) async fn log_out(
    State(state): State<AppState>,
    caller: Option<Extension<Caller>>,
) -> Result<Response, ApiError> {
    if let Some(Extension(Caller::Person(session))) = caller {
        state.auth.end_session(&session).await?;
    }
    let gone = cookie(&state, "", 0)?;
    Ok((
        StatusCode::NO_CONTENT,
        AppendHeaders([(header::SET_COOKIE, gone)]),
    )
        .into_response())
}

async fn signed_in(
    state: &AppState,
    user: &str,
    ip: IpAddr,
    headers: &HeaderMap,
    status: StatusCode,
) -> Result<Response, ApiError> {
    let user_agent = headers
        .get(header::USER_AGENT)
        .and_then(|name| name.to_str().ok())
        .unwrap_or_default();
    let (token, session) = state
        .auth
        .start_session(user, ip, user_agent)
        .await
        .map_err(login_error)?;
    let cookie = cookie(state, token.expose(), crate::auth::ABSOLUTE_LIMIT.as_secs())?;
    Ok((
        status,
        AppendHeaders([(header::SET_COOKIE, cookie)]),
        Json(me(&session)),
    )
        .into_response())
}

pub(super) fn login_error(error: LoginError) -> ApiError {
    match error {
        LoginError::Wrong => ApiError::new(
            StatusCode::UNAUTHORIZED,
            ProblemCode::WrongCredentials,
            "wrong name or password",
        ),
        LoginError::LockedOut(wait) => ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            ProblemCode::RateLimited,
            format!("too many tries; wait {wait} s"),
        )
        .retry_after(wait),
        LoginError::CodeRequired => ApiError::new(
            StatusCode::UNAUTHORIZED,
            ProblemCode::SecondFactorRequired,
            error.to_string(),
        ),
        LoginError::WrongCode => ApiError::new(
            StatusCode::UNAUTHORIZED,
            ProblemCode::WrongCredentials,
            error.to_string(),
        )
        .hint("wait for the next code, or use a recovery code; are the clocks right?"),
        LoginError::Disabled => ApiError::new(
            StatusCode::FORBIDDEN,
            ProblemCode::Forbidden,
            error.to_string(),
        ),
        LoginError::OneTimeOver => ApiError::new(
            StatusCode::UNAUTHORIZED,
            ProblemCode::WrongCredentials,
            error.to_string(),
        )
        .hint("ask an administrator for another"),
        other => ApiError::internal(other),
    }
}

fn cookie(state: &AppState, value: &str, max_age_s: u64) -> Result<HeaderValue, ApiError> {
    let tls = state.origins.tls;
    let secure = if tls { "; Secure" } else { "" };
    let text = format!(
        "{}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={max_age_s}{secure}",
        cookie_name(&state.origins)
    );
    HeaderValue::from_str(&text).map_err(ApiError::internal)
}

fn me(session: &Session) -> Me {
    Me {
        name: session.user.clone(),
        role: session.role,
        session_expires_at: session.expires_at,
        session_idle_limit_s: IDLE_LIMIT.as_secs(),
        must_change_password: session.must_change_password,
    }
}

pub(super) fn ip(peer: Option<Extension<Peer>>) -> IpAddr {
    peer.map_or(IpAddr::from([0, 0, 0, 0]), |Extension(Peer(address))| {
        address.ip()
    })
}
