//! What a container is made of: read from the live kernel where it is in reach, else as its engine's record declares it; and why it
//! ended when it does not run.

#[expect(
    clippy::cast_precision_loss,
    reason = "processors in thousandths are small"
)]
mod declared;
mod exit;
mod measured;

use api::{
    id::EngineName,
    inside::{Certainty, Inside},
};
use bollard::models::ContainerInspectResponse;

pub use exit::{explain, explain_with_evidence};

/// The inside of a container as it is now. `local`: its engine runs on this machine.
pub async fn inside(engine: &EngineName, found: &ContainerInspectResponse, local: bool) -> Inside {
    let state = found.state.clone().unwrap_or_default();
    let pid = state
        .pid
        .and_then(|pid| u32::try_from(pid).ok())
        .filter(|pid| *pid > 0);
    let id = found.id.clone().unwrap_or_default();
    let why_not = match (pid, local) {
        (None, _) => format!("The container does not run: this is what its record declares. {}", exit_sentence(found)),
        (Some(_), false) => {
            "The engine runs on another machine, whose kernel this server cannot read: declared, not measured.".to_owned()
        }
        (Some(pid), true) => {
            let looked = tokio::task::spawn_blocking(move || observe::inside(pid)).await;
            match looked {
                Ok(Ok(read)) => return measured::inside(engine, id, &read),
                Ok(Err(error)) => format!("The kernel could not be read ({error}): declared, not measured."),
                Err(_) => "The kernel could not be read: declared, not measured.".to_owned(),
            }
        }
    };
    Inside {
        certainty: Certainty::Declared,
        ..declared::inside(engine, id, found, vec![why_not])
    }
}

fn exit_sentence(found: &ContainerInspectResponse) -> String {
    explain(found, &[], false).map_or_else(
        || "It was never started.".to_owned(),
        |exit| format!("Last time: {}. {}", exit.title, exit.sentence),
    )
}
