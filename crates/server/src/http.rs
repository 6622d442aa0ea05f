//! HTTP: listening, the layer that no route escapes, the router, and what errors look like.

mod error;
mod extract;
mod guard;
mod listen;
mod origin;
mod root;
mod router;
mod tls;

pub(crate) use crate::auth::Caller;
pub(crate) use error::{ApiError, request_id, with_request_id};
pub(crate) use extract::{Body, Params, Person, QueryParams};
pub(crate) use guard::{Peer, cookie_name};
pub(crate) use listen::{ListenError, Listener, serve};
pub(crate) use origin::Origins;
pub(crate) use router::{monitoring_router, router};
