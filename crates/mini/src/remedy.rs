//! What usually helps when the kernel refuses an operation.
//!
//! The place that knows more says more, by [`crate::error::Error::with_hint`].

use rustix::io::Errno;

/// What would help, by the operation that an error names and the errno; empty when the two do not tell.
///
/// No remedy has the words of an errno in it: clients look for those to tell failures apart.
pub(crate) fn of(operation: &str, errno: Errno) -> &'static str {
    match of_operation(operation, errno) {
        "" => of_errno(errno),
        remedy => remedy,
    }
}

fn of_operation(operation: &str, errno: Errno) -> &'static str {
    match (operation, errno) {
        ("open the bundle", Errno::NOENT | Errno::NOTDIR) => {
            "--bundle (or the current directory) must be the directory that config.json is in"
        }
        ("make", Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::NOTDIR) => {
            "the state is kept below --root: name a directory that this user may write to"
        }
        ("prepare root" | "open root" | "find the mount of", Errno::NOENT | Errno::NOTDIR) => {
            "root.path must be the directory of the root file system, absolute or relative to the bundle"
        }
        ("prepare root" | "open root", Errno::ACCESS) => {
            "the container's root must get through all directories above root.path: chmod o+x"
        }
        ("bind mount of", Errno::NOENT) => {
            "the source does not exist on the host: make it first, or correct mounts[].source"
        }
        ("bind mount of", Errno::NOTDIR) => {
            "a part of mounts[].source is a file: correct it, or make the directories"
        }
        ("bind mount of", Errno::LOOP) => "the source is a symbolic link that leads in a circle",
        ("mount", Errno::NOTDIR) => {
            "source and destination must be of one kind, both files or both directories, and no part of their paths a file"
        }
        ("mount", Errno::BUSY) => {
            "the file system is in use elsewhere with other options, or as another overlay's upperdir or workdir"
        }
        ("make in the container" | "open in the container", Errno::NOTDIR) => {
            "a part of this path is a file in the container: correct the path, or the image"
        }
        ("make in the container", Errno::ROFS) => {
            "what it would be made in is mounted read-only: let the image have it, or mount something writable there first"
        }
        ("make in the container" | "open in the container", Errno::ACCESS) => {
            "the container's root must have the right to write there: look at owner and mode in the image"
        }
        ("chdir to cwd", Errno::NOTDIR) => "process.cwd names a file: name a directory",
        ("chdir to cwd", Errno::ACCESS) => {
            "process.user may not enter process.cwd: change the directory's owner or mode, or the user"
        }
        ("open namespace", Errno::ACCESS | Errno::PERM) => {
            "the process that the namespace is of is another user's"
        }
        ("sethostname" | "setdomainname", Errno::INVAL) => "a name has at most 64 bytes",
        ("setuid" | "setgid" | "setgroups", Errno::INVAL) => {
            "the id is not among the ids of the user namespace: map it in linux.uidMappings or linux.gidMappings"
        }
        ("connect to the console socket", Errno::NOENT | Errno::CONNREFUSED) => {
            "whoever takes the terminal must listen on --console-socket before the container is made"
        }
        ("connect to the pidfd socket", Errno::NOENT | Errno::CONNREFUSED) => {
            "whoever takes the pidfd must listen on --pidfd-socket before the container is made"
        }
        ("write the pid file", Errno::NOENT | Errno::NOTDIR) => {
            "the directory of --pid-file must exist already"
        }
        ("write the pid file", Errno::ACCESS | Errno::PERM | Errno::ROFS) => {
            "the directory of --pid-file must be writable for this user"
        }
        ("load", Errno::INVAL) => {
            "the kernel must have CONFIG_SECCOMP_FILTER, and know the flags in linux.seccomp.flags"
        }
        ("mknod", Errno::NOTDIR | Errno::NOENT) => "linux.devices[].path must be a path below /dev",
        ("clone3" | "unshare", Errno::PERM) => {
            "making namespaces needs root (CAP_SYS_ADMIN) or a new user namespace"
        }
        ("clone3" | "unshare", Errno::INVAL) => {
            "the kernel was built without one of the kinds of namespaces in linux.namespaces"
        }
        ("clone3", Errno::NOSPC) => {
            "a limit in /proc/sys/user/max_*_namespaces is reached; 0 turns that kind off"
        }
        ("clone3", Errno::AGAIN) => {
            "a limit of processes is reached: ulimit -u, pids.max of our cgroup, or kernel.pid_max"
        }
        ("run" | "execute", Errno::NOENT) => "install it, or correct its path",
        _ => "",
    }
}

fn of_errno(errno: Errno) -> &'static str {
    match errno {
        Errno::NOSYS => {
            "the kernel is too old or lacks this system call; Linux 5.15 or newer is needed"
        }
        Errno::NOSPC => "free space or inodes there: df -h and df -i show what is used",
        Errno::DQUOT => "the user's quota is used up: quota shows it",
        Errno::ROFS => "it is mounted read-only: remount it writable, or choose another place",
        Errno::MFILE => "too many descriptors are open here: raise ulimit -n",
        Errno::NFILE => "too many files are open on this machine: raise fs.file-max",
        Errno::NOMEM => {
            "the kernel has no memory for it: free some, or raise the limit of our cgroup"
        }
        Errno::NAMETOOLONG => "a name has at most 255 bytes, a path 4095",
        Errno::LOOP => "too many symbolic links: one of them leads in a circle",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operation_says_more_than_the_errno() {
        assert!(of("clone3", Errno::NOSPC).contains("max_*_namespaces"));
        assert!(of("write", Errno::NOSPC).contains("df -i"));
        assert!(of("clone3", Errno::NOSYS).contains("5.15"));
        assert_eq!(of("read", Errno::NOENT), "");
    }
}
