//! `audit`: the log's chain of hashes, checked without the server.

use std::{io::Write as _, process::ExitCode};

use anyhow::Context as _;

use crate::settings::Settings;

/// Checks the chain and tells how it is.
pub(crate) fn verify(settings: &Settings) -> anyhow::Result<ExitCode> {
    let directory = settings.state_dir.join("server");
    anyhow::ensure!(
        directory.is_dir(),
        "there is no audit log in {}: name the state directory with --state-dir",
        settings.state_dir.display()
    );
    let verified = server::audit::verify(&directory)?;
    let mut out = std::io::stdout();
    match &verified.broken_at {
        None => writeln!(
            out,
            "whole: {} lines, the last with hash {}",
            verified.lines, verified.last_hash
        ),
        Some(place) => writeln!(
            out,
            "BROKEN at {place}, after {} whole lines: a line was changed, moved or taken out there",
            verified.lines
        ),
    }
    .context("print")?;
    Ok(if verified.whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
