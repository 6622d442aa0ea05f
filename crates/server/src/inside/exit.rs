//! Why a container ended, from its record.

use std::time::Duration;

use api::container::{ExitExplanation, Grade};
use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum};
use insight::ExitFacts;

use crate::{
    engines::{Engine, within},
    logs::{self, Filter},
};

/// Last log lines that are looked at.
const LAST_LINES: u32 = 20;
/// How long reading them may take: an explanation without them is better than a page that waits.
const READ_LIMIT: Duration = Duration::from_secs(1);

/// As [`explain`], with what the engine's events and the container's last lines add.
pub async fn explain_with_evidence(
    engine: &Engine,
    found: &ContainerInspectResponse,
) -> Option<ExitExplanation> {
    // Nothing is read for a container that has no end to explain.
    explain(found, &[], false)?;
    let id = found.id.as_deref().unwrap_or_default();
    let mut lines = Vec::new();
    if let (Ok(docker), Ok(filter)) = (engine.docker(), Filter::new(None, None, (None, None), None))
    {
        let read = logs::page(&docker, id, &filter, Some(LAST_LINES));
        if let Ok(page) = within(&engine.name, READ_LIMIT, read).await {
            lines.extend(page.lines.into_iter().map(|line| line.text));
        }
    }
    // Both engines tell of the signal that `stop` and `kill` send, before they tell of the end.
    let events = engine.mirror.events();
    let mut own = events.iter().rev().filter(|event| event.id == id);
    let ended = own.find(|event| event.action == "die").is_some();
    let asked = ended && own.next().is_some_and(|event| event.action == "kill");
    explain(found, &lines, asked)
}

/// Why a container ended or did not start; none while it runs and before its first start.
///
/// `last_log_lines` and `stop_requested` make the explanation better where they are known.
pub fn explain(
    found: &ContainerInspectResponse,
    last_log_lines: &[String],
    stop_requested: bool,
) -> Option<ExitExplanation> {
    let state = found.state.as_ref()?;
    let start_error = state.error.clone().filter(|error| !error.is_empty());
    match state.status? {
        ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::PAUSED => return None,
        ContainerStateStatusEnum::CREATED if start_error.is_none() => return None,
        _ => {}
    }
    let host = found.host_config.as_ref();
    let limit = host
        .and_then(|host| host.memory)
        .and_then(|limit| u64::try_from(limit).ok())
        .filter(|limit| *limit > 0);
    let path = found.path.clone().into_iter();
    let explanation = insight::explain_exit(&ExitFacts {
        exit_code: state.exit_code.unwrap_or_default(),
        signal: None,
        oom_killed: state.oom_killed.unwrap_or_default(),
        oom_kills_total: None,
        memory_limit_bytes: limit,
        memory_peak_bytes: None,
        start_error,
        stop_requested,
        ran_ms: ran_ms(state.started_at.as_deref(), state.finished_at.as_deref()),
        restart_count: found
            .restart_count
            .and_then(|count| u64::try_from(count).ok())
            .unwrap_or_default(),
        restarting: state.restarting.unwrap_or_default(),
        command: path.chain(found.args.iter().flatten().cloned()).collect(),
        last_log_lines: last_log_lines.to_vec(),
    });
    Some(ExitExplanation {
        title: explanation.what,
        sentence: explanation.cause,
        grade: match explanation.grade {
            insight::Grade::Certain => Grade::Certain,
            insight::Grade::Likely => Grade::Likely,
            insight::Grade::Unknown => Grade::Unknown,
        },
        evidence: explanation.evidence,
        next_step: explanation.next_steps.into_iter().next(),
    })
}

fn ran_ms(started: Option<&str>, finished: Option<&str>) -> Option<u64> {
    let at = |text: Option<&str>| {
        text?
            .parse::<jiff::Timestamp>()
            .ok()
            .filter(|at| at.as_second() > 0)
    };
    u64::try_from(at(finished)?.as_millisecond() - at(started)?.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use bollard::models::{ContainerState, HostConfig};

    use super::*;

    fn ended(
        status: ContainerStateStatusEnum,
        exit_code: i64,
        oom_killed: bool,
    ) -> ContainerInspectResponse {
        ContainerInspectResponse {
            state: Some(ContainerState {
                status: Some(status),
                exit_code: Some(exit_code),
                oom_killed: Some(oom_killed),
                ..Default::default()
            }),
            host_config: Some(HostConfig {
                memory: Some(32 << 20),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn an_oom_kill_is_certain_and_names_the_limit() {
        let said = explain(
            &ended(ContainerStateStatusEnum::EXITED, 137, true),
            &[],
            false,
        )
        .unwrap();
        assert_eq!(said.grade, Grade::Certain);
        assert!(
            format!("{} {}", said.title, said.sentence).contains("32 MiB"),
            "{said:?}"
        );
    }

    #[test]
    fn what_runs_has_no_end() {
        assert!(
            explain(
                &ended(ContainerStateStatusEnum::RUNNING, 0, false),
                &[],
                false
            )
            .is_none()
        );
        assert!(
            explain(
                &ended(ContainerStateStatusEnum::CREATED, 0, false),
                &[],
                false
            )
            .is_none()
        );
    }
}
