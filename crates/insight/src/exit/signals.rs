//! Ends by a signal.

use super::{ExitFacts, Explanation, Grade};

/// The name of a signal, as on x86 and ARM.
pub(super) fn name(signal: i32) -> String {
    let known = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return format!("signal {signal}"),
    };
    known.to_owned()
}

/// `measured`: the engine said that it was a signal; otherwise it is read out of the exit code, which a program (above
/// all a shell whose child was killed) may also return by itself.
pub(super) fn explain(facts: &ExitFacts, signal: i32, measured: bool) -> Explanation {
    let name = name(signal);
    let sure = |grade| {
        if measured {
            grade
        } else {
            Grade::Likely.max(grade)
        }
    };
    let explanation = match signal {
        9 => return killed(facts, measured),
        15 | 2 | 1 | 3 => {
            let (cause, grade) = if facts.stop_requested {
                (
                    format!("Somebody asked to stop it; it got {name} and ended."),
                    sure(Grade::Certain),
                )
            } else {
                (
                    format!(
                        "It was asked to end with {name}, which is how engines, service managers and Ctrl+C stop a program."
                    ),
                    Grade::Likely,
                )
            };
            Explanation::new(format!("Stopped by {name}"), cause, grade).next(
                "If it should end with code 0 when it is stopped, let the program handle the signal.",
            )
        }
        4 => crash(
            &name,
            "It executed an instruction that this processor does not have: often a program built for a newer processor.",
            sure(Grade::Likely),
        )
        .next("Use an image built for this machine's processor."),
        6 => crash(
            &name,
            "It gave up itself (abort): a failed assertion, an uncaught exception, or damaged memory that the C library found.",
            sure(Grade::Likely),
        )
        .next("Its last log lines usually name the assertion or exception."),
        7 => crash(
            &name,
            "It accessed memory that has no backing: often a mapped file that was cut short, or a full /dev/shm.",
            sure(Grade::Likely),
        )
        .next("If it uses shared memory, give it more: --shm-size."),
        8 => crash(
            &name,
            "It divided by zero or did another impossible calculation.",
            sure(Grade::Likely),
        )
        .next("This is a fault of the program: report it with the last log lines."),
        11 => crash(
            &name,
            "It accessed memory that is not its own: a fault in the program or one of its libraries, or an image for another \
             C library.",
            sure(Grade::Likely),
        )
        .next("Try another version of the image; if it stays, report it to its author.")
        .next("If a thread's stack is the limit, raise it: --ulimit stack=…"),
        13 => Explanation::new(
            format!("Ended by {name}"),
            "It wrote to a pipe or socket whose other end was closed.",
            sure(Grade::Likely),
        ),
        24 | 25 => Explanation::new(
            format!("Ended by {name}"),
            "It passed a resource limit of its own (CPU time or file size, see --ulimit).",
            sure(Grade::Likely),
        )
        .next("Raise or remove that ulimit."),
        31 => Explanation::new(
            format!("Ended by {name}"),
            "It made a system call that the seccomp filter punishes with death.",
            sure(Grade::Likely),
        )
        .next("See which call it was in the kernel's log (dmesg), and allow it in a profile if that is safe."),
        _ => Explanation::new(
            format!("Ended by {name}"),
            format!("A process sent it {name}, and it had no other use for it than to end."),
            Grade::Unknown,
        ),
    };
    if measured {
        explanation
    } else {
        explanation.evidence(format!(
            "{} is 128 + {signal}, by convention an end by {name}; a program may also return it itself",
            128 + signal
        ))
    }
}

fn crash(name: &str, cause: &str, grade: Grade) -> Explanation {
    Explanation::new(format!("Crashed: {name}"), cause, grade)
}

fn killed(facts: &ExitFacts, measured: bool) -> Explanation {
    if facts.stop_requested {
        return Explanation::new(
            "Killed after it was asked to stop",
            "It did not end within the time it was given after the stop signal, so the engine killed it; or a kill was asked for.",
            Grade::Likely,
        )
        .evidence("a stop or kill was requested")
        .next("Let the program end on SIGTERM, or give it more time (--stop-timeout).")
        .next("A program started through a shell does not get the signal: start it directly (exec form), or with --init.");
    }
    let explanation = Explanation::new(
        "Killed (SIGKILL)",
        "Something killed it: a person or program with kill -9, or the kernel because the whole machine ran out of memory. \
         Its own memory limit was not the reason.",
        Grade::Unknown,
    )
    .evidence("the engine does not report an out-of-memory kill in this container")
    .next("Look for \"Out of memory\" in the kernel's log (dmesg), and at the machine's memory at that time.");
    if measured {
        explanation
    } else {
        explanation.evidence("137 is 128 + 9; a shell also returns it when its child was killed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crashes_name_their_signal() {
        for (code, start) in [
            (132, "Crashed: SIGILL"),
            (134, "Crashed: SIGABRT"),
            (135, "Crashed: SIGBUS"),
            (136, "Crashed: SIGFPE"),
            (139, "Crashed: SIGSEGV"),
            (143, "Stopped by SIGTERM"),
            (130, "Stopped by SIGINT"),
        ] {
            let facts = ExitFacts {
                exit_code: code,
                ..ExitFacts::default()
            };
            assert_eq!(crate::explain_exit(&facts).what, start);
        }
    }

    #[test]
    fn a_stop_that_was_asked_for_and_measured_is_certain() {
        let facts = ExitFacts {
            exit_code: 143,
            signal: Some(15),
            stop_requested: true,
            ..ExitFacts::default()
        };
        assert_eq!(explain(&facts, 15, true).grade, Grade::Certain);
        assert_eq!(explain(&facts, 15, false).grade, Grade::Likely);
    }
}
