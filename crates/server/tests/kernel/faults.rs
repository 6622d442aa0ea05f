//! A real engine that stops answering.

use std::time::{Duration, Instant};

use bollard::models::HostConfig;

use crate::house::House;

/// The process that listens on the engine's socket, stopped; goes on when this is dropped.
struct Stopped(rustix::process::Pid);

impl Stopped {
    fn stop(socket: &str) -> Self {
        let stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
        let pid = rustix::net::sockopt::socket_peercred(&stream).unwrap().pid;
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
        Self(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        rustix::process::kill_process(self.0, rustix::process::Signal::CONT).unwrap();
    }
}

/// Figures come from the kernel, so they go on while the engine is stopped; that it is stopped is told within two seconds.
#[tokio::test(flavor = "multi_thread")]
async fn kernel_an_engine_that_hangs_is_told_while_figures_go_on() {
    let house = House::open_alone().await;
    house.connected("docker").await;
    let id = house.run(&["sleep", "300"], HostConfig::default()).await;
    let stats = format!("/engines/docker/containers/{id}/stats");
    house
        .until(&stats, |told| {
            told["points"]
                .as_array()
                .is_some_and(|points| points.len() >= 2)
        })
        .await;
    let url = std::env::var("CONTAINEROS_TEST_DOCKER").unwrap();
    let stopped = Stopped::stop(url.trim_start_matches("unix://"));
    let begun = Instant::now();
    let engine = house
        .until("/engines/docker", |engine| engine["state"] == "unreachable")
        .await;
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    assert!(
        engine["reason"]
            .as_str()
            .unwrap()
            .contains("does not answer"),
        "{engine}"
    );
    let points = async || house.get(&stats).await["points"].as_array().unwrap().len();
    let before = points().await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(points().await >= before + 2, "figures go on");
    drop(stopped);
    house.connected("docker").await;
    assert!(begun.elapsed() < Duration::from_secs(10));
    house.remove(&id).await;
    house.close().await;
}
