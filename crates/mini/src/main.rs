//! The `mini` OCI runtime.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    let name = Path::new(&name)
        .file_name()
        .map_or_else(|| "mini".into(), |name| name.to_string_lossy());
    if name == mini::reaper::NAME {
        return ExitCode::from(mini::reaper::run(arguments));
    }
    ExitCode::from(mini::cli::run(&name, arguments))
}
