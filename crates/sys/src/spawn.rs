//! Starting a program with descriptors under given numbers.
//!
//! `std::process::Command` passes on standard input, output and error alone; more needs `pre_exec`, with which it forks
//! a copy of the whole process. `posix_spawn` shares memory until the program is executed, so its cost does not grow
//! with the caller, and only C offers it.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::raw::{c_char, c_int};

/// Number from which sources are kept while they are put in place, above every number that is asked for.
const SAFE_NUMBER: c_int = 64;

/// Starts `path` with `argv`, an empty environment and in a session of its own; its descriptor `n` is `descriptors[n]`,
/// and it has no others that are close-on-exec. All signals are unblocked and have their default action (but for the C
/// library's own two, 32 and 33, which it leaves ignored). Returns the id of the child, which the caller waits for.
///
/// # Errors
/// `EINVAL` for more than 64 descriptors, else the errno of `posix_spawn`, among them that of `execve`.
///
/// Source: `man 3 posix_spawn`.
pub fn spawn(path: &CStr, argv: &[CString], descriptors: &[BorrowedFd<'_>]) -> io::Result<i32> {
    let targets = c_int::try_from(descriptors.len())
        .ok()
        .filter(|count| *count <= SAFE_NUMBER)
        .ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
    // A source may have the number that another one is to get.
    let sources = descriptors
        .iter()
        .map(|fd| rustix::io::fcntl_dupfd_cloexec(fd.as_fd(), SAFE_NUMBER))
        .collect::<Result<Vec<OwnedFd>, _>>()?;
    let mut actions = Actions::new()?;
    for (source, target) in sources.iter().zip(0..targets) {
        actions.duplicate(source.as_fd(), target)?;
    }
    let attributes = Attributes::session_with_default_signals()?;
    let argv: Vec<*mut c_char> = argv
        .iter()
        .map(|argument| argument.as_ptr().cast_mut())
        .chain([std::ptr::null_mut()])
        .collect();
    let envp: [*mut c_char; 1] = [std::ptr::null_mut()];
    let mut pid: libc::pid_t = 0;
    // SAFETY: all pointers outlive the call; both arrays end with a null pointer and hold terminated strings, which
    // posix_spawn only reads; actions and attributes are initialised.
    let result = unsafe {
        libc::posix_spawn(
            &raw mut pid,
            path.as_ptr(),
            &raw const actions.0,
            &raw const attributes.0,
            argv.as_ptr(),
            envp.as_ptr(),
        )
    };
    check(result).map(|()| pid)
}

fn check(result: c_int) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(result))
    }
}

struct Actions(libc::posix_spawn_file_actions_t);

impl Actions {
    fn new() -> io::Result<Self> {
        let mut actions = std::mem::MaybeUninit::uninit();
        // SAFETY: init writes the whole object, or fails, and then it is not used.
        check(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
        // SAFETY: initialised just above.
        Ok(Self(unsafe { actions.assume_init() }))
    }

    fn duplicate(&mut self, source: BorrowedFd<'_>, target: c_int) -> io::Result<()> {
        // SAFETY: the object is initialised; numbers are only noted, and used while `source` is still open.
        check(unsafe {
            libc::posix_spawn_file_actions_adddup2(&raw mut self.0, source.as_raw_fd(), target)
        })
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: initialised, and destroyed only here.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    fn session_with_default_signals() -> io::Result<Self> {
        const SETSID: c_int = 0x80;
        let mut attributes = std::mem::MaybeUninit::uninit();
        // SAFETY: init writes the whole object, or fails, and then it is not used.
        check(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
        // SAFETY: initialised just above.
        let mut attributes = Self(unsafe { attributes.assume_init() });
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigfillset writes the whole set.
        unsafe { libc::sigfillset(set.as_mut_ptr()) };
        // SAFETY: the set is initialised, and copied by the call.
        check(unsafe { libc::posix_spawnattr_setsigdefault(&raw mut attributes.0, set.as_ptr()) })?;
        // SAFETY: sigemptyset writes the whole set.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: the set is initialised, and copied by the call.
        check(unsafe { libc::posix_spawnattr_setsigmask(&raw mut attributes.0, set.as_ptr()) })?;
        let flags = libc::POSIX_SPAWN_SETSIGDEF | libc::POSIX_SPAWN_SETSIGMASK | SETSID;
        let flags = libc::c_short::try_from(flags)
            .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
        // SAFETY: the object is initialised.
        check(unsafe { libc::posix_spawnattr_setflags(&raw mut attributes.0, flags) })?;
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised, and destroyed only here.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn run(path: &CStr, words: &[&str], extra: &[BorrowedFd<'_>]) -> (String, i32) {
        let (mut reader, writer) = io::pipe().unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        let argv: Vec<_> = words
            .iter()
            .map(|word| CString::new(*word).unwrap())
            .collect();
        let mut descriptors = vec![null.as_fd(), writer.as_fd(), writer.as_fd()];
        descriptors.extend_from_slice(extra);
        let pid = spawn(path, &argv, &descriptors).unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        let pid = rustix::process::Pid::from_raw(pid);
        let (_, status) = rustix::process::waitpid(pid, rustix::process::WaitOptions::empty())
            .unwrap()
            .unwrap();
        (text, status.exit_status().unwrap())
    }

    #[test]
    fn a_program_gets_the_descriptors_and_nothing_else() {
        let extra = tempfile::tempfile().unwrap();
        let script = "ls /proc/$$/fd | sort -n | tr '\\n' ' '; env | grep -c =; exit 3";
        let words = ["sh", "-c", script];
        let (text, status) = run(c"/bin/sh", &words, &[extra.as_fd(), extra.as_fd()]);
        // The shell sets PWD and the like for itself; nothing of ours is among it.
        assert!(text.starts_with("0 1 2 3 4 "), "{text}");
        assert_eq!(status, 3);
        assert!(!text.contains("CARGO"));
    }

    #[test]
    fn it_leads_a_session_with_default_signals() {
        // No shell: that blocks signals of its own while it waits.
        let words = ["cat", "/proc/self/stat", "/proc/self/status"];
        let (text, _) = run(c"/bin/cat", &words, &[]);
        let fields: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(fields.first(), fields.get(5), "{text}");
        assert!(text.contains("SigBlk:\t0000000000000000"), "{text}");
        let ignored = text.split("SigIgn:\t").nth(1).unwrap();
        let ignored = ignored.lines().next().unwrap();
        let of_the_c_library = 0b11 << 31;
        let ignored = u64::from_str_radix(ignored, 16).unwrap();
        assert_eq!(ignored & !of_the_c_library, 0, "{text}");
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error_at_once() {
        let error = spawn(c"/nonexistent", &[], &[]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
    }
}
