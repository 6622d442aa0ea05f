//! What a container is made of, as facts that were read and not believed.
//!
//! Every fact carries the file it was read from and a command that shows it. A fact that could not be read (the
//! process ended meanwhile, permission denied) says why and leaves the others as they are.

use serde::{Deserialize, Serialize};

/// Something read from the kernel, or the reason why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact<T> {
    /// What was read.
    pub value: Option<T>,
    /// Why there is no value.
    pub unreadable: Option<String>,
    /// The file.
    pub file: String,
    /// A command that shows it.
    pub command: String,
}

impl<T> Fact<T> {
    /// A fact of a file, with `cat` as its command.
    pub fn of_file(file: impl Into<String>, read: Result<T, String>) -> Self {
        let file = file.into();
        let command = format!("cat {file}");
        Self::with_command(file, command, read)
    }

    /// A fact of a file that another command shows better.
    pub fn with_command(
        file: impl Into<String>,
        command: impl Into<String>,
        read: Result<T, String>,
    ) -> Self {
        let (value, unreadable) = match read {
            Ok(value) => (Some(value), None),
            Err(reason) => (None, Some(reason)),
        };
        Self {
            value,
            unreadable,
            file: file.into(),
            command: command.into(),
        }
    }
}

/// The inside of a container that runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inside {
    /// When it was read, milliseconds since the Unix epoch.
    pub time_ms: i64,
    /// Its first process as the host sees it.
    pub pid: u32,
    /// Each kind of namespace that this kernel has.
    pub namespaces: Vec<Namespace>,
    /// `v1`, `v2` or `hybrid`.
    pub cgroup_mode: String,
    /// Its cgroup in each hierarchy.
    pub cgroups: Fact<Vec<CgroupPath>>,
    /// Limits and live values.
    pub knobs: Vec<Knob>,
    /// Its capabilities.
    pub capabilities: Fact<CapabilitySets>,
    /// Its system call filter.
    pub seccomp: Fact<Seccomp>,
    /// It and its children can gain no rights by executing a program.
    pub no_new_privs: Fact<bool>,
    /// Label or profile of a security module such as AppArmor or SELinux; `unconfined` when it has none.
    pub security_label: Fact<String>,
    /// Added to how readily the kernel kills it when the machine runs out of memory, -1000 to 1000.
    pub oom_score_adj: Fact<i32>,
    /// How user ids inside map to those of the host.
    pub uid_map: Fact<Vec<IdRange>>,
    /// How group ids inside map to those of the host.
    pub gid_map: Fact<Vec<IdRange>>,
    /// What is mounted, in the kernel's order.
    pub mounts: Fact<Vec<Mount>>,
    /// Paths of `/proc` and `/sys` that are hidden behind something empty.
    pub masked_paths: Vec<String>,
    /// Paths of `/proc` and `/sys` that can only be read.
    pub read_only_paths: Vec<String>,
    /// The root file system cannot be written.
    pub read_only_root: Option<bool>,
    /// Layers of the root file system, the writable one first; empty when it is not an overlay.
    pub layers: Fact<Vec<Layer>>,
    /// Its processes, parents before children.
    pub processes: Fact<Vec<Process>>,
    /// Its network interfaces.
    pub interfaces: Fact<Vec<Interface>>,
    /// What listens.
    pub sockets: Fact<Vec<Socket>>,
}

/// A kind of namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum NamespaceKind {
    Pid,
    Mount,
    Network,
    Uts,
    Ipc,
    User,
    Cgroup,
    Time,
}

impl NamespaceKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Pid,
        Self::Mount,
        Self::Network,
        Self::Uts,
        Self::Ipc,
        Self::User,
        Self::Cgroup,
        Self::Time,
    ];

    /// Its link in `/proc/PID/ns`, also its short name.
    pub const fn link(self) -> &'static str {
        match self {
            Self::Pid => "pid",
            Self::Mount => "mnt",
            Self::Network => "net",
            Self::Uts => "uts",
            Self::Ipc => "ipc",
            Self::User => "user",
            Self::Cgroup => "cgroup",
            Self::Time => "time",
        }
    }
}

/// A namespace that the container is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// Which kind.
    pub kind: NamespaceKind,
    /// Its inode number: two processes with the same one share it.
    pub inode: Fact<u64>,
    /// The inode number of the host's, that is, of process 1 (of our own process where that is not permitted).
    pub host_inode: Option<u64>,
    /// The container is in the host's; absent when one of the two is unknown.
    pub shared_with_host: Option<bool>,
}

/// Where a container is in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupPath {
    /// 1 or 2.
    pub version: u8,
    /// What this hierarchy controls; may be empty.
    pub controllers: Vec<String>,
    /// The directory on the host.
    pub directory: String,
}

/// What a knob is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum KnobKind {
    MemoryLimit,
    SwapLimit,
    MemoryReservation,
    OomKills,
    CpuQuota,
    CpuWeight,
    CpuSet,
    MemoryNodes,
    PidsLimit,
    BlockIoRates,
    BlockIoWeight,
}

/// What the numbers of a knob count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Things.
    Count,
    /// 100 is one CPU in full use.
    CpuPercent,
    /// A share against others, in the terms of its cgroup version.
    Weight,
    /// No number: see the text.
    Text,
}

/// A limit of a cgroup with its live value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Knob {
    /// What it is about.
    pub kind: KnobKind,
    /// The controller, by its v2 name.
    pub controller: String,
    /// Version of the hierarchy it is in: 1 or 2.
    pub version: u8,
    /// What its numbers count.
    pub unit: Unit,
    /// The limit; no value and not unreadable: there is none.
    pub limit: Fact<u64>,
    /// For [`Unit::Text`], and for what a number does not say.
    pub text: Option<String>,
    /// What is used now.
    pub current: Option<Fact<u64>>,
}

/// The five sets of capabilities, by names such as `CAP_CHOWN`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapabilitySets {
    /// What it may do now.
    pub effective: Vec<String>,
    /// What it may take up.
    pub permitted: Vec<String>,
    /// What may pass on to a program with file capabilities.
    pub inheritable: Vec<String>,
    /// What it and its children can ever gain.
    pub bounding: Vec<String>,
    /// What passes on to any program.
    pub ambient: Vec<String>,
}

/// All capabilities that Linux has, in the order of their numbers.
pub const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// The names of a mask's bits; a bit beyond the known ones is `CAP_n`.
pub fn capability_names(mask: u64) -> Vec<String> {
    (0..64_usize)
        .filter(|bit| mask >> bit & 1 == 1)
        .map(|bit| {
            CAPABILITIES
                .get(bit)
                .map_or_else(|| format!("CAP_{bit}"), |name| (*name).to_owned())
        })
        .collect()
}

/// How system calls are filtered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeccompMode {
    /// Every system call goes through.
    Disabled,
    /// Only read, write, exit and sigreturn.
    Strict,
    /// A program decides.
    Filter,
}

/// The system call filter of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seccomp {
    /// Whether and how.
    pub mode: SeccompMode,
    /// How many filter programs are attached; absent before Linux 5.9.
    pub filters: Option<u32>,
}

/// A range of user or group ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    /// The first inside.
    pub inside: u32,
    /// The first on the host.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// A mount of the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Where, seen from inside.
    pub target: String,
    /// The device, or a name.
    pub source: String,
    /// The directory of the file system that is mounted; `/` unless it is a bind mount.
    pub root: String,
    /// `overlay`, `tmpfs`, …
    pub file_system: String,
    /// `ro`, `nosuid`, …
    pub options: Vec<String>,
    /// `shared`, `slave`, `private` or `unbindable`.
    pub propagation: String,
    /// It cannot be written.
    pub read_only: bool,
}

/// One layer of an overlay root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Its directory on the host.
    pub directory: String,
    /// The container writes here.
    pub writable: bool,
    /// What it takes on disk; only for the writable one, and only when it is small enough to be counted at once.
    pub size_bytes: Option<u64>,
}

/// A process of the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// As the host sees it.
    pub pid: u32,
    /// As the container sees it.
    pub inner_pid: Option<u32>,
    /// Its parent as the host sees it.
    pub parent_pid: u32,
    /// Its user as the host sees it.
    pub uid: u32,
    /// One letter of `ps`: `R`, `S`, `D`, `T`, `Z`, …
    pub state: char,
    /// Threads.
    pub threads: u32,
    /// Resident memory.
    pub memory_bytes: u64,
    /// Program and arguments; the name in brackets for one without arguments. Untrusted text.
    pub command: String,
}

/// A network interface of the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name inside.
    pub name: String,
    /// Its hardware address.
    pub mac: Option<String>,
    /// Its addresses with prefix length.
    pub addresses: Vec<String>,
    /// Received.
    pub received_bytes_total: u64,
    /// Sent.
    pub sent_bytes_total: u64,
}

/// A socket that waits for connections or packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Socket {
    /// `tcp`, `tcp6`, `udp`, `udp6`.
    pub protocol: String,
    /// The address it is bound to.
    pub address: String,
    /// The port.
    pub port: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capability_names_follow_the_bits() {
        assert_eq!(capability_names(0), Vec::<String>::new());
        assert_eq!(
            capability_names(1 | 1 << 21),
            ["CAP_CHOWN", "CAP_SYS_ADMIN"]
        );
        assert_eq!(capability_names(1 << 50), ["CAP_50"]);
        assert_eq!(capability_names(0x1ff_ffff_ffff).len(), CAPABILITIES.len());
    }
}
