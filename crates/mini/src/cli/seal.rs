//! This program goes on as an unwritable double of itself, unless it is one already (CVE-2019-5736; see [`sys::sealed`]).

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use crate::cli::inherit::Inherited;
use crate::error::{Error, Result};

/// Set for the double. Whoever executes us often does well to execute a double of their own: it is recognised as one.
const MARK: &str = "MINI_IS_DOUBLE";

/// Goes on as the double; what the caller has left open is closed but what is `inherited` on purpose, when that is known:
/// the process of a container that only was created would keep it open for long.
///
/// To be called by the verbs that make processes in a container, which can see what this program is.
///
/// # Errors
/// `Sys`; `Unsupported` where there is no way to protect a program.
pub(crate) fn ensure(inherited: Option<&Inherited>) -> Result<()> {
    let error = |error| Error::sys("seal", "this program", error);
    if sys::sealed::is_sealed().map_err(error)? {
        // Executed by descriptor, the kernel has named us by its number.
        rustix::thread::set_name(c"mini").ok();
        return Ok(());
    }
    if std::env::var_os(MARK).is_some() {
        return Err(Error::unsupported(
            "seal this program: neither an overlay nor a memory file protects it here",
        ));
    }
    let double = sys::sealed::double(Path::new("/proc/self/exe")).map_err(error)?;
    let strings = |strings: Vec<OsString>| {
        strings
            .into_iter()
            // The kernel gave us these: there is no zero byte inside.
            .filter_map(|string| CString::new(string.into_vec()).ok())
            .collect::<Vec<_>>()
    };
    let words: Vec<OsString> = std::env::args_os().collect();
    let environment = std::env::vars_os()
        .chain([(MARK.into(), "1".into())])
        .map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            name
        })
        .collect();
    let path = sys::sealed::path_of(&double).into_os_string().into_vec();
    let path = CString::new(path).map_err(|_| Error::invalid("a path with a zero byte"))?;
    let program = sys::process::Program::new(path, strings(words.clone()), strings(environment));
    if let Some(inherited) = inherited {
        sys::fd::set_cloexec_from(inherited.end())
            .map_err(|error| Error::sys("close_range", "", error))?;
        for number in Inherited::named(words.iter().filter_map(|word| word.to_str())) {
            // One that is not open is said to be so where it is used.
            sys::fd::keep_over_exec(number, 1).ok();
        }
    }
    Err(Error::sys(
        "execute",
        "a sealed double of this program",
        program.execute(),
    )
    .with_hint("a kernel with vm.memfd_noexec=2 permits it only where an overlay is possible"))
}
