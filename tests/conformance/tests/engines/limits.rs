//! Limits bite, and are shown as such.

use std::time::Duration;

use conformance::{Engine, on_both, until};
use serde_json::json;

on_both! {
    async fn a_program_over_its_memory_limit_is_killed_and_shown_so(engine: &Engine) {
        let limit = json!({"HostConfig": {"Memory": 32 << 20, "MemorySwap": 32 << 20}});
        let container = engine.start(&["lab", "mem", "64M"], limit).await;
        assert_eq!(container.wait().await, 137);
        until("OOMKilled", || async { (container.inspect().await["State"]["OOMKilled"] == true).then_some(()) }).await;
        let events = container.events().await;
        assert!(events.iter().any(|event| event == "oom"), "{events:?}");
    }

    async fn half_a_cpu_holds_a_busy_loop_to_a_half(engine: &Engine) {
        let container = engine.start(&["sh", "-c", "while :; do :; done"], json!({"HostConfig": {"NanoCpus": 500_000_000}})).await;
        let used = || async { engine.get(&container.path("/stats?stream=0&one-shot=1")).await.expect(200).json()["cpu_stats"]["cpu_usage"]["total_usage"].as_f64().unwrap() };
        // A machine that is busy with other things gives it less: measured again then. More is never right.
        let mut shares = Vec::new();
        for _ in 0..4 {
            let (before, started) = (used().await, std::time::Instant::now());
            tokio::time::sleep(Duration::from_secs(5)).await;
            let share = (used().await - before) / (started.elapsed().as_secs_f64() * 1e9);
            assert!(share <= 0.55, "{share}");
            shares.push(share);
            if share >= 0.45 {
                return;
            }
        }
        panic!("never a half: {shares:?}");
    }

    async fn a_fork_bomb_stops_at_the_pids_limit(engine: &Engine) {
        let container = engine.start(&["lab", "fork", "200"], json!({"HostConfig": {"PidsLimit": 32}})).await;
        let script = "for i in $(seq 100); do sleep 1000 & done 2>/dev/null; wait";
        let second = engine.start(&["sh", "-c", script], json!({"HostConfig": {"PidsLimit": 32}})).await;
        for container in [container, second] {
            tokio::time::sleep(Duration::from_millis(500)).await;
            if container.state().await == "running" {
                let stats = engine.get(&container.path("/stats?stream=0&one-shot=1")).await.expect(200).json();
                let current = stats["pids_stats"]["current"].as_u64().unwrap_or(0);
                assert!(current <= 32, "{current}");
            } else {
                assert_ne!(container.wait().await, 0);
            }
        }
    }

    async fn limits_are_what_the_kernel_has(engine: &Engine) {
        let limits = json!({"HostConfig": {"Memory": 64 << 20, "MemorySwap": 128 << 20, "CpuShares": 512, "CpuQuota": 30_000, "CpuPeriod": 60_000, "CpusetCpus": "0", "PidsLimit": 77}});
        let container = engine.start(&["sleep", "1000"], limits).await;
        let script = "cd /sys/fs/cgroup; if [ -e memory.max ]; then cat memory.max memory.swap.max cpu.max cpuset.cpus pids.max; \
                      else cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us cpu/cpu.shares cpuset/cpuset.cpus pids/pids.max; fi";
        let (code, out, err) = container.exec(&["sh", "-c", script]).await;
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        let values: Vec<&str> = out.lines().collect();
        let v1 = ["67108864", "30000", "60000", "512", "0", "77"];
        let v2 = ["67108864", "67108864", "30000 60000", "0", "77"];
        assert!(values == v1 || values == v2, "{values:?}");
    }

    async fn an_invalid_limit_is_refused_and_nothing_is_made(engine: &Engine) {
        let name = engine.name("invalid");
        for host_config in [
            json!({"Memory": 1024}),
            json!({"Memory": -1, "MemorySwap": 5}),
            json!({"NanoCpus": 1_000_000_000_000_i64}),
            json!({"CpusetCpus": "900"}),
            json!({"CpusetCpus": "0-x"}),
            json!({"Memory": 64 << 20, "MemorySwap": 32 << 20}),
            json!({"MemorySwappiness": 500}),
        ] {
            let body = json!({"Image": conformance::IMAGE, "Cmd": ["true"], "HostConfig": host_config});
            let answer = engine.post(&format!("/containers/create?name={name}"), body).await;
            assert_eq!(answer.status, 400, "{host_config}: {}", answer.text());
            assert!(!answer.message().is_empty());
            engine.get(&format!("/containers/{name}/json")).await.expect(404);
        }
    }

    async fn ulimits_hold(engine: &Engine) {
        let ulimits = json!({"HostConfig": {"Ulimits": [{"Name": "nofile", "Soft": 111, "Hard": 222}, {"Name": "core", "Soft": 0, "Hard": 0}]}});
        let container = engine.start(&["sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -c"], ulimits).await;
        assert_eq!(container.wait().await, 0);
        assert_eq!(container.logs().await.0, "111\n222\n0\n");
    }
}
