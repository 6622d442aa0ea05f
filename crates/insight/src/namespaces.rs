//! What each kind of namespace isolates.

use observe::inside::NamespaceKind;

/// Its name in words.
pub const fn title(kind: NamespaceKind) -> &'static str {
    match kind {
        NamespaceKind::Pid => "Process ids",
        NamespaceKind::Mount => "Mounts",
        NamespaceKind::Network => "Network",
        NamespaceKind::Uts => "Host name",
        NamespaceKind::Ipc => "Shared memory and message queues",
        NamespaceKind::User => "Users",
        NamespaceKind::Cgroup => "View of control groups",
        NamespaceKind::Time => "Clocks",
    }
}

/// What it means that a container has its own, shares the host's, or that this is not known.
pub const fn sentence(kind: NamespaceKind, shared_with_host: Option<bool>) -> &'static str {
    match shared_with_host {
        Some(false) => own(kind),
        Some(true) => shared(kind),
        None => "Whether the container has its own could not be read.",
    }
}

/// What a namespace of its own stops.
const fn own(kind: NamespaceKind) -> &'static str {
    match kind {
        NamespaceKind::Pid => {
            "The container counts its own processes from 1 and can neither see nor signal those of the host."
        }
        NamespaceKind::Mount => {
            "The container has its own tree of mounts; what it mounts does not appear on the host."
        }
        NamespaceKind::Network => {
            "The container has its own interfaces, addresses, ports and firewall; a port opened in it is not open on the host."
        }
        NamespaceKind::Uts => {
            "The container has its own host name; changing it does not change the host's."
        }
        NamespaceKind::Ipc => {
            "System V shared memory, semaphores and message queues of the host cannot be reached from the container."
        }
        NamespaceKind::User => {
            "User 0 in the container is an ordinary user on the host, so breaking out of it does not give root."
        }
        NamespaceKind::Cgroup => {
            "The container sees its own control group as the root and does not learn where it is on the host."
        }
        NamespaceKind::Time => {
            "The container's clocks of time since boot have their own offset; the wall clock is always shared."
        }
    }
}

/// What follows when it is the host's.
const fn shared(kind: NamespaceKind) -> &'static str {
    match kind {
        NamespaceKind::Pid => {
            "Shared with the host: the container sees every process of the machine and, with the rights for it, can signal and trace them."
        }
        NamespaceKind::Mount => {
            "Shared with the host: the container sees and changes the machine's own mounts."
        }
        NamespaceKind::Network => {
            "Shared with the host: the container uses the machine's interfaces and ports directly, also those that listen on loopback only."
        }
        NamespaceKind::Uts => {
            "Shared with the host: with the rights for it the container can rename the machine."
        }
        NamespaceKind::Ipc => {
            "Shared with the host: the container can reach shared memory and message queues of other programs, as far as their owner permits."
        }
        NamespaceKind::User => {
            "Shared with the host: user 0 in the container is root on the machine, held back only by capabilities, seccomp and the other walls."
        }
        NamespaceKind::Cgroup => {
            "Shared with the host: the container can read its full control group path, which tells the engine and its id."
        }
        NamespaceKind::Time => {
            "Shared with the host: time since boot is the machine's. This is usual; engines do not separate it."
        }
    }
}

/// Sharing it is a weakness worth a warning. User and time namespaces are the host's with the default settings of both engines, so
/// a warning there would be on every container.
pub const fn sharing_is_unusual(kind: NamespaceKind) -> bool {
    !matches!(kind, NamespaceKind::User | NamespaceKind::Time)
}

/// The flag of `docker run` that shares it with the host, where there is one.
pub const fn flag(kind: NamespaceKind) -> Option<&'static str> {
    match kind {
        NamespaceKind::Pid => Some("--pid=host"),
        NamespaceKind::Network => Some("--network=host"),
        NamespaceKind::Uts => Some("--uts=host"),
        NamespaceKind::Ipc => Some("--ipc=host"),
        NamespaceKind::User => Some("--userns=host"),
        NamespaceKind::Cgroup => Some("--cgroupns=host"),
        NamespaceKind::Mount | NamespaceKind::Time => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_different_sentences_for_own_and_shared() {
        for kind in NamespaceKind::ALL {
            let (own, shared) = (sentence(kind, Some(false)), sentence(kind, Some(true)));
            assert_ne!(own, shared);
            assert!(shared.starts_with("Shared with the host: "), "{shared}");
            assert!(own.ends_with('.') && shared.ends_with('.'));
        }
    }
}
