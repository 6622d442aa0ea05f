//! The columns of `ps`, and what stands in them.
//! Source: man 1 ps (procps-ng 4), `STANDARD FORMAT SPECIFIERS`; checked against that program by a test.

use jiff::{Timestamp, tz::TimeZone};

use super::{names::Names, process::Process};

/// The kernel counts CPU time in `USER_HZ`, which is 100.
const TICKS_PER_SECOND: u64 = 100;
/// A longer name is cut.
const NAME_WIDTH: usize = 8;

/// What stands in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Pid,
    Parent,
    Group,
    Session,
    User,
    UserId,
    RealUser,
    UserGroup,
    UserGroupId,
    Name,
    CommandLine,
    State,
    States,
    Terminal,
    CpuTime,
    ShortCpuTime,
    Elapsed,
    ElapsedSeconds,
    Start,
    CpuShare,
    CpuPercent,
    MemoryPercent,
    VirtualKib,
    ResidentKib,
    Threads,
    Nice,
}

/// A format of output: each column with its title.
pub(super) type Format = Vec<(Column, &'static str)>;

/// The format of `-f`.
pub(super) const FULL: &[&str] = &["user", "pid", "ppid", "c", "stime", "tname", "time", "cmd"];

/// The format of BSD's `u`.
pub(super) const BSD_USER: [(Column, &str); 11] = [
    (Column::User, "USER"),
    (Column::Pid, "PID"),
    (Column::CpuPercent, "%CPU"),
    (Column::MemoryPercent, "%MEM"),
    (Column::VirtualKib, "VSZ"),
    (Column::ResidentKib, "RSS"),
    (Column::Terminal, "TTY"),
    (Column::States, "STAT"),
    (Column::Start, "START"),
    (Column::ShortCpuTime, "TIME"),
    (Column::CommandLine, "COMMAND"),
];

/// Returns the column of a format specifier, with its title; `None` for one that only `ps` itself knows.
pub(super) fn column(specifier: &str) -> Option<(Column, &'static str)> {
    Some(match specifier {
        "pid" => (Column::Pid, "PID"),
        "ppid" => (Column::Parent, "PPID"),
        "pgid" => (Column::Group, "PGID"),
        "pgrp" => (Column::Group, "PGRP"),
        "sid" => (Column::Session, "SID"),
        "sess" | "session" => (Column::Session, "SESS"),
        "user" | "uname" => (Column::User, "USER"),
        "euser" => (Column::User, "EUSER"),
        "uid" => (Column::UserId, "UID"),
        "euid" => (Column::UserId, "EUID"),
        "ruser" => (Column::RealUser, "RUSER"),
        "group" => (Column::UserGroup, "GROUP"),
        "egroup" => (Column::UserGroup, "EGROUP"),
        "gid" => (Column::UserGroupId, "GID"),
        "egid" => (Column::UserGroupId, "EGID"),
        "comm" | "ucomm" => (Column::Name, "COMMAND"),
        "ucmd" => (Column::Name, "CMD"),
        "args" | "command" => (Column::CommandLine, "COMMAND"),
        "cmd" => (Column::CommandLine, "CMD"),
        "s" | "state" => (Column::State, "S"),
        "stat" => (Column::States, "STAT"),
        "tty" | "tt" => (Column::Terminal, "TT"),
        "tname" => (Column::Terminal, "TTY"),
        "time" | "cputime" => (Column::CpuTime, "TIME"),
        "etime" => (Column::Elapsed, "ELAPSED"),
        "etimes" => (Column::ElapsedSeconds, "ELAPSED"),
        "stime" => (Column::Start, "STIME"),
        "start_time" => (Column::Start, "START"),
        "c" => (Column::CpuShare, "C"),
        "pcpu" | "%cpu" => (Column::CpuPercent, "%CPU"),
        "pmem" | "%mem" => (Column::MemoryPercent, "%MEM"),
        "vsz" | "vsize" => (Column::VirtualKib, "VSZ"),
        "rss" | "rssize" => (Column::ResidentKib, "RSS"),
        "rsz" => (Column::ResidentKib, "RSZ"),
        "nlwp" => (Column::Threads, "NLWP"),
        "thcount" => (Column::Threads, "THCNT"),
        "ni" | "nice" => (Column::Nice, "NI"),
        _ => return None,
    })
}

/// What the columns need to know beside the process.
#[derive(Debug)]
pub(super) struct Moment {
    /// Nanoseconds since the Unix epoch.
    pub(super) now_ns: i64,
    /// The same since boot.
    pub(super) uptime_ns: u64,
    /// Of the machine, in bytes.
    pub(super) memory_bytes: u64,
    pub(super) zone: TimeZone,
    pub(super) users: Names,
    pub(super) groups: Names,
}

impl Column {
    /// Returns what stands in the column for a process.
    pub(super) fn text(self, process: &Process, moment: &Moment) -> String {
        match self {
            Self::Pid => process.pid.to_string(),
            Self::Parent => process.parent.to_string(),
            Self::Group => process.group.to_string(),
            Self::Session => process.session.to_string(),
            Self::User => shortened(&moment.users.of(process.user)),
            Self::UserId => process.user.to_string(),
            Self::RealUser => shortened(&moment.users.of(process.real_user)),
            Self::UserGroup => shortened(&moment.groups.of(process.user_group)),
            Self::UserGroupId => process.user_group.to_string(),
            Self::Name if process.is_zombie() => format!("{} <defunct>", process.name),
            Self::Name => process.name.clone(),
            Self::CommandLine if process.is_zombie() => format!("[{}] <defunct>", process.name),
            Self::CommandLine if process.command_line.is_empty() => format!("[{}]", process.name),
            Self::CommandLine => process.command_line.clone(),
            Self::State => process.state.clone(),
            Self::States => states(process),
            Self::Terminal => terminal(process.terminal),
            Self::CpuTime => clock(process.cpu_ticks / TICKS_PER_SECOND, true),
            Self::ShortCpuTime => {
                let seconds = process.cpu_ticks / TICKS_PER_SECOND;
                format!("{}:{:02}", seconds / 60, seconds % 60)
            }
            Self::Elapsed => clock(elapsed_ticks(process, moment) / TICKS_PER_SECOND, false),
            Self::ElapsedSeconds => (elapsed_ticks(process, moment) / TICKS_PER_SECOND).to_string(),
            Self::Start => start(process, moment),
            Self::CpuShare => share(process, moment, 100).min(99).to_string(),
            Self::CpuPercent => per_mille(share(process, moment, 1000)),
            Self::MemoryPercent => {
                let memory_kib = (moment.memory_bytes / 1024).max(1);
                let share = process.resident_kib.saturating_mul(1000) / memory_kib;
                per_mille(share.min(999))
            }
            Self::VirtualKib => (process.virtual_bytes / 1024).to_string(),
            Self::ResidentKib => process.resident_kib.to_string(),
            Self::Threads => process.threads.to_string(),
            Self::Nice => process.nice.to_string(),
        }
    }
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME_WIDTH {
        return name.to_owned();
    }
    name.chars().take(NAME_WIDTH - 1).chain(['+']).collect()
}

fn states(process: &Process) -> String {
    let mut text = process.state.clone();
    let pid = i32::try_from(process.pid).unwrap_or_default();
    let marks = [
        (process.nice < 0, '<'),
        (process.nice > 0, 'N'),
        (process.locks_memory, 'L'),
        (process.session == pid, 's'),
        (process.threads > 1, 'l'),
        (process.foreground_group == process.group, '+'),
    ];
    text.extend(marks.iter().filter(|(set, _)| *set).map(|(_, mark)| mark));
    text
}

/// Name of a terminal by its device number, of which the kernel puts the minor's high bits above the major.
fn terminal(device: u32) -> String {
    let major = (device >> 8) & 0xfff;
    let minor = (device & 0xff) | ((device >> 12) & 0xfff00);
    match (major, minor) {
        (4, 0..64) => format!("tty{minor}"),
        (4, _) => format!("ttyS{}", minor - 64),
        (136..144, _) => format!("pts/{}", (major - 136) * 256 + minor),
        (204, 64..) => format!("ttyAMA{}", minor - 64),
        (229, _) => format!("hvc{minor}"),
        _ => "?".to_owned(),
    }
}

/// `[days-]hours:minutes:seconds`; hours only where needed unless `always_hours`.
fn clock(seconds: u64, always_hours: bool) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let minutes_and_seconds = format!("{:02}:{:02}", seconds / 60 % 60, seconds % 60);
    if days > 0 {
        format!("{days}-{hours:02}:{minutes_and_seconds}")
    } else if hours > 0 || always_hours {
        format!("{hours:02}:{minutes_and_seconds}")
    } else {
        minutes_and_seconds
    }
}

fn elapsed_ticks(process: &Process, moment: &Moment) -> u64 {
    let uptime_ticks = moment.uptime_ns / (1_000_000_000 / TICKS_PER_SECOND);
    uptime_ticks.saturating_sub(process.start_ticks)
}

/// CPU time in parts of the time since its start.
fn share(process: &Process, moment: &Moment, parts: u64) -> u64 {
    // `ps` reckons in whole seconds of uptime.
    let uptime_ticks = moment.uptime_ns / 1_000_000_000 * TICKS_PER_SECOND;
    let life_ticks = uptime_ticks.saturating_sub(process.start_ticks);
    process
        .cpu_ticks
        .saturating_mul(parts)
        .checked_div(life_ticks)
        .unwrap_or_default()
}

fn per_mille(share: u64) -> String {
    if share > 999 {
        return (share / 10).to_string();
    }
    format!("{}.{}", share / 10, share % 10)
}

/// The time of today, the day of this year, or the year.
fn start(process: &Process, moment: &Moment) -> String {
    let ns_after_boot = process
        .start_ticks
        .saturating_mul(1_000_000_000 / TICKS_PER_SECOND);
    let ago = i128::from(moment.uptime_ns) - i128::from(ns_after_boot);
    let local = |ns: i128| {
        let time = Timestamp::from_nanosecond(ns).unwrap_or_default();
        moment.zone.to_datetime(time)
    };
    let now = local(moment.now_ns.into());
    let started = local(i128::from(moment.now_ns) - ago.max(0));
    let form = if started.date() == now.date() {
        "%H:%M"
    } else if started.year() == now.year() {
        "%b%d"
    } else {
        "%Y"
    };
    started.strftime(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment() -> Moment {
        Moment {
            // 2026-11-27T04:00:00Z
            now_ns: 1_795_752_000_000_000_000,
            uptime_ns: 400 * 86_400 * 1_000_000_000,
            memory_bytes: 1 << 30,
            zone: TimeZone::UTC,
            users: Names::parse("root:x:0:0\nsystemd-network:x:998:998\n"),
            groups: Names::default(),
        }
    }

    fn text(column: Column, process: &Process) -> String {
        column.text(process, &moment())
    }

    /// A process that began so long before [`moment`].
    fn aged(seconds: u64) -> Process {
        Process {
            start_ticks: (400 * 86_400 - seconds) * TICKS_PER_SECOND,
            ..Process::default()
        }
    }

    #[test]
    fn times_are_as_long_as_they_need() {
        let with_cpu = |seconds: u64| Process {
            cpu_ticks: seconds * TICKS_PER_SECOND,
            ..Process::default()
        };
        assert_eq!(text(Column::CpuTime, &with_cpu(61)), "00:01:01");
        assert_eq!(text(Column::CpuTime, &with_cpu(90_061)), "1-01:01:01");
        assert_eq!(text(Column::ShortCpuTime, &with_cpu(3661)), "61:01");
        assert_eq!(text(Column::Elapsed, &aged(61)), "01:01");
        assert_eq!(text(Column::Elapsed, &aged(3661)), "01:01:01");
        assert_eq!(text(Column::ElapsedSeconds, &aged(3661)), "3661");
        assert_eq!(text(Column::Start, &aged(3600)), "03:00");
        assert_eq!(text(Column::Start, &aged(86_400)), "Nov26");
        assert_eq!(text(Column::Start, &aged(399 * 86_400)), "2025");
    }

    #[test]
    fn shares_are_of_the_time_since_the_start() {
        let process = Process {
            cpu_ticks: 25 * TICKS_PER_SECOND,
            resident_kib: 1 << 18,
            ..aged(200)
        };
        assert_eq!(text(Column::CpuShare, &process), "12");
        assert_eq!(text(Column::CpuPercent, &process), "12.5");
        assert_eq!(text(Column::MemoryPercent, &process), "25.0");
        assert_eq!(text(Column::ResidentKib, &process), "262144");
        let busy = Process {
            cpu_ticks: 300 * TICKS_PER_SECOND,
            ..aged(100)
        };
        assert_eq!(text(Column::CpuShare, &busy), "99");
        assert_eq!(text(Column::CpuPercent, &busy), "300");
        assert_eq!(text(Column::CpuPercent, &aged(0)), "0.0");
    }

    #[test]
    fn names_and_states_are_those_of_ps() {
        let process = Process {
            pid: 5,
            session: 5,
            group: 5,
            foreground_group: 5,
            threads: 2,
            nice: -1,
            state: "S".into(),
            user: 998,
            real_user: 77,
            terminal: 34_817,
            ..Process::default()
        };
        assert_eq!(text(Column::States, &process), "S<sl+");
        assert_eq!(text(Column::User, &process), "systemd+");
        assert_eq!(text(Column::RealUser, &process), "77");
        assert_eq!(text(Column::Terminal, &process), "pts/1");
        assert_eq!(terminal(0), "?");
        assert_eq!(terminal(0x0401), "tty1");
        assert_eq!(terminal(0x0440), "ttyS0");
        assert_eq!(terminal(0x0010_8805), "pts/261");
    }

    #[test]
    fn kernel_threads_and_zombies_have_their_names_in_brackets() {
        let process = Process {
            name: "sh".into(),
            ..Process::default()
        };
        assert_eq!(text(Column::CommandLine, &process), "[sh]");
        let zombie = Process {
            state: "Z".into(),
            ..process
        };
        assert_eq!(text(Column::CommandLine, &zombie), "[sh] <defunct>");
        assert_eq!(text(Column::Name, &zombie), "sh <defunct>");
    }
}
