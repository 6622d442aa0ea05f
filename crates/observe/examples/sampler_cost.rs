//! What it costs to sample many containers: `cargo run --release -p observe --example sampler_cost -- 500`. Needs root.
//!
//! Makes that many cgroups with a sleeping process each, samples them all 20 times, and says how much CPU one
//! round takes, which at one round a second is the share of a core.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement")]

#[cfg(target_os = "linux")]
fn main() {
    use std::process::{Command, Stdio};
    use std::time::Duration;

    const ROUNDS: u32 = 20;
    let count: usize = std::env::args()
        .nth(1)
        .map_or(500, |text| text.parse().unwrap());
    let layout = cgroups::Layout::detect().unwrap();
    let parent = format!("/sampler-cost-{}", std::process::id());
    let patience = Duration::from_secs(10);
    let mut sampler = observe::Sampler::new().unwrap();
    let mut all = Vec::with_capacity(count);
    for number in 0..count {
        let cgroup = cgroups::Cgroup::create(&layout, &format!("{parent}/{number}")).unwrap();
        let child = Command::new("unshare")
            .args(["--net", "sleep", "1000"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        cgroup.add_process(child.id()).unwrap();
        // Until unshare is sleep: its network namespace is the one that is watched.
        let command = format!("/proc/{}/comm", child.id());
        while std::fs::read_to_string(&command).unwrap().trim() != "sleep" {
            std::thread::yield_now();
        }
        sampler.watch(&number.to_string(), child.id()).unwrap();
        all.push((cgroup, child));
    }
    let cpu_ns = || {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        u64::try_from(now.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap()
    };
    sampler.sample_all();
    let before = cpu_ns();
    for _ in 0..ROUNDS {
        let round = sampler.sample_all();
        assert!(round.iter().all(|(_, outcome)| outcome.is_ok()));
    }
    let round_us = (cpu_ns() - before) / u64::from(ROUNDS) / 1000;
    println!(
        "{count} containers: {}.{:03} ms CPU a round ({}.{:02} % of a core at 1 Hz)",
        round_us / 1000,
        round_us % 1000,
        round_us / 10_000,
        round_us / 100 % 100
    );
    for (cgroup, mut child) in all {
        cgroup.kill_all(patience).unwrap();
        child.wait().unwrap();
        cgroup.remove(patience).unwrap();
    }
    cgroups::Cgroup::open(&layout, &parent)
        .unwrap()
        .remove(patience)
        .unwrap();
}

#[cfg(not(target_os = "linux"))]
fn main() {}
