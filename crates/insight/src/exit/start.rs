//! Starts that did not come about, by the words of the error.
//!
//! The words are those of Docker, containerd, runc and Mini, which say the same things in much the same words. What the
//! error itself says is certain; what may have led to it is not.

use super::{Explanation, Grade};

/// All these words appear (in lower case).
type Words = &'static [&'static str];

struct Rule {
    words: &'static [Words],
    what: &'static str,
    cause: &'static str,
    grade: Grade,
    next: &'static [&'static str],
}

/// The first rule of which any row of words appears wins; narrow ones come first.
const RULES: &[Rule] = &[
    Rule {
        words: &[
            &["port is already allocated"],
            &["address already in use"],
            &["port", "already in use"],
        ],
        what: "The port is taken",
        cause: "Another container or program already listens on the host port that this container wants to publish.",
        grade: Grade::Certain,
        next: &[
            "Choose another host port, or stop what holds this one (ss -ltnp shows it).",
            "Leave the host port out to get a free one.",
        ],
    },
    Rule {
        words: &[
            &["name", "is already in use"],
            &["conflict", "container name"],
        ],
        what: "The name is taken",
        cause: "Another container has this name; names are unique on an engine, also for stopped containers.",
        grade: Grade::Certain,
        next: &["Choose another name, or remove or rename the other container."],
    },
    Rule {
        words: &[
            &["exec format error"],
            &["wrong architecture"],
            &["does not match the", "platform"],
        ],
        what: "The program is for another kind of processor",
        cause: "The kernel does not know the format of the program: the image is for another architecture, or a script has no \
                #! line.",
        grade: Grade::Likely,
        next: &[
            "Use an image for this machine's architecture (--platform).",
            "If it is a script, begin it with a line such as #!/bin/sh.",
        ],
    },
    Rule {
        words: &[
            &["executable file not found"],
            &["executable", "not found"],
            &["exec:", "no such file or directory"],
            &["exec ", "no such file or directory"],
        ],
        what: "The program is not in the image",
        cause: "The command does not exist in the container's file system, or is not in its PATH. For a script or a dynamic \
                program its interpreter or loader may be what is missing.",
        grade: Grade::Certain,
        next: &[
            "Check the command's spelling and path.",
            "If the file is there: its #! line or its C library (glibc or musl) may not fit the image.",
        ],
    },
    Rule {
        words: &[
            &["no such image"],
            &["image", "not found"],
            &["manifest unknown"],
            &["pull access denied"],
            &["repository does not exist"],
        ],
        what: "The image is not there",
        cause: "The engine does not have this image, and the registry does not give it: the name or tag is misspelt, or it is \
                private.",
        grade: Grade::Likely,
        next: &["Check the name and tag, pull the image, or sign in to its registry."],
    },
    Rule {
        words: &[
            &["exec", "permission denied"],
            &["execve", "permission denied"],
        ],
        what: "The program may not be executed",
        cause: "The file is there, but has no execute permission for this user, is a directory, or lies on a mount with noexec.",
        grade: Grade::Certain,
        next: &["Make it executable in the image: chmod +x."],
    },
    Rule {
        words: &[
            &["bind source path does not exist"],
            &["invalid mount config"],
            &["mount", "no such file or directory"],
            &["mount", "not a directory"],
            &["mount", "must be absolute"],
            &["invalid volume specification"],
        ],
        what: "A mount does not work",
        cause: "The source of a bind mount does not exist, or a file is mounted over a directory or the other way round.",
        grade: Grade::Likely,
        next: &[
            "Check that the host path exists and is of the same kind as the path in the container.",
        ],
    },
    Rule {
        words: &[&["no space left on device"], &["disk quota exceeded"]],
        what: "The disk is full",
        cause: "There is no room left where the engine keeps images, containers and volumes, or no free inodes.",
        grade: Grade::Certain,
        next: &[
            "Remove what is not needed any more (images, stopped containers, unused volumes); df -h and df -i show the space.",
        ],
    },
    Rule {
        words: &[
            &["memory limit is too low"],
            &["minimum memory limit"],
            &["memory.limit_in_bytes", "busy"],
            &["memory.max", "busy"],
        ],
        what: "The memory limit is too low",
        cause: "The limit is below what a container needs to start at all, or below what it uses now.",
        grade: Grade::Certain,
        next: &["Raise the memory limit; 6 MiB is the least that engines take."],
    },
    Rule {
        words: &[
            &["pids", "resource temporarily unavailable"],
            &["fork", "resource temporarily unavailable"],
            &["clone", "resource temporarily unavailable"],
            &["cannot fork"],
        ],
        what: "No more processes",
        cause: "A limit of processes is reached: that of the container (--pids-limit), of its user, or of the machine.",
        grade: Grade::Likely,
        next: &["Raise the process limit, or find what starts so many processes."],
    },
    Rule {
        words: &[
            &["controller", "is not available"],
            &["cgroup", "not mounted"],
            &["cgroup", "has no such setting"],
            &["this kernel has no such file"],
            &["is not enabled in cgroup"],
        ],
        what: "This machine cannot set that limit",
        cause: "The kernel, or the way its control groups are set up, does not offer a limit that was asked for.",
        grade: Grade::Certain,
        next: &["Leave the limit out, or enable it as the error says."],
    },
    Rule {
        words: &[
            &["range of cpus"],
            &["requested cpus are not available"],
            &["invalid", "limit"],
            &["invalid", "cpus"],
            &["invalid", "memory"],
            &["cpuset"],
        ],
        what: "A limit has a value that is not possible",
        cause: "The engine or the kernel refuses the value of a limit: out of range, or CPUs that this machine does not have.",
        grade: Grade::Certain,
        next: &["Correct the limit named in the error."],
    },
    Rule {
        words: &[&["network", "not found"]],
        what: "The network is not there",
        cause: "The container is to join a network that does not exist on this engine any more.",
        grade: Grade::Certain,
        next: &["Create the network, or connect the container to another one."],
    },
    Rule {
        words: &[
            &["oci runtime", "not found"],
            &["unknown runtime"],
            &["runtime", "executable file not found"],
        ],
        what: "The runtime is not there",
        cause: "The container was made for a runtime that the engine does not have now.",
        grade: Grade::Certain,
        next: &["Install the runtime, or create the container without --runtime."],
    },
    Rule {
        words: &[
            &["unable to find user"],
            &["no matching entries in passwd"],
            &["unable to find group"],
        ],
        what: "The user does not exist in the image",
        cause: "The user or group to run as is given by name, and the image's /etc/passwd or /etc/group does not have it.",
        grade: Grade::Certain,
        next: &["Give it as numbers (--user 1000:1000), or add the user to the image."],
    },
    Rule {
        words: &[&["operation not permitted"], &["permission denied"]],
        what: "Something was not permitted",
        cause: "The kernel or a security module refused a step of the start; the engine may lack rights on this machine.",
        grade: Grade::Unknown,
        next: &[
            "Look at which step and path the error names, and whether the engine runs as root.",
        ],
    },
];

/// Explains a start that did not come about, from the engine's error.
pub fn explain_start_error(error: &str) -> Explanation {
    let lower = error.to_lowercase();
    let rule = RULES.iter().find(|rule| {
        rule.words
            .iter()
            .any(|words| words.iter().all(|word| lower.contains(word)))
    });
    let shown: String = error.trim().chars().take(500).collect();
    let explanation = match rule {
        Some(rule) => {
            let base = Explanation::new(
                format!("Did not start: {}", lower_first(rule.what)),
                rule.cause,
                rule.grade,
            );
            rule.next.iter().fold(base, |base, step| base.next(*step))
        }
        None => Explanation::new(
            "Did not start",
            "The engine could not start it, for the reason in its own words below.",
            Grade::Unknown,
        )
        .next("Read the engine's error; if it is not clear, search for its last part."),
    };
    explanation.evidence(format!("the engine said: {shown}"))
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(letters).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_errors_of_docker_runc_and_mini_are_recognised() {
        let cases = [
            (
                "driver failed programming external connectivity on endpoint web: Bind for 0.0.0.0:8080 failed: port is already allocated",
                "port is taken",
            ),
            (
                "listen tcp4 0.0.0.0:80: bind: address already in use",
                "port is taken",
            ),
            (
                "Conflict. The container name \"/web\" is already in use by container \"abc\".",
                "name is taken",
            ),
            ("No such image: nope:latest", "image is not there"),
            (
                "pull access denied for nope, repository does not exist or may require 'docker login'",
                "image is not there",
            ),
            (
                "OCI runtime create failed: runc create failed: unable to start container process: exec: \"nope\": executable file not found in $PATH: unknown",
                "program is not in the image",
            ),
            (
                "exec: \"image-tool\": executable file not found in $PATH",
                "program is not in the image",
            ),
            (
                "exec /app/run: no such file or directory",
                "program is not in the image",
            ),
            (
                "exec: \"/etc\": permission denied: unknown",
                "program may not be executed",
            ),
            (
                "exec /bin/arm: exec format error",
                "another kind of processor",
            ),
            (
                "invalid mount config for type \"bind\": bind source path does not exist: /nope",
                "mount does not work",
            ),
            ("write /var/lib/x: no space left on device", "disk is full"),
            (
                "Minimum memory limit allowed is 6MB",
                "memory limit is too low",
            ),
            (
                "clone3: resource temporarily unavailable",
                "no more processes",
            ),
            (
                "set io.max to 8:0 rbps=1: the cgroup controller io is not available here",
                "cannot set that limit",
            ),
            (
                "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available",
                "value that is not possible",
            ),
            ("network deadbeef not found", "network is not there"),
            (
                "unable to find user bob: no matching entries in passwd file",
                "user does not exist",
            ),
        ];
        for (error, part) in cases {
            let explanation = explain_start_error(error);
            assert!(
                explanation.what.contains(part),
                "{error} -> {}",
                explanation.what
            );
            assert!(!explanation.next_steps.is_empty());
            assert!(explanation.evidence[0].contains(&error[..20]));
        }
    }

    #[test]
    fn an_unknown_error_is_shown_as_it_is() {
        let explanation = explain_start_error("the moon is in the wrong place");
        assert_eq!(explanation.grade, Grade::Unknown);
        assert!(explanation.evidence[0].contains("moon"));
    }
}
