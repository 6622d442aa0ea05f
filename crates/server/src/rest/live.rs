//! The live socket.

use api::{
    id::EngineName,
    live::{Position, Topic},
    operation::Permission,
    problem::{Problem, ProblemCode},
};
use axum::{
    extract::{State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    http::StatusCode,
    response::Response,
};

use super::Target;
use crate::{
    http::{ApiError, Caller, request_id, with_request_id},
    live::{Backend, Feed, Greeting, LogTarget, MAX_FRAME, SubscribeError, serve},
    state::AppState,
};

/// Sockets of one session at a time.
const PER_SESSION: usize = 20;

/// `GET /live`
pub(crate) async fn open(
    State(state): State<AppState>,
    caller: Caller,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let upgrade = upgrade.map_err(|rejection| {
        ApiError::malformed(rejection.body_text()).hint("open it as a WebSocket, version 13")
    })?;
    let Some(place) = state.hub.sockets.enter(caller.key(), PER_SESSION) else {
        let detail = format!("one session has at most {PER_SESSION} live sockets");
        return Err(ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            ProblemCode::RateLimited,
            detail,
        )
        .hint("close some tabs of this page"));
    };
    let greeting = Greeting {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        epoch: state.hub.epoch.clone(),
    };
    let (pulse, stop) = (state.hub.pulse.clone(), state.stop.clone());
    let owner = state.tasks.clone();
    let id = request_id();
    Ok(upgrade
        .max_message_size(MAX_FRAME)
        .max_frame_size(MAX_FRAME)
        .on_upgrade(move |socket| async move {
            let work = serve(socket, Visitor { state, caller }, greeting, pulse, stop);
            // The server waits for its sockets when it goes down. Errors on the socket carry the id of its request.
            owner
                .track_future(with_request_id(id, async move {
                    work.await;
                    drop(place);
                }))
                .await;
        }))
}

/// Who is at the other end of a socket.
pub(super) struct Visitor {
    pub(super) state: AppState,
    pub(super) caller: Caller,
}

impl Backend for Visitor {
    async fn subscribe(
        &self,
        topic: Topic,
        from: Option<Position>,
    ) -> Result<Box<dyn Feed>, Problem> {
        // The same rule as the operations that read these things; the session is looked at anew every few seconds.
        if !Permission::Read.allows(Some(self.caller.role())) {
            return Err(self.problem(ProblemCode::Forbidden, "this role may not read".to_owned()));
        }
        if !self
            .caller
            .may_reach(topic.engine().map(EngineName::as_str))
        {
            let detail = "this token is for other engines only".to_owned();
            return Err(self.problem(ProblemCode::Forbidden, detail));
        }
        let target = match &topic {
            Topic::Logs(args) => {
                let found = Target::find(&self.state, &args.engine, &args.container).await;
                let target = found.map_err(ApiError::into_problem)?;
                let docker = target
                    .engine
                    .docker()
                    .map_err(|error| ApiError::from(error).into_problem())?;
                Some(LogTarget {
                    docker,
                    id: target.id().to_owned(),
                })
            }
            _ => None,
        };
        if let Topic::Volumes(args) = &topic
            && let Some(engine) = self.state.engines.get(&args.engine)
        {
            engine.show_volume_sizes(&self.state.tasks);
        }
        self.state
            .hub
            .subscribe(&topic, from.as_ref(), target)
            .map_err(|error| {
                let code = match error {
                    SubscribeError::NoSuchEngine(_) => ProblemCode::NotFound,
                    SubscribeError::BadCursor(_) => ProblemCode::Invalid,
                };
                self.problem(code, error.to_string())
            })
    }

    async fn session_is_alive(&self) -> bool {
        // A database that cannot be asked ends no session.
        self.state.auth.is_alive(&self.caller).await.unwrap_or(true)
    }

    fn problem(&self, code: ProblemCode, detail: String) -> Problem {
        let status = match code {
            ProblemCode::NotFound => StatusCode::NOT_FOUND,
            ProblemCode::Forbidden => StatusCode::FORBIDDEN,
            ProblemCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::BAD_REQUEST,
        };
        ApiError::new(status, code, detail).into_problem()
    }
}
