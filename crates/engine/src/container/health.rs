//! Health checks: a program that is run in a container now and then, and what its answers mean.
//!
//! Source: moby `daemon/health.go`; Dockerfile reference, HEALTHCHECK.

use std::{sync::Arc, time::Duration};

use bollard_stubs::models::{ContainerConfig, HealthConfig};
use shim_protocol::{AttachStreams, Call};
use tokio::io::AsyncReadExt as _;
use tokio_util::sync::CancellationToken;

use super::{
    exec::Launch,
    handle::{Container, Running},
    signals,
    spec::ExecProcess,
};
use crate::{
    engine::Engine,
    error::{EngineError, Result},
    events::EventKind,
    id, time,
};

const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_START_INTERVAL: Duration = Duration::from_secs(5);
const DEFAULT_RETRIES: u32 = 3;
/// The shortest time that a client may set.
const MIN_DURATION_NS: i64 = 1_000_000;
/// Checks that are kept.
const LOG_LENGTH: usize = 5;
/// Bytes of a check's output that are kept.
const MAX_OUTPUT_BYTES: usize = 4096;
/// How long the shim may take to tell of the end of a check.
const EXIT_PATIENCE: Duration = Duration::from_secs(5);

/// How healthy a container is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HealthState {
    /// `starting`, `healthy` or `unhealthy`.
    pub(crate) status: &'static str,
    /// How many checks in a row did not succeed.
    pub(crate) failing_streak: u32,
    /// The last five checks, the oldest first.
    pub(crate) log: Vec<Check>,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    /// Nanoseconds since the Unix epoch.
    pub(crate) start_ns: i64,
    /// Nanoseconds since the Unix epoch.
    pub(crate) end_ns: i64,
    /// Status of the program; -1 when it took too long or did not run.
    pub(crate) exit_code: i32,
    /// What it said, at most 4096 bytes.
    pub(crate) output: String,
}

/// A health check that is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plan {
    command: Vec<String>,
    interval: Duration,
    timeout: Duration,
    retries: u32,
    start_period: Duration,
    start_interval: Duration,
}

/// Checks the settings of a health check.
///
/// # Errors
/// `Invalid` in Docker's words.
pub(super) fn check_config(health: &HealthConfig) -> Result<()> {
    for (name, value) in [
        ("Interval", health.interval),
        ("Timeout", health.timeout),
        ("StartPeriod", health.start_period),
        ("StartInterval", health.start_interval),
    ] {
        let value = value.unwrap_or(0);
        if value != 0 && value < MIN_DURATION_NS {
            return Err(EngineError::Invalid(format!(
                "{name} in Healthcheck cannot be less than 1ms"
            )));
        }
    }
    if health.retries.unwrap_or(0) < 0 {
        return Err(EngineError::Invalid(
            "Retries in Healthcheck cannot be negative".to_owned(),
        ));
    }
    let test = health.test.as_deref().unwrap_or_default();
    match test.first().map(String::as_str) {
        None | Some("NONE") => Ok(()),
        Some("CMD" | "CMD-SHELL") if test.len() > 1 => Ok(()),
        Some(kind) => Err(EngineError::Invalid(format!(
            "Unknown healthcheck type '{kind}' (expected 'CMD')"
        ))),
    }
}

impl Plan {
    /// What is to be done; `None` without a check.
    fn of(config: &ContainerConfig) -> Option<Self> {
        let health = config.healthcheck.as_ref()?;
        let (kind, rest) = health.test.as_deref()?.split_first()?;
        let command = match kind.as_str() {
            "CMD" => rest.to_vec(),
            "CMD-SHELL" => {
                let shell = config.shell.clone().filter(|shell| !shell.is_empty());
                let mut words = shell.unwrap_or_else(|| vec!["/bin/sh".into(), "-c".into()]);
                words.push(rest.join(" "));
                words
            }
            _ => return None,
        };
        let duration = |value: Option<i64>, default: Duration| {
            u64::try_from(value.unwrap_or(0))
                .ok()
                .filter(|ns| *ns > 0)
                .map_or(default, Duration::from_nanos)
        };
        Some(Self {
            command,
            interval: duration(health.interval, DEFAULT_INTERVAL),
            timeout: duration(health.timeout, DEFAULT_TIMEOUT),
            retries: u32::try_from(health.retries.unwrap_or(0))
                .ok()
                .filter(|retries| *retries > 0)
                .unwrap_or(DEFAULT_RETRIES),
            start_period: duration(health.start_period, Duration::ZERO),
            start_interval: duration(health.start_interval, DEFAULT_START_INTERVAL),
        })
    }
}

/// The health of a container that has just started; `None` without a check.
pub(super) fn at_start(config: &ContainerConfig) -> Option<HealthState> {
    Plan::of(config).map(|_| HealthState {
        status: "starting",
        failing_streak: 0,
        log: Vec::new(),
    })
}

/// Checks a container until it ends.
pub(super) async fn monitor(
    engine: Arc<Engine>,
    container: Arc<Container>,
    ends: CancellationToken,
) {
    let Some(plan) = Plan::of(&container.record().config) else {
        return;
    };
    let started = tokio::time::Instant::now();
    loop {
        let starting = container
            .health()
            .is_some_and(|health| health.status == "starting");
        let in_start_period = started.elapsed() < plan.start_period;
        let pause = if starting && in_start_period {
            plan.start_interval.min(plan.interval)
        } else {
            plan.interval
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = ends.cancelled() => return,
            () = engine.shutdown.cancelled() => return,
        }
        let Some(running) = container.running() else {
            return;
        };
        if running.paused {
            continue;
        }
        let check = tokio::select! {
            check = probe(&container, &running, &plan) => check,
            () = ends.cancelled() => return,
            () = engine.shutdown.cancelled() => return,
        };
        let in_start_period = started.elapsed() < plan.start_period;
        note(&engine, &container, &plan, check, in_start_period);
    }
}

/// Takes a check into account; tells when that changes how healthy the container is.
fn note(engine: &Engine, container: &Container, plan: &Plan, check: Check, in_start_period: bool) {
    let changed = {
        let mut inner = container.lock();
        let Some(health) = &mut inner.health else {
            return;
        };
        let before = health.status;
        health.take(check, plan.retries, in_start_period);
        (health.status != before).then_some(health.status)
    };
    if let Some(status) = changed {
        engine.events.publish(
            EventKind::Container,
            &format!("health_status: {status}"),
            container.id(),
            container.event_attributes(),
        );
    }
}

impl HealthState {
    fn take(&mut self, check: Check, retries: u32, in_start_period: bool) {
        if check.exit_code == 0 {
            self.failing_streak = 0;
            self.status = "healthy";
        } else if !(in_start_period && self.status == "starting") {
            // While it starts a check that does not succeed does not count.
            self.failing_streak = self.failing_streak.saturating_add(1);
            if self.failing_streak >= retries {
                self.status = "unhealthy";
            }
        }
        if self.log.len() == LOG_LENGTH {
            self.log.remove(0);
        }
        self.log.push(check);
    }
}

/// Runs the check once.
async fn probe(container: &Arc<Container>, running: &Running, plan: &Plan) -> Check {
    let start_ns = time::now_ns();
    let (exit_code, output) = match run(container, running, plan).await {
        Ok(outcome) => outcome,
        Err(error) => (-1, error.to_string()),
    };
    Check {
        start_ns,
        end_ns: time::now_ns(),
        exit_code,
        output,
    }
}

async fn run(container: &Arc<Container>, running: &Running, plan: &Plan) -> Result<(i32, String)> {
    let exec_id = id::generate()?;
    let status = running.shim.await_exec(&exec_id);
    let launch = Launch {
        exec_id: exec_id.clone(),
        process: ExecProcess {
            command: plan.command.clone(),
            ..ExecProcess::default()
        },
        user: String::new(),
        streams: AttachStreams {
            stdin: false,
            stdout: true,
            stderr: true,
        },
        console_size: None,
    };
    let (_, (mut stream, early)) = launch.run(container, running).await?;
    let mut output = Output::default();
    output.push(&early);
    let all = async {
        let mut buffer = [0_u8; 4096];
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(count) => output.push(buffer.get(..count).unwrap_or_default()),
            }
        }
    };
    if tokio::time::timeout(plan.timeout, all).await.is_err() {
        let signal = signals::KILL;
        drop(
            running
                .shim
                .call(Call::SignalExec { exec_id, signal })
                .await,
        );
        let seconds = plan.timeout.as_secs_f64();
        return Ok((-1, format!("Health check exceeded timeout ({seconds}s)")));
    }
    let exit_code = tokio::time::timeout(EXIT_PATIENCE, status)
        .await
        .ok()
        .and_then(std::result::Result::ok)
        .unwrap_or(-1);
    Ok((exit_code, output.text()))
}

/// The text in a multiplexed stream, as far as it is kept.
#[derive(Debug, Default)]
struct Output {
    unread: Vec<u8>,
    text: Vec<u8>,
}

impl Output {
    fn push(&mut self, bytes: &[u8]) {
        const HEADER: usize = 8;
        self.unread.extend_from_slice(bytes);
        while let Some(header) = self.unread.first_chunk::<HEADER>() {
            let [.., a, b, c, d] = *header;
            let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
            let Some(payload) = self
                .unread
                .get(HEADER..)
                .and_then(|rest| rest.get(..length))
            else {
                return;
            };
            let room = MAX_OUTPUT_BYTES.saturating_sub(self.text.len());
            let kept = payload.get(..room.min(payload.len())).unwrap_or_default();
            self.text.extend_from_slice(kept);
            self.unread.drain(..HEADER + length);
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(exit_code: i32) -> Check {
        Check {
            start_ns: 0,
            end_ns: 1,
            exit_code,
            output: String::new(),
        }
    }

    fn config(json: serde_json::Value) -> ContainerConfig {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn it_takes_so_many_failures_in_a_row() {
        let mut health = at_start(&config(
            serde_json::json!({"Healthcheck": {"Test": ["CMD", "true"]}}),
        ))
        .unwrap();
        health.take(check(1), 3, true);
        assert_eq!((health.status, health.failing_streak), ("starting", 0));
        health.take(check(0), 3, true);
        assert_eq!(health.status, "healthy");
        health.take(check(1), 3, false);
        health.take(check(1), 3, false);
        assert_eq!((health.status, health.failing_streak), ("healthy", 2));
        health.take(check(-1), 3, false);
        assert_eq!(health.status, "unhealthy");
        for _ in 0..9 {
            health.take(check(0), 3, false);
        }
        assert_eq!((health.status, health.log.len()), ("healthy", 5));
    }

    #[test]
    fn a_shell_check_uses_the_containers_shell() {
        let plan = Plan::of(&config(serde_json::json!({"Shell": ["bash", "-ec"], "Healthcheck": {"Test": ["CMD-SHELL", "a | b"], "Interval": 5_000_000}}))).unwrap();
        assert_eq!(plan.command, ["bash", "-ec", "a | b"]);
        assert_eq!(
            (plan.interval, plan.timeout, plan.retries),
            (Duration::from_millis(5), DEFAULT_TIMEOUT, 3)
        );
        assert!(
            Plan::of(&config(
                serde_json::json!({"Healthcheck": {"Test": ["NONE"]}})
            ))
            .is_none()
        );
    }

    #[test]
    fn bad_settings_are_refused() {
        for bad in [
            serde_json::json!({"Interval": 5}),
            serde_json::json!({"Retries": -1}),
            serde_json::json!({"Test": ["SHELL", "x"]}),
            serde_json::json!({"Test": ["CMD"]}),
        ] {
            let health: HealthConfig = serde_json::from_value(bad).unwrap();
            assert!(check_config(&health).is_err());
        }
    }

    #[test]
    fn output_is_cut_and_frames_may_be_split() {
        let mut output = Output::default();
        let mut bytes = Vec::new();
        for payload in [vec![b'a'; 3000], vec![b'b'; 3000]] {
            bytes.extend_from_slice(&[1, 0, 0, 0]);
            bytes.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_be_bytes());
            bytes.extend_from_slice(&payload);
        }
        for piece in bytes.chunks(7) {
            output.push(piece);
        }
        let text = output.text();
        assert_eq!((text.len(), text.matches('b').count()), (4096, 1096));
    }
}
