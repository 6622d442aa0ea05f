//! Session keyrings. `rustix` has no `keyctl`.

use std::ffi::CStr;
use std::io;

use crate::fd::check;

/// Gives the process a new session keyring of this name, so that it does not see that of its parent.
///
/// # Errors
/// The errno of `keyctl`; `ENOSYS` when the kernel has no keyrings.
///
/// Source: `man 2 keyctl`, `KEYCTL_JOIN_SESSION_KEYRING`.
pub fn join_session(name: &CStr) -> io::Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;
    // SAFETY: `name` is a terminated string that outlives the call.
    let result =
        unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) };
    check(result)
}
