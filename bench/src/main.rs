//! Create → start → wait → remove of `/bin/true`, and exec of `true`, over the API of Mini and of dockerd, one after the
//! other in each round with the order changing, back to back and with pauses of 100 ms (what a person feels: the kernel
//! charges the first move between control groups after a pause).
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measuring program prints and stops at the first surprise"
)]

use std::time::{Duration, Instant};

use conformance::Engine;
use serde_json::{Value, json};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// A container's whole life with the default network.
    Life,
    /// The same without a network.
    LifeWithoutNetwork,
    /// `true` in a running container.
    Exec,
}

impl Act {
    const ALL: [(Self, &'static str); 3] = [
        (Self::Life, "create+start+wait+remove"),
        (Self::LifeWithoutNetwork, "the same, network none"),
        (Self::Exec, "exec of true"),
    ];
}

async fn act(engine: &Engine, act: Act, running: &conformance::Container) -> Duration {
    let started = Instant::now();
    match act {
        Act::Life | Act::LifeWithoutNetwork => {
            let network = if act == Act::Life { "bridge" } else { "none" };
            let container = engine
                .create(
                    &["/bin/true"],
                    json!({"HostConfig": {"NetworkMode": network}}),
                )
                .await;
            container.start().await;
            assert_eq!(container.wait().await, 0);
            engine.delete(&container.path("")).await.expect(204);
        }
        Act::Exec => {
            let id = running
                .exec_create(json!({"AttachStdout": true, "Cmd": ["true"]}))
                .await;
            engine
                .hijack(&format!("/exec/{id}/start"), &Value::Null)
                .await
                .rest()
                .await;
        }
    }
    started.elapsed()
}

/// Minimum, median and 95th percentile in milliseconds.
fn summary(samples: &mut [Duration]) -> [f64; 3] {
    samples.sort_unstable();
    let at = |index: usize| samples[index.min(samples.len() - 1)].as_secs_f64() * 1e3;
    [at(0), at(samples.len() / 2), at(samples.len() * 95 / 100)]
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let rounds: usize = std::env::args()
        .nth(1)
        .map_or(30, |argument| argument.parse().unwrap());
    let engines = [Engine::mini("bench"), Engine::docker("bench")];
    let mut running = Vec::new();
    for engine in &engines {
        running.push(engine.start(&["sleep", "100000"], json!({})).await);
    }
    println!("{rounds} rounds, interleaved, milliseconds: minimum, median, p95");
    for pause in [Duration::ZERO, Duration::from_millis(100)] {
        for (what, name) in Act::ALL {
            let mut samples = [Vec::new(), Vec::new()];
            for round in 0..=rounds {
                for turn in 0..2 {
                    let index = (round + turn) % 2;
                    tokio::time::sleep(pause).await;
                    let time = act(&engines[index], what, &running[index]).await;
                    // The first round warms up.
                    if round > 0 {
                        samples[index].push(time);
                    }
                }
            }
            let [mini, docker] = samples.each_mut().map(|samples| summary(samples));
            println!(
                "{name:<26} pause {:>3} ms   mini {:7.1} {:7.1} {:7.1}   dockerd {:7.1} {:7.1} {:7.1}   {:5.1} x by median",
                pause.as_millis(),
                mini[0],
                mini[1],
                mini[2],
                docker[0],
                docker[1],
                docker[2],
                docker[1] / mini[1]
            );
        }
    }
    for engine in engines {
        engine.tidy().await;
    }
}
