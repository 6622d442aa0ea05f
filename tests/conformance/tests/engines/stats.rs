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

    async fn the_stream_goes_on_over_a_stop_and_ends_with_removal(engine: &Engine) {
        let container = engine.start(&["sleep", "1000"], json!({})).await;
        let mut lines = engine.lines("GET", &container.path("/stats")).await;
        let first = deadline("a figure", lines.next()).await.unwrap();
        assert!(first["pids_stats"]["current"].as_u64().unwrap() >= 1);
        engine.post(&container.path("/kill"), json!(null)).await.expect(204);
        container.wait().await;
        loop {
            let figure = deadline("a figure", lines.next()).await.unwrap();
            if figure["cpu_stats"]["cpu_usage"]["total_usage"] == 0 {
                assert_eq!(figure["read"], "0001-01-01T00:00:00Z");
                break;
            }
        }
        engine.call("DELETE", &container.path(""), &json!(null)).await.expect(204);
        deadline("the end of the figures", async { while lines.next().await.is_some() {} }).await;
    }

    async fn top_takes_arguments_of_ps_and_needs_a_pid(engine: &Engine) {
        let container = engine.start(&["sleep", "987"], json!({})).await;
        let pid = container.inspect().await["State"]["Pid"].to_string();
        for (arguments, titles) in [
            ("-o%20pid,comm", json!(["PID", "COMMAND"])),
            ("-eo%20pid,ppid,args", json!(["PID", "PPID", "COMMAND"])),
            ("aux", json!(["USER", "PID", "%CPU", "%MEM", "VSZ", "RSS", "TTY", "STAT", "START", "TIME", "COMMAND"])),
        ] {
            let top = engine.get(&container.path(&format!("/top?ps_args={arguments}"))).await.expect(200).json();
            assert_eq!(top["Titles"], titles);
            assert_eq!(top["Processes"].as_array().unwrap().len(), 1);
            assert!(top["Processes"].to_string().contains(&format!("\"{pid}\"")), "{top}");
        }
        let answer = engine.get(&container.path("/top?ps_args=-o%20comm")).await;
        assert!(answer.status >= 400);
        assert_eq!(answer.message(), "Couldn't find PID field in ps output");
    }

    async fn top_of_a_stopped_container_is_refused(engine: &Engine) {
        let container = engine.create(&["true"], json!({})).await;
        let answer = engine.get(&container.path("/top")).await.expect(409);
        assert!(answer.message().ends_with("is not running"), "{}", answer.message());
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
