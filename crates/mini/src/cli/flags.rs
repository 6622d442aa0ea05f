//! Every verb with its flags, in one table: what is parsed, and what `--help` says. The names are runc's.

use std::fmt::Write as _;

/// A flag.
#[derive(Debug)]
pub(crate) struct Flag {
    /// Its name, with its two dashes.
    pub(crate) long: &'static str,
    /// Its letter; empty when it has none.
    pub(crate) short: &'static str,
    /// What stands for its value in the help; empty for a switch.
    pub(crate) value: &'static str,
    /// What it does.
    pub(crate) help: &'static str,
}

/// A verb.
#[derive(Debug)]
pub(crate) struct Verb {
    /// Its name.
    pub(crate) name: &'static str,
    /// The words it takes, as the help shows them.
    pub(crate) words: &'static str,
    /// How many words it takes, at least and at most.
    pub(crate) count: (usize, usize),
    /// Behind the first word nothing is a flag of ours any more.
    pub(crate) word_ends_flags: bool,
    /// What it does.
    pub(crate) about: &'static str,
    /// Its flags.
    pub(crate) flags: &'static [Flag],
}

/// As many words as there are.
const MANY: usize = usize::MAX;

const fn switch(long: &'static str, short: &'static str, help: &'static str) -> Flag {
    value(long, short, "", help)
}

const fn value(
    long: &'static str,
    short: &'static str,
    value: &'static str,
    help: &'static str,
) -> Flag {
    Flag {
        long,
        short,
        value,
        help,
    }
}

const fn verb(
    name: &'static str,
    words: &'static str,
    count: (usize, usize),
    about: &'static str,
    flags: &'static [Flag],
) -> Verb {
    Verb {
        name,
        words,
        count,
        word_ends_flags: false,
        about,
        flags,
    }
}

/// Flags before the verb.
pub(crate) const GLOBAL: &[Flag] = &[
    switch("--debug", "", "log each step of the work too"),
    value(
        "--log",
        "",
        "FILE",
        "write the log there (default: standard error)",
    ),
    value("--log-format", "", "text|json", "the log's format"),
    value(
        "--root",
        "",
        "DIR",
        "where the states of containers are kept (default: /run/mini)",
    ),
    switch(
        "--systemd-cgroup",
        "",
        "let systemd make cgroups; cgroupsPath is slice:prefix:name",
    ),
    value(
        "--rootless",
        "",
        "true|false|auto",
        "whether to do without cgroups that may not be made",
    ),
    value(
        "--criu",
        "",
        "PATH",
        "accepted for older callers, without effect",
    ),
    value(
        "--trace",
        "",
        "FILE",
        "write each step of a start there, with its time",
    ),
    switch("--help", "h", "show this help"),
    switch("--version", "v", "print the version"),
];

const BUNDLE: Flag = value(
    "--bundle",
    "b",
    "DIR",
    "the bundle's directory (default: the working directory)",
);
const CONSOLE_SOCKET: Flag = value(
    "--console-socket",
    "",
    "PATH",
    "unix socket that gets the terminal's master",
);
const PIDFD_SOCKET: Flag = value(
    "--pidfd-socket",
    "",
    "PATH",
    "unix socket that gets a descriptor of the process",
);
const PID_FILE: Flag = value("--pid-file", "", "FILE", "write the process's id there");
const NO_PIVOT: Flag = switch(
    "--no-pivot",
    "",
    "refused: a root that is not pivoted to can be left",
);
const NO_NEW_KEYRING: Flag = switch(
    "--no-new-keyring",
    "",
    "let the container have the caller's session keyring",
);
const PRESERVE_FDS: Flag = value(
    "--preserve-fds",
    "",
    "N",
    "pass N more descriptors, behind the standard streams and those of $LISTEN_FDS",
);
const DETACH: Flag = switch("--detach", "d", "do not wait for the process");
const FORMAT: Flag = value("--format", "f", "table|json", "the answer's format");

/// The verbs.
pub(crate) const VERBS: &[Verb] = &[
    verb(
        "checkpoint",
        "ID",
        (1, MANY),
        "save a running container: refused, mini does not do it",
        &[],
    ),
    verb(
        "create",
        "ID",
        (1, 1),
        "make a container; its program waits for start",
        &[
            BUNDLE,
            CONSOLE_SOCKET,
            PIDFD_SOCKET,
            PID_FILE,
            NO_PIVOT,
            NO_NEW_KEYRING,
            PRESERVE_FDS,
        ],
    ),
    verb(
        "delete",
        "ID",
        (1, 1),
        "remove what is left of a container",
        &[switch(
            "--force",
            "f",
            "end it first when it runs; nothing to remove is no error",
        )],
    ),
    verb(
        "events",
        "ID",
        (1, 1),
        "print its use of resources, and when it runs out of memory, as JSON lines",
        &[
            value(
                "--interval",
                "",
                "TIME",
                "time between two figures, as 500ms or 5s (default: 5s)",
            ),
            switch("--stats", "", "print the figures once, then end"),
        ],
    ),
    Verb {
        word_ends_flags: true,
        ..verb(
            "exec",
            "ID COMMAND [ARGUMENT ...] | --process FILE ID",
            (1, MANY),
            "run one more process in a container",
            &[
                CONSOLE_SOCKET,
                PIDFD_SOCKET,
                value("--cwd", "", "DIR", "its working directory"),
                value(
                    "--env",
                    "e",
                    "NAME=VALUE",
                    "one more environment variable (repeatable)",
                ),
                switch("--tty", "t", "give it a terminal"),
                value("--user", "u", "UID[:GID]", "who it runs as"),
                value(
                    "--additional-gids",
                    "g",
                    "GID",
                    "one more group (repeatable)",
                ),
                value(
                    "--process",
                    "p",
                    "FILE",
                    "the whole process as JSON, instead of a command",
                ),
                DETACH,
                PID_FILE,
                value("--process-label", "", "LABEL", "its SELinux label"),
                value("--apparmor", "", "PROFILE", "its AppArmor profile"),
                switch("--no-new-privs", "", "it cannot gain privileges"),
                value(
                    "--cap",
                    "c",
                    "CAPABILITY",
                    "one more capability (repeatable)",
                ),
                PRESERVE_FDS,
                value(
                    "--cgroup",
                    "",
                    "[CONTROLLER,...:]PATH",
                    "put it into this cgroup below the container's (repeatable)",
                ),
                switch("--ignore-paused", "", "do so in a paused container too"),
            ],
        )
    },
    verb(
        "features",
        "",
        (0, 0),
        "print what this runtime offers, as JSON",
        &[],
    ),
    Verb {
        word_ends_flags: true,
        ..verb(
            "kill",
            "ID [SIGNAL]",
            (1, 2),
            "send a signal to the container's first process (default: SIGTERM)",
            &[switch(
                "--all",
                "a",
                "to every process of the container; a stopped one is no error",
            )],
        )
    },
    verb(
        "list",
        "",
        (0, 0),
        "show the containers below --root",
        &[FORMAT, switch("--quiet", "q", "only their ids")],
    ),
    verb("pause", "ID", (1, 1), "freeze all its processes", &[]),
    Verb {
        word_ends_flags: true,
        ..verb(
            "ps",
            "ID [OPTION OF PS ...]",
            (1, MANY),
            "show its processes, as the host sees them",
            &[FORMAT],
        )
    },
    verb(
        "restore",
        "ID",
        (1, MANY),
        "go on from what checkpoint saved: refused, mini does not do it",
        &[],
    ),
    verb("resume", "ID", (1, 1), "thaw a paused container", &[]),
    verb(
        "run",
        "ID",
        (1, 1),
        "create and start a container, and wait for its end",
        &[
            BUNDLE,
            CONSOLE_SOCKET,
            PIDFD_SOCKET,
            DETACH,
            switch("--keep", "", "do not delete it when it has ended"),
            PID_FILE,
            switch(
                "--no-subreaper",
                "",
                "accepted, without effect: mini takes no foreign processes as its children",
            ),
            NO_PIVOT,
            NO_NEW_KEYRING,
            PRESERVE_FDS,
        ],
    ),
    verb(
        "shim",
        "",
        (0, 0),
        "stay with a container of the ContainerOS engine",
        &[BUNDLE],
    ),
    verb(
        "spec",
        "",
        (0, 0),
        "write a config.json to begin with",
        &[
            BUNDLE,
            switch("--rootless", "", "for a user without privileges"),
        ],
    ),
    verb(
        "start",
        "ID",
        (1, 1),
        "let the program of a created container run",
        &[],
    ),
    verb("state", "ID", (1, 1), "print its state as JSON", &[]),
    verb(
        "update",
        "ID",
        (1, 1),
        "give a container other limits",
        &[
            value(
                "--resources",
                "r",
                "FILE",
                "the resources as JSON, - for standard input; other flags are ignored then",
            ),
            value("--blkio-weight", "", "N", "share of the disks, 10 to 1000"),
            value(
                "--cpu-period",
                "",
                "MICROSECONDS",
                "period of the CPU quota",
            ),
            value("--cpu-quota", "", "MICROSECONDS", "CPU time in a period"),
            value(
                "--cpu-burst",
                "",
                "MICROSECONDS",
                "unused CPU time that may be used later",
            ),
            value("--cpu-share", "", "N", "share of the CPUs"),
            value(
                "--cpu-rt-period",
                "",
                "MICROSECONDS",
                "period of the real-time quota",
            ),
            value(
                "--cpu-rt-runtime",
                "",
                "MICROSECONDS",
                "real-time CPU time in a period",
            ),
            value("--cpuset-cpus", "", "LIST", "CPUs it may use"),
            value("--cpuset-mems", "", "LIST", "memory nodes it may use"),
            value("--kernel-memory", "", "BYTES", "accepted, without effect"),
            value(
                "--kernel-memory-tcp",
                "",
                "BYTES",
                "accepted, without effect",
            ),
            value("--memory", "", "BYTES", "memory limit"),
            value(
                "--cpu-idle",
                "",
                "0|1",
                "run only when no one else wants to",
            ),
            value(
                "--memory-reservation",
                "",
                "BYTES",
                "memory it keeps when others need some",
            ),
            value(
                "--memory-swap",
                "",
                "BYTES",
                "limit of memory and swap together, -1 for none",
            ),
            value("--pids-limit", "", "N", "most processes it may have"),
            value("--l3-cache-schema", "", "SCHEMA", "Intel RDT: cache"),
            value(
                "--mem-bw-schema",
                "",
                "SCHEMA",
                "Intel RDT: memory bandwidth",
            ),
        ],
    ),
];

/// The verb of a name.
pub(crate) fn find(name: &str) -> Option<&'static Verb> {
    VERBS.iter().find(|verb| verb.name == name)
}

/// The flag of a name without dashes, long or short.
pub(crate) fn flag(flags: &'static [Flag], name: &str) -> Option<&'static Flag> {
    flags
        .iter()
        .filter(|_| !name.is_empty())
        .find(|flag| flag.long.strip_prefix("--") == Some(name) || flag.short == name)
}

/// The help of the program.
pub(crate) fn help(program: &str) -> String {
    let mut text = format!(
        "NAME:\n   {program} - Open Container Initiative runtime\n\nUSAGE:\n   {program} [global flags] VERB [flags] ID\n\nVERBS:\n",
    );
    for verb in VERBS {
        push_line(&mut text, verb.name, verb.about);
    }
    text.push_str("\nGLOBAL FLAGS:\n");
    push_flags(&mut text, GLOBAL);
    text
}

/// The help of a verb.
pub(crate) fn help_of(program: &str, verb: &Verb) -> String {
    let mut text = format!(
        "NAME:\n   {program} {} - {}\n\nUSAGE:\n   {program} {} [flags] {}\n",
        verb.name, verb.about, verb.name, verb.words
    );
    if !verb.flags.is_empty() {
        text.push_str("\nFLAGS:\n");
        push_flags(&mut text, verb.flags);
    }
    text
}

fn push_flags(text: &mut String, flags: &[Flag]) {
    for flag in flags {
        let mut left = flag.long.to_owned();
        if !flag.short.is_empty() {
            left = format!("{left}, -{}", flag.short);
        }
        if !flag.value.is_empty() {
            left = format!("{left} {}", flag.value);
        }
        push_line(text, &left, flag.help);
    }
}

fn push_line(text: &mut String, left: &str, right: &str) {
    // Writing to a string does not fail.
    writeln!(text, "   {left:<32} {right}").ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_given_twice() {
        for flags in VERBS
            .iter()
            .map(|verb| verb.flags)
            .chain(std::iter::once(GLOBAL))
        {
            let mut names: Vec<_> = flags
                .iter()
                .flat_map(|flag| [flag.long, flag.short])
                .filter(|name| !name.is_empty())
                .collect();
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all, "{names:?}");
        }
    }

    #[test]
    fn the_help_names_every_verb_and_flag() {
        let text = help("mini");
        for verb in VERBS {
            assert!(text.contains(verb.name));
            let text = help_of("mini", verb);
            for flag in verb.flags {
                assert!(text.contains(flag.long), "{flag:?}");
                assert!(!flag.help.is_empty(), "{flag:?}");
            }
        }
    }
}
