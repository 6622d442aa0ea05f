//! The `containeros` command: `serve`, `engine`, `doctor`, `user`, `token`, `audit`, `config`. Nothing but wiring.

mod arguments;
mod audit;
mod doctor;
mod host;
mod serve;
mod settings;
mod state;
mod terminal;
mod token;
mod user;

use std::{io::Write as _, process::ExitCode};

use anyhow::Context as _;
use arguments::{Arguments, Command};
use clap::Parser as _;
use settings::Settings;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            // Standard error may be closed; there is nowhere else to say it.
            drop(writeln!(
                std::io::stderr(),
                "containeros: {}",
                chain(&error)
            ));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let settings = Settings::gather(&arguments.options)?;
    start_log(&settings)?;
    server::process::keep_memory_private();
    // Two threads carry everything that waits; what blocks has threads of its own. More would only take memory.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 4)))
        .max_blocking_threads(128)
        .thread_keep_alive(std::time::Duration::from_secs(2))
        .enable_all()
        .build()
        .context("start the runtime")?;
    let code = runtime.block_on(async {
        match arguments.command {
            Command::Serve(options) => serve::serve(&settings, &options)
                .await
                .map(|()| ExitCode::SUCCESS),
            Command::Engine => serve::engine(&settings).await.map(|()| ExitCode::SUCCESS),
            Command::Doctor(options) => doctor::run(&settings, options.json).await,
            Command::User(command) => user::run(&settings, command)
                .await
                .map(|()| ExitCode::SUCCESS),
            Command::Token(command) => token::run(&settings, command)
                .await
                .map(|()| ExitCode::SUCCESS),
            Command::Audit(arguments::AuditCommand::Verify) => audit::verify(&settings),
            Command::Config => settings.print().map(|()| ExitCode::SUCCESS),
        }
    });
    // A blocking call that hangs must not keep the process: containers and state do not depend on it.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    code
}

/// An error with its causes; one that a message holds already is not said twice.
fn chain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Messages go to standard error; what a person asked for goes to standard output.
fn start_log(settings: &Settings) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(&settings.log)
        .with_context(|| format!("read the log setting {:?}", settings.log))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match settings.log_format {
        settings::LogFormat::Json => builder.json().init(),
        settings::LogFormat::Text => {
            let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
            builder.with_ansi(colours).with_target(false).init();
        }
    }
    Ok(())
}
