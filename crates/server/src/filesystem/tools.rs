//! Programs that the container has: run with arguments of their own, never through text that a shell would read.

use std::time::Duration;

use bollard::{
    container::LogOutput,
    exec::{CreateExecOptions, StartExecOptions, StartExecResults},
};
use futures_util::StreamExt as _;

use crate::engines::{CallError, Engine};

/// How long a tool may run.
const LIMIT: Duration = Duration::from_mins(1);
/// Longest output that is kept, in bytes.
const LONGEST: usize = 32 * 1024 * 1024;

/// How a tool ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) exit_code: i64,
    pub(crate) output: Vec<u8>,
    /// What it complained of.
    pub(crate) complaint: String,
    /// There was more output than is kept.
    pub(crate) cut: bool,
}

/// Runs a program in a container as root.
///
/// # Errors
/// [`CallError`] when the engine refuses, as for a stopped or frozen container.
pub(crate) async fn run(
    engine: &Engine,
    container: &str,
    command: &[&str],
) -> Result<Done, CallError> {
    let docker = engine.docker()?;
    let work = async {
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            user: Some("0"),
            cmd: Some(command.to_vec()),
            ..Default::default()
        };
        let made = docker.create_exec(container, options).await?;
        let started = docker
            .start_exec(&made.id, None::<StartExecOptions>)
            .await?;
        let (mut output, mut complaint, mut cut) = (Vec::new(), Vec::new(), false);
        if let StartExecResults::Attached {
            output: mut stream, ..
        } = started
        {
            while let Some(piece) = stream.next().await {
                let (kept, bytes) = match piece? {
                    LogOutput::StdErr { message } => (&mut complaint, message),
                    other => (&mut output, other.into_bytes()),
                };
                let room = LONGEST - kept.len();
                cut |= bytes.len() > room;
                kept.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
                if cut {
                    break;
                }
            }
        }
        // The output may end a moment before the engine knows the exit code.
        let mut exit_code = None;
        for _ in 0..40 {
            let seen = docker.inspect_exec(&made.id).await?;
            if seen.running != Some(true) && seen.exit_code.is_some() {
                exit_code = seen.exit_code;
                break;
            }
            if cut {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        Ok(Done {
            exit_code: exit_code.unwrap_or(-1),
            output,
            complaint: String::from_utf8_lossy(&complaint)
                .trim()
                .chars()
                .take(500)
                .collect(),
            cut,
        })
    };
    crate::engines::within(&engine.name, LIMIT, work).await
}
