//! Figures that the server reads from cgroups are those that the engine tells.

use bollard::{
    models::{ContainerStatsResponse, HostConfig},
    query_parameters::StatsOptionsBuilder,
};
use futures_util::StreamExt as _;

use crate::house::House;

/// Processor time and the engine's clock, in nanoseconds.
fn cpu(stats: &ContainerStatsResponse) -> (f64, f64) {
    let cpu = stats.cpu_stats.as_ref().unwrap();
    let total = cpu.cpu_usage.as_ref().unwrap().total_usage.unwrap();
    let read = stats
        .read
        .as_ref()
        .unwrap()
        .parse::<jiff::Timestamp>()
        .unwrap();
    #[expect(
        clippy::cast_precision_loss,
        reason = "shares of a processor, for a comparison within percents"
    )]
    (total as f64, read.as_nanosecond() as f64)
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_figures_agree_with_the_engines_own() {
    let house = House::open().await;
    house.connected("docker").await;
    let limits = HostConfig {
        nano_cpus: Some(300_000_000),
        memory: Some(128 << 20),
        pids_limit: Some(50),
        ..Default::default()
    };
    let script = "lab mem 40m --hold forever & exec lab cpu --threads 1";
    let id = house.run(&["sh", "-c", script], limits).await;
    let options = StatsOptionsBuilder::new().stream(true).build();
    let samples: Vec<ContainerStatsResponse> = house
        .docker
        .stats(&id, Some(options))
        .take(7)
        .map(Result::unwrap)
        .collect()
        .await;
    let told = house
        .get(&format!("/engines/docker/containers/{id}/stats?range_s=60"))
        .await;
    house.remove(&id).await;

    // The same seconds of both, the first ones left out while the program starts.
    let ((from_ns, from), (to_ns, to)) = (cpu(&samples[2]), cpu(&samples[6]));
    let engine_percent = (to_ns - from_ns) / (to - from) * 100.0;
    let points: Vec<_> = told["points"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|point| {
            let at = point["time_ms"].as_f64().unwrap() * 1e6;
            at > from + 0.5e9 && at <= to + 0.5e9
        })
        .collect();
    assert!(points.len() >= 3, "{told}");
    let figure = |name: &'static str| {
        points
            .iter()
            .map(move |point| point[name].as_f64().unwrap())
    };
    #[expect(clippy::cast_precision_loss, reason = "a few points")]
    let own_percent = figure("cpu_percent").sum::<f64>() / points.len() as f64;
    assert!(
        (own_percent - engine_percent).abs() < 3.0,
        "{own_percent} and {engine_percent}"
    );
    // A busy machine may give less than the limit, never more.
    assert!((3.0..33.0).contains(&own_percent), "{own_percent}");

    let memory = samples[6].memory_stats.as_ref().unwrap();
    let stat = |name: &str| memory.stats.as_ref().and_then(|all| all.get(name)).copied();
    let inactive = stat("total_inactive_file")
        .or(stat("inactive_file"))
        .unwrap_or(0);
    #[expect(
        clippy::cast_precision_loss,
        reason = "bytes, for a comparison within a MiB"
    )]
    let engine_bytes = (memory.usage.unwrap() - inactive) as f64;
    let own_bytes = figure("memory_working_set_bytes").next_back().unwrap();
    assert!(
        (own_bytes - engine_bytes).abs() < 1_048_576.0,
        "{own_bytes} and {engine_bytes}"
    );
    assert!(own_bytes > 40_000_000.0);
    let last = points.last().unwrap();
    assert_eq!(told["source"], "cgroup");
    assert_eq!(last["memory_limit_bytes"], 128 << 20);
    assert_eq!(last["cpu_limit_percent"], 30.0);
    assert_eq!(last["pids_limit"], 50);
    let pids = samples[6].pids_stats.as_ref().unwrap().current.unwrap();
    assert_eq!(last["pids"], pids);
    house.close().await;
}
