//! Figures and processes.

use conformance::{Engine, deadline, on_both};
use serde_json::json;

on_both! {
    async fn one_shot_and_streamed_figures(engine: &Engine) {
        let container = engine.start(&["sh", "-c", "while :; do :; done"], json!({"HostConfig": {"Memory": 64 << 20, "MemorySwap": 64 << 20}})).await;
        let shot = engine.get(&container.path("/stats?stream=0&one-shot=1")).await.expect(200).json();
        assert!(shot["memory_stats"]["usage"].as_u64().unwrap() > 0);
        assert_eq!(shot["memory_stats"]["limit"], 64 << 20);
        assert!(shot["pids_stats"]["current"].as_u64().unwrap() >= 1);
        assert!(shot["networks"]["eth0"]["rx_bytes"].is_u64(), "{shot}");
        assert!(shot["id"] == container.id);
        let mut lines = engine.lines("GET", &container.path("/stats?stream=1")).await;
        let first = deadline("a figure", lines.next()).await.unwrap();
        let second = deadline("a figure", lines.next()).await.unwrap();
        assert_eq!(first["precpu_stats"]["cpu_usage"]["total_usage"], 0);
        assert_eq!(second["precpu_stats"]["cpu_usage"]["total_usage"], first["cpu_stats"]["cpu_usage"]["total_usage"]);
        let used = second["cpu_stats"]["cpu_usage"]["total_usage"].as_f64().unwrap() - second["precpu_stats"]["cpu_usage"]["total_usage"].as_f64().unwrap();
        let system = second["cpu_stats"]["system_cpu_usage"].as_f64().unwrap() - second["precpu_stats"]["system_cpu_usage"].as_f64().unwrap();
        let percent = used / system * second["cpu_stats"]["online_cpus"].as_f64().unwrap() * 100.0;
        assert!((10.0..110.0).contains(&percent), "{percent}");
    }

    async fn without_stream_the_second_figure_comes_after_a_second(engine: &Engine) {
        let container = engine.start(&["sleep", "1000"], json!({})).await;
        let figure = engine.get(&container.path("/stats?stream=0")).await.expect(200).json();
        assert!(figure["precpu_stats"]["system_cpu_usage"].as_u64().unwrap() > 0);
    }

    async fn a_stopped_container_has_zeros(engine: &Engine) {
        let container = engine.create(&["true"], json!({})).await;
        let figure = engine.get(&container.path("/stats?stream=0")).await.expect(200).json();
        assert_eq!(figure["cpu_stats"]["cpu_usage"]["total_usage"], 0);
    }

    async fn top_shows_the_processes_with_the_hosts_numbers(engine: &Engine) {
        let container = engine.start(&["sh", "-c", "sleep 987 & sleep 988; true"], json!({})).await;
        let top = conformance::until("both processes", || async {
            let top = engine.get(&container.path("/top")).await.expect(200).json();
            (top["Processes"].as_array().unwrap().len() == 3).then_some(top)
        })
        .await;
        let titles: Vec<&str> = top["Titles"].as_array().unwrap().iter().map(|title| title.as_str().unwrap()).collect();
        assert!(titles.contains(&"PID") && titles.contains(&"CMD"), "{titles:?}");
        assert!(top["Processes"].to_string().contains("sleep 987"));
        let pid = container.inspect().await["State"]["Pid"].to_string();
        assert!(top["Processes"].to_string().contains(&format!("\"{pid}\"")), "{top}");
    }
}
