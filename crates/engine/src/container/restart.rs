//! The restart policy: what happens to a container that has ended.

use std::{sync::Arc, time::Duration};

use bollard_stubs::models::{HostConfig, RestartPolicyNameEnum};
use shim_protocol::ExitRecord;
use tokio_util::sync::CancellationToken;

use super::{
    handle::{Container, Inner},
    record::StateRecord,
    start::{Starter, start_locked},
};
use crate::engine::Engine;

/// How long it waits the first time; each time it is doubled.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// The longest that it waits.
const MAX_DELAY: Duration = Duration::from_mins(1);
/// A container that has run so long begins anew with the shortest delay.
const LONG_RUN_NS: i64 = 10_000_000_000;

/// What comes after a run.
#[derive(Debug)]
pub(super) enum Next {
    /// Nothing.
    Stay,
    /// Another run.
    Restart {
        /// After this time.
        delay: Duration,
        /// Unless this is cancelled.
        cancel: CancellationToken,
    },
    /// The container goes (`--rm`).
    Remove,
}

/// Decides what comes after a run, and notes it.
pub(super) fn decide(engine: &Engine, inner: &mut Inner, exit: &ExitRecord) -> Next {
    let record = Arc::clone(&inner.record);
    let wanted = wants_restart(&record.host_config, &record.state, exit.exit_code);
    if wanted && !inner.end_asked && !inner.removing {
        let ran_ns = record
            .state
            .started_ns
            .map_or(0, |started| exit.finished_at_unix_ns - started);
        let delay = if ran_ns >= LONG_RUN_NS || inner.restart_delay.is_zero() {
            FIRST_DELAY
        } else {
            (inner.restart_delay * 2).min(MAX_DELAY)
        };
        inner.restart_delay = delay;
        let cancel = engine.shutdown.child_token();
        inner.backoff = Some(cancel.clone());
        return Next::Restart { delay, cancel };
    }
    if record.auto_remove() && !inner.removing {
        return Next::Remove;
    }
    Next::Stay
}

/// Whether the policy wants another run after one that ended with this status.
fn wants_restart(host: &HostConfig, state: &StateRecord, exit_code: i32) -> bool {
    let Some(policy) = &host.restart_policy else {
        return false;
    };
    match policy.name {
        Some(RestartPolicyNameEnum::ALWAYS | RestartPolicyNameEnum::UNLESS_STOPPED) => true,
        Some(RestartPolicyNameEnum::ON_FAILURE) => {
            let most = policy.maximum_retry_count.unwrap_or(0);
            exit_code != 0 && (most == 0 || i64::from(state.restart_count) < most)
        }
        _ => false,
    }
}

/// Whether the policy wants a container to run that the engine finds stopped as it starts.
pub(super) fn wants_start_with_engine(host: &HostConfig, state: &StateRecord) -> bool {
    let name = host.restart_policy.as_ref().and_then(|policy| policy.name);
    match name {
        Some(RestartPolicyNameEnum::ALWAYS) => true,
        Some(RestartPolicyNameEnum::UNLESS_STOPPED) => !state.stopped_by_user,
        _ => false,
    }
}

/// Starts a container again after a while, unless someone else decides about it meanwhile.
pub(super) async fn after(
    engine: Arc<Engine>,
    container: Arc<Container>,
    delay: Duration,
    cancel: CancellationToken,
) {
    tokio::select! {
        () = tokio::time::sleep(delay) => {}
        () = cancel.cancelled() => return,
    }
    let _lifecycle = container.lifecycle.lock().await;
    if cancel.is_cancelled() {
        return;
    }
    if let Err(error) = start_locked(&engine, &container, Starter::Policy).await {
        container.set_phase(|phase| phase.restarting = false);
        tracing::warn!(container = container.id(), %error, "restart a container");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, most: i64) -> HostConfig {
        let policy =
            serde_json::json!({"RestartPolicy": {"Name": name, "MaximumRetryCount": most}});
        serde_json::from_value(policy).unwrap()
    }

    #[test]
    fn policies_want_what_their_names_say() {
        let mut state = StateRecord::created();
        assert!(!wants_restart(&host("no", 0), &state, 1));
        assert!(wants_restart(&host("always", 0), &state, 0));
        assert!(!wants_restart(&host("on-failure", 2), &state, 0));
        assert!(wants_restart(&host("on-failure", 2), &state, 1));
        state.restart_count = 2;
        assert!(!wants_restart(&host("on-failure", 2), &state, 1));
        assert!(wants_restart(&host("on-failure", 0), &state, 1));
        state.stopped_by_user = true;
        assert!(wants_start_with_engine(&host("always", 0), &state));
        assert!(!wants_start_with_engine(&host("unless-stopped", 0), &state));
        assert!(!wants_start_with_engine(&host("on-failure", 0), &state));
    }
}
