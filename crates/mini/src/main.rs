//! The `mini` OCI runtime.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(mini::cli::run(std::env::args_os().skip(1)))
}
