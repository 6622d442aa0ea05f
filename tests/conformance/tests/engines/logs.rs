//! Logs of both streams, whole, in part, and as they come.

use conformance::{Engine, deadline, on_both};
use serde_json::json;

on_both! {
    async fn both_streams_are_kept_apart(engine: &Engine) {
        let container = engine.start(&["sh", "-c", "echo out; echo err >&2"], json!({})).await;
        container.wait().await;
        assert_eq!(container.logs().await, ("out\n".to_owned(), "err\n".to_owned()));
        let only = engine.get(&container.path("/logs?stderr=1")).await.expect(200).streams();
        assert_eq!(only, (String::new(), "err\n".to_owned()));
    }

    async fn tail_takes_the_last_lines(engine: &Engine) {
        let container = engine.start(&["seq", "1", "1000"], json!({})).await;
        container.wait().await;
        let logs = |tail: &'static str| {
            let path = container.path(&format!("/logs?stdout=1&tail={tail}"));
            async move { engine.get(&path).await.expect(200).streams().0 }
        };
        assert_eq!(logs("3").await, "998\n999\n1000\n");
        assert_eq!(logs("0").await, "");
        assert_eq!(logs("all").await.lines().count(), 1000);
    }

    async fn timestamps_are_rfc_3339_and_rise(engine: &Engine) {
        let container = engine.start(&["sh", "-c", "echo one; sleep 0.05; echo two"], json!({})).await;
        container.wait().await;
        let (out, _) = engine.get(&container.path("/logs?stdout=1&timestamps=1")).await.expect(200).streams();
        let stamps: Vec<&str> = out.lines().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(stamps.len(), 2);
        assert!(stamps.iter().all(|stamp| stamp.len() == 30 && stamp.ends_with('Z')), "{stamps:?}");
        assert!(stamps[0] < stamps[1]);
    }

    async fn since_and_until_bound_the_time(engine: &Engine) {
        let container = engine.start(&["sh", "-c", "echo one; sleep 2.1; echo two"], json!({})).await;
        container.wait().await;
        let (out, _) = engine.get(&container.path("/logs?stdout=1&timestamps=1")).await.expect(200).streams();
        let second = out.lines().nth(1).unwrap().split(' ').next().unwrap().to_owned();
        let (since, _) = engine.get(&container.path(&format!("/logs?stdout=1&since={}", seconds(&second, 0)))).await.expect(200).streams();
        assert_eq!(since, "two\n");
        let started = container.inspect().await["State"]["StartedAt"].as_str().unwrap().to_owned();
        let (until, _) = engine.get(&container.path(&format!("/logs?stdout=1&until={}", seconds(&started, 1)))).await.expect(200).streams();
        assert_eq!(until, "one\n");
    }

    async fn follow_brings_new_lines_and_ends_with_the_container(engine: &Engine) {
        let container = engine.start(&["sh", "-c", "echo one; sleep 0.3; echo two; sleep 0.3; echo three"], json!({})).await;
        container.until_log("one").await;
        let body = engine.lines("GET", &container.path("/logs?stdout=1&follow=1")).await;
        let bytes = deadline("the end of follow", body.rest()).await;
        let text = String::from_utf8_lossy(&bytes);
        assert!(["one", "two", "three"].iter().all(|word| text.contains(word)), "{text:?}");
    }

    async fn a_terminal_logs_raw_bytes(engine: &Engine) {
        let container = engine.start(&["echo", "hello"], json!({"Tty": true})).await;
        container.wait().await;
        let answer = engine.get(&container.path("/logs?stdout=1")).await.expect(200);
        assert_eq!(answer.text(), "hello\r\n");
    }

    async fn no_line_of_a_flood_is_lost(engine: &Engine) {
        let container = engine.start(&["seq", "1", "50000"], json!({})).await;
        container.wait().await;
        let (out, _) = container.logs().await;
        assert!(out.lines().map(|line| line.parse::<u32>().unwrap()).eq(1..=50_000));
    }

    async fn a_long_line_and_a_last_line_without_newline_arrive_whole(engine: &Engine) {
        let container = engine.start(&["sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x; echo; printf end"], json!({})).await;
        container.wait().await;
        let (out, _) = container.logs().await;
        assert_eq!(out.len(), 100_000 + 1 + 3);
        assert!(out.ends_with("x\nend"));
    }

    async fn what_does_not_run_is_not_followed(engine: &Engine) {
        let container = engine.create(&["true"], json!({})).await;
        let path = container.path("/logs?stdout=1&follow=1");
        let answer = deadline("the end of follow", engine.get(&path)).await.expect(200);
        assert_eq!(answer.text(), "");
    }

    async fn a_container_without_a_log_says_so(engine: &Engine) {
        let none = json!({"HostConfig": {"LogConfig": {"Type": "none"}}});
        let container = engine.create(&["true"], none).await;
        let answer = engine.get(&container.path("/logs?stdout=1")).await.expect(501);
        assert_eq!(answer.message(), "configured logging driver does not support reading");
    }

    async fn logs_of_no_stream_are_refused(engine: &Engine) {
        let container = engine.create(&["true"], json!({})).await;
        let answer = engine.get(&container.path("/logs")).await.expect(400);
        assert!(answer.message().contains("you must choose at least one stream"), "{}", answer.text());
    }
}

/// Seconds and nanoseconds since the epoch, as query parameters have them, of a time in RFC 3339 plus some seconds.
fn seconds(stamp: &str, plus: i64) -> String {
    let time: jiff::Timestamp = stamp.parse().unwrap();
    format!(
        "{}.{:09}",
        time.as_second() + plus,
        time.subsec_nanosecond()
    )
}
