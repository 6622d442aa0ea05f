//! Why a container ended, or did not start.
//!
//! A table of rules, most telling first. [`Grade::Certain`] is used only where the kernel or the engine itself says so; an exit status
//! alone proves nothing about its cause, since a program may return any number.

mod signals;
mod start;

use crate::text;

pub use start::explain_start_error;

/// How sure a cause is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// The evidence leaves nothing else.
    Certain,
    /// The evidence points to it.
    Likely,
    /// It cannot be told from outside.
    Unknown,
}

/// An explanation for people.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Explanation {
    /// What happened, in a few words: a fact.
    pub what: String,
    /// Why, in a sentence or two.
    pub cause: String,
    /// How sure the cause is.
    pub grade: Grade,
    /// What it rests on.
    pub evidence: Vec<String>,
    /// What to do, best first; may be empty.
    pub next_steps: Vec<String>,
}

impl Explanation {
    fn new(what: impl Into<String>, cause: impl Into<String>, grade: Grade) -> Self {
        Self {
            what: what.into(),
            cause: cause.into(),
            grade,
            evidence: Vec::new(),
            next_steps: Vec::new(),
        }
    }

    fn evidence(mut self, text: impl Into<String>) -> Self {
        self.evidence.push(text.into());
        self
    }

    fn next(mut self, step: impl Into<String>) -> Self {
        self.next_steps.push(step.into());
        self
    }
}

/// What is known about the end of a container. Leave out what is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExitFacts {
    /// The exit status: 0 to 255, or 128 + signal.
    pub exit_code: i64,
    /// The signal that ended the first process, where the engine tells (Mini does, Docker does not).
    pub signal: Option<i32>,
    /// The engine says that the kernel killed in it for lack of memory.
    pub oom_killed: bool,
    /// How many processes were killed so, where it was counted.
    pub oom_kills_total: Option<u64>,
    /// Memory limit.
    pub memory_limit_bytes: Option<u64>,
    /// The most memory that was seen in use.
    pub memory_peak_bytes: Option<u64>,
    /// The error of the last start.
    pub start_error: Option<String>,
    /// Somebody asked the engine to stop or kill it, shortly before.
    pub stop_requested: bool,
    /// How long it ran, in milliseconds.
    pub ran_ms: Option<u64>,
    /// How often it was started again by its restart policy.
    pub restart_count: u64,
    /// It is being restarted now.
    pub restarting: bool,
    /// What it runs.
    pub command: Vec<String>,
    /// The last lines it printed; untrusted.
    pub last_log_lines: Vec<String>,
}

/// So many restarts and more are a loop.
const LOOP_FROM_RESTARTS: u64 = 3;

/// Explains the end of a container.
pub fn explain_exit(facts: &ExitFacts) -> Explanation {
    if let Some(error) = facts
        .start_error
        .as_deref()
        .filter(|error| !error.trim().is_empty())
    {
        return explain_start_error(error);
    }
    let mut explanation = explain_once(facts);
    if facts.restart_count >= LOOP_FROM_RESTARTS || (facts.restarting && facts.restart_count > 0) {
        explanation.what = format!(
            "Restarts again and again ({}). Last time: {}",
            text::count(
                usize::try_from(facts.restart_count).unwrap_or(usize::MAX),
                "restart",
                "restarts"
            ),
            explanation.what
        );
        explanation
            .evidence
            .push(format!("restart count {}", facts.restart_count));
        if facts.exit_code == 0 {
            explanation.cause = "The program ends by itself without an error, and the restart policy starts it again each time."
                .into();
            explanation.next_steps.insert(
                0,
                "If the program is meant to end, use the restart policy on-failure or no.".into(),
            );
        } else {
            explanation.next_steps.insert(
                0,
                "Stop the container to end the loop while you look at its last log lines.".into(),
            );
        }
    }
    explanation
}

fn explain_once(facts: &ExitFacts) -> Explanation {
    let mut explanation = if facts.oom_killed {
        out_of_memory(facts)
    } else {
        match (facts.signal, facts.exit_code) {
            (None, 0) => success(facts),
            (Some(signal), _) => signals::explain(facts, signal, true),
            (None, 125) => engine_refused(),
            (None, 126) => not_executable(),
            (None, 127) => not_found(facts),
            (None, code) => match i32::try_from(code - 128) {
                Ok(signal @ 1..=64) => signals::explain(facts, signal, false),
                _ => program_error(facts),
            },
        }
    };
    explanation
        .evidence
        .insert(0, format!("exit code {}", facts.exit_code));
    if let Some(signal) = facts.signal {
        explanation
            .evidence
            .insert(1, format!("signal {signal} ({})", signals::name(signal)));
    }
    if facts.exit_code != 0
        && let Some(line) = facts
            .last_log_lines
            .iter()
            .rev()
            .find(|line| !line.trim().is_empty())
    {
        let line: String = line.trim().chars().take(200).collect();
        explanation.evidence.push(format!("last log line: {line}"));
    }
    explanation
}

fn out_of_memory(facts: &ExitFacts) -> Explanation {
    let killed = facts.signal == Some(9) || (facts.signal.is_none() && facts.exit_code == 137);
    let limit = facts.memory_limit_bytes.map(text::bytes);
    let what = match (&limit, killed) {
        (Some(limit), true) => format!("Killed: out of memory, limit {limit}"),
        (None, true) => "Killed: out of memory".to_owned(),
        (_, false) => format!(
            "A process in it was killed for lack of memory; the first one ended with code {}",
            facts.exit_code
        ),
    };
    let cause = match (&limit, killed) {
        (Some(limit), true) => format!(
            "Its processes together wanted more than the {limit} they may have, so the kernel killed the first process."
        ),
        (None, true) => "The kernel killed its first process because there was no memory left for it.".to_owned(),
        (_, false) => {
            "The kernel killed one of its processes for lack of memory; the first process most likely ended because of that."
                .to_owned()
        }
    };
    // A stop request at the same time could have sent the same signal.
    let grade = if killed && !facts.stop_requested {
        Grade::Certain
    } else {
        Grade::Likely
    };
    let mut explanation =
        Explanation::new(what, cause, grade).evidence(match facts.oom_kills_total {
            Some(kills) if kills > 0 => format!("the kernel counted out-of-memory kills: {kills}"),
            _ => "the engine says OOMKilled".to_owned(),
        });
    if let Some(limit) = &limit {
        explanation = explanation.evidence(format!("memory limit {limit}"));
    }
    if let Some(peak) = facts.memory_peak_bytes {
        explanation = explanation.evidence(format!("highest use seen {}", text::bytes(peak)));
    }
    let step = facts.memory_limit_bytes.map_or_else(
        || "Give the machine more memory, or run less on it.".to_owned(),
        |bytes| {
            format!(
                "Raise the memory limit, for example to {}, if the program really needs it.",
                text::bytes(bytes.saturating_mul(2))
            )
        },
    );
    explanation
        .next(step)
        .next("If memory use only ever rises, look for a leak: the memory chart shows its course.")
}

fn success(facts: &ExitFacts) -> Explanation {
    let explanation = Explanation::new(
        "Ended without an error",
        "The program did what it had to do and ended by itself with code 0.",
        Grade::Certain,
    );
    let shell = facts.command.first().is_some_and(|program| {
        matches!(
            program.rsplit('/').next(),
            Some("sh" | "bash" | "ash" | "dash" | "zsh")
        )
    });
    if shell && facts.command.len() == 1 && facts.ran_ms.is_none_or(|ms| ms < 2000) {
        return explanation
            .evidence("a shell without a terminal or input has nothing to do and ends at once")
            .next(
                "Run it with a terminal (-it), or give the container a command that keeps running.",
            );
    }
    explanation
}

fn engine_refused() -> Explanation {
    Explanation::new(
        "Ended with code 125",
        "The docker command uses 125 when the engine could not run the container; a program may also return it itself.",
        Grade::Unknown,
    )
    .next("Look at the error of the start, and at the log.")
}

fn not_executable() -> Explanation {
    Explanation::new(
        "Ended with code 126: command cannot be executed",
        "By convention a shell returns 126 when it found the command but may not execute it: no execute permission, or a \
         directory.",
        Grade::Likely,
    )
    .next("Check the file's permissions in the image (chmod +x), and that it is a program.")
}

fn not_found(facts: &ExitFacts) -> Explanation {
    let explanation = Explanation::new(
        "Ended with code 127: command not found",
        "By convention a shell returns 127 when it does not find a command in its PATH.",
        Grade::Likely,
    );
    let said = facts
        .last_log_lines
        .iter()
        .rev()
        .find(|line| line.contains("not found"));
    match said {
        Some(line) => {
            let line: String = line.trim().chars().take(200).collect();
            explanation.evidence(format!("it said: {line}"))
        }
        None => explanation,
    }
    .next("Check the spelling, and that the program is part of the image.")
}

fn program_error(facts: &ExitFacts) -> Explanation {
    let explanation = Explanation::new(
        format!("Ended with code {}", facts.exit_code),
        "The program ended itself and reported an error. What the number means is the program's own choice.",
        Grade::Unknown,
    )
    .next("Look at its last log lines: most programs say what is wrong before they end.");
    match facts.ran_ms {
        Some(ms) if ms < 1000 => explanation
            .evidence(format!("it ran for {ms} ms"))
            .next("It ended right after the start: settings, environment and mounted files are the first to check."),
        _ => explanation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(exit_code: i64) -> ExitFacts {
        ExitFacts {
            exit_code,
            ..ExitFacts::default()
        }
    }

    #[test]
    fn out_of_memory_is_certain_only_when_the_first_process_was_killed_and_nobody_else_asked() {
        let mut facts = ExitFacts {
            oom_killed: true,
            memory_limit_bytes: Some(32 << 20),
            ..of(137)
        };
        let explanation = explain_exit(&facts);
        assert_eq!(explanation.what, "Killed: out of memory, limit 32 MiB");
        assert_eq!(explanation.grade, Grade::Certain);
        assert!(explanation.next_steps[0].contains("64 MiB"));
        facts.stop_requested = true;
        assert_eq!(explain_exit(&facts).grade, Grade::Likely);
        let child = ExitFacts {
            oom_killed: true,
            ..of(1)
        };
        assert_eq!(explain_exit(&child).grade, Grade::Likely);
    }

    #[test]
    fn killed_without_a_known_reason_is_unknown() {
        let explanation = explain_exit(&of(137));
        assert_eq!(explanation.grade, Grade::Unknown);
        let asked = ExitFacts {
            stop_requested: true,
            ..of(137)
        };
        assert_eq!(explain_exit(&asked).grade, Grade::Likely);
    }

    #[test]
    fn every_code_has_an_explanation_and_none_of_the_ambiguous_is_certain() {
        for code in -1..=300 {
            let explanation = explain_exit(&of(code));
            assert!(!explanation.what.is_empty() && !explanation.cause.is_empty());
            assert_eq!(explanation.grade == Grade::Certain, code == 0, "{code}");
            assert_eq!(explanation.evidence[0], format!("exit code {code}"));
        }
    }

    #[test]
    fn a_restart_loop_is_named_first() {
        let facts = ExitFacts {
            restart_count: 5,
            ..of(1)
        };
        let explanation = explain_exit(&facts);
        assert!(
            explanation
                .what
                .starts_with("Restarts again and again (5 restarts)")
        );
        let ends_well = ExitFacts {
            restart_count: 9,
            ..of(0)
        };
        assert!(explain_exit(&ends_well).next_steps[0].contains("on-failure"));
    }

    #[test]
    fn the_last_log_line_is_evidence_and_cut() {
        let facts = ExitFacts {
            last_log_lines: vec!["x".repeat(500), String::new()],
            ..of(1)
        };
        let explanation = explain_exit(&facts);
        let line = explanation.evidence.last().unwrap();
        assert!(line.starts_with("last log line: xxx") && line.len() < 220);
    }

    #[test]
    fn a_lone_shell_without_input_is_recognised() {
        let facts = ExitFacts {
            command: vec!["/bin/sh".into()],
            ran_ms: Some(40),
            ..of(0)
        };
        assert!(explain_exit(&facts).next_steps[0].contains("-it"));
    }

    proptest::proptest! {
        #[test]
        fn any_facts_are_explained(code: i64, signal: Option<i32>, oom: bool, error: Option<String>, lines: Vec<String>) {
            let facts = ExitFacts {
                exit_code: code,
                signal,
                oom_killed: oom,
                start_error: error,
                last_log_lines: lines,
                ..ExitFacts::default()
            };
            proptest::prop_assert!(!explain_exit(&facts).what.is_empty());
        }
    }
}
