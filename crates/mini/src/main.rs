//! The `mini` OCI runtime.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    if Path::new(&name)
        .file_name()
        .is_some_and(|name| name == mini::reaper::NAME)
    {
        return ExitCode::from(mini::reaper::run(arguments));
    }
    ExitCode::from(mini::cli::run(arguments))
}
