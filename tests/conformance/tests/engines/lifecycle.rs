//! Create, start, stop, restart, kill, pause, rename, wait, remove.

use std::time::{Duration, Instant};

use conformance::{Engine, deadline, on_both, until};
use serde_json::{Value, json};

on_both! {
    async fn a_program_can_tell_that_it_is_in_a_container(engine: &Engine) {
        let container = engine.start(&["stat", "-c", "%F %a %s", "/.dockerenv"], json!({})).await;
        assert_eq!(container.wait().await, 0);
        assert_eq!(container.logs().await.0, "regular empty file 755 0\n");
        let changes = engine.get(&container.path("/changes")).await.expect(200).json();
        assert!(changes.as_array().is_none_or(Vec::is_empty), "{changes}");
    }

    async fn whoever_sees_the_end_sees_the_exit_code(engine: &Engine) {
        for _ in 0..10 {
            let container = engine.start(&["sh", "-c", "exit 7"], json!({})).await;
            let state = deadline("the end", async {
                loop {
                    let state = container.inspect().await["State"].clone();
                    if state["Running"] == false {
                        return state;
                    }
                }
            })
            .await;
            assert_eq!((&state["Status"], &state["ExitCode"]), (&json!("exited"), &json!(7)), "{state}");
            assert_ne!(state["FinishedAt"], json!("0001-01-01T00:00:00Z"), "{state}");
            engine.delete(&container.path("?force=1")).await.expect(204);
        }
    }

    async fn a_program_runs_and_its_exit_code_is_kept(engine: &Engine) {
        // Not at once: dockerd takes the time of the end from elsewhere than that of the start.
        let container = engine.create(&["sh", "-c", "sleep 0.2; exit 7"], json!({})).await;
        assert_eq!(container.state().await, "created");
        container.start().await;
        assert_eq!(container.wait().await, 7);
        let state = container.inspect().await["State"].clone();
        assert_eq!(state["Status"], "exited");
        assert_eq!(state["ExitCode"], 7);
        assert_eq!(state["Running"], false);
        assert_eq!(state["Pid"], 0);
        assert_eq!(state["OOMKilled"], false);
        let time = |key: &str| state[key].as_str().unwrap().trim_end_matches('Z').to_owned();
        assert!(time("StartedAt") < time("FinishedAt"), "{state}");
    }

    async fn an_exited_container_starts_again_with_its_files(engine: &Engine) {
        let container = engine.start(&["sh", "-c", "cat /mark 2>/dev/null && exit 5; echo here > /mark"], json!({})).await;
        assert_eq!(container.wait().await, 0);
        container.start().await;
        assert_eq!(container.wait().await, 5);
    }

    async fn start_of_a_running_and_stop_of_a_stopped_container_change_nothing(engine: &Engine) {
        let container = engine.start(&["sleep", "1000"], json!({})).await;
        assert_eq!(engine.post(&container.path("/start"), Value::Null).await.expect(304).body.len(), 0);
        engine.post(&container.path("/stop?t=0"), Value::Null).await.expect(204);
        assert_eq!(engine.post(&container.path("/stop"), Value::Null).await.expect(304).body.len(), 0);
    }

    async fn stop_sends_the_stop_signal_and_waits(engine: &Engine) {
        let script = "trap 'echo got usr1; exit 3' USR1; echo ready; while :; do sleep 0.05; done";
        let container = engine.start(&["sh", "-c", script], json!({"StopSignal": "SIGUSR1"})).await;
        container.until_log("ready").await;
        engine.post(&container.path("/stop?t=20"), Value::Null).await.expect(204);
        assert_eq!(container.wait().await, 3);
        assert!(container.logs().await.0.contains("got usr1"));
    }

    async fn stop_kills_what_does_not_listen(engine: &Engine) {
        let script = "trap '' TERM; echo ready; while :; do sleep 0.05; done";
        let container = engine.start(&["sh", "-c", script], json!({})).await;
        container.until_log("ready").await;
        let before = Instant::now();
        engine.post(&container.path("/stop?t=1"), Value::Null).await.expect(204);
        assert!(before.elapsed() >= Duration::from_secs(1));
        assert_eq!(container.wait().await, 137);
    }

    async fn kill_sends_a_signal_by_name_or_number(engine: &Engine) {
        for signal in ["TERM", "SIGTERM", "15"] {
            let container = engine.start(&["sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done"], json!({})).await;
            container.until_log("ready").await;
            engine.post(&container.path(&format!("/kill?signal={signal}")), Value::Null).await.expect(204);
            assert_eq!(container.wait().await, 9, "{signal}");
        }
    }

    async fn kill_of_a_stopped_container_is_a_conflict(engine: &Engine) {
        let container = engine.create(&["true"], json!({})).await;
        let answer = engine.post(&container.path("/kill"), Value::Null).await.expect(409);
        assert!(answer.message().contains("is not running"), "{}", answer.text());
    }

    async fn restart_gives_a_new_process(engine: &Engine) {
        let container = engine.start(&["sleep", "1000"], json!({})).await;
        let first = container.inspect().await["State"]["Pid"].as_i64().unwrap();
        engine.post(&container.path("/restart?t=0"), Value::Null).await.expect(204);
        let state = container.inspect().await["State"].clone();
        assert_eq!(state["Status"], "running");
        assert_ne!(state["Pid"].as_i64().unwrap(), first);
    }

    async fn pause_freezes_and_unpause_thaws(engine: &Engine) {
        let container = engine.start(&["sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done"], json!({})).await;
        container.until_log("3").await;
        engine.post(&container.path("/pause"), Value::Null).await.expect(204);
        let state = container.inspect().await["State"].clone();
        assert_eq!((&state["Status"], &state["Paused"], &state["Running"]), (&json!("paused"), &json!(true), &json!(true)));
        let frozen = container.logs().await.0;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(container.logs().await.0.len() - frozen.len() < 16, "it went on while paused");
        let again = engine.post(&container.path("/pause"), Value::Null).await;
        assert_eq!(again.status, 409, "{}", again.text());
        engine.post(&container.path("/unpause"), Value::Null).await.expect(204);
        let length = container.logs().await.0.len();
        until("more output", || async { (container.logs().await.0.len() > length).then_some(()) }).await;
    }

    async fn rename_moves_the_name(engine: &Engine) {
        let container = engine.create(&["true"], json!({})).await;
        let name = engine.name("renamed");
        engine.post(&container.path(&format!("/rename?name={name}")), Value::Null).await.expect(204);
        assert_eq!(container.inspect().await["Name"], format!("/{name}"));
        let by_name = engine.get(&format!("/containers/{name}/json")).await.expect(200).json();
        assert_eq!(by_name["Id"], container.id);
    }

    async fn a_name_in_use_is_a_conflict_that_names_its_owner(engine: &Engine) {
        let container = engine.create(&["true"], json!({})).await;
        let name = container.inspect().await["Name"].as_str().unwrap().trim_start_matches('/').to_owned();
        let body = json!({"Image": conformance::IMAGE, "Cmd": ["true"]});
        let answer = engine.post(&format!("/containers/create?name={name}"), body).await.expect(409);
        assert!(answer.message().contains(&format!("The container name \"/{name}\" is already in use")), "{}", answer.text());
        assert!(answer.message().contains(&container.id), "{}", answer.text());
    }

    async fn of_many_creates_of_one_name_exactly_one_wins(engine: &Engine) {
        let name = engine.name("race");
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (engine, name) = (engine.clone(), name.clone());
            tasks.spawn(async move {
                let body = json!({"Image": conformance::IMAGE, "Cmd": ["true"], "Labels": engine.labels()});
                engine.post(&format!("/containers/create?name={name}"), body).await.status
            });
        }
        let mut statuses = tasks.join_all().await;
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
    }

    async fn remove_of_a_running_container_is_refused_unless_forced(engine: &Engine) {
        let container = engine.start(&["sleep", "1000"], json!({})).await;
        let answer = engine.delete(&container.path("")).await.expect(409);
        assert!(answer.message().contains("cannot remove a running container") || answer.message().contains("container is running"), "{}", answer.text());
        engine.delete(&container.path("?force=1")).await.expect(204);
        engine.get(&container.path("/json")).await.expect(404);
    }

    async fn any_unique_prefix_of_the_id_and_the_name_with_or_without_slash_find_it(engine: &Engine) {
        let container = engine.create(&["true"], json!({})).await;
        let name = container.inspect().await["Name"].as_str().unwrap().to_owned();
        for key in [&container.id, &container.id[..12], name.trim_start_matches('/')] {
            assert_eq!(engine.get(&format!("/containers/{key}/json")).await.expect(200).json()["Id"], container.id);
        }
    }

    async fn wait_answers_its_headers_before_the_exit(engine: &Engine) {
        let container = engine.create(&["sh", "-c", "exit 4"], json!({})).await;
        // The docker CLI waits before it starts: the headers must come at once.
        let mut lines = deadline("headers of wait", engine.lines("POST", &container.path("/wait?condition=next-exit"))).await;
        container.start().await;
        assert_eq!(deadline("the exit", lines.next()).await.unwrap()["StatusCode"], 4);
    }

    async fn wait_for_removal_still_gives_the_exit_code(engine: &Engine) {
        let container = engine.create(&["sh", "-c", "exit 6"], json!({"HostConfig": {"AutoRemove": true}})).await;
        let mut lines = engine.lines("POST", &container.path("/wait?condition=removed")).await;
        container.start().await;
        assert_eq!(deadline("the removal", lines.next()).await.unwrap()["StatusCode"], 6);
        until("gone", || async { (engine.get(&container.path("/json")).await.status == 404).then_some(()) }).await;
    }

    async fn on_failure_restarts_so_often_and_no_more(engine: &Engine) {
        let policy = json!({"HostConfig": {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}}});
        let container = engine.start(&["sh", "-c", "echo run; exit 1"], policy).await;
        until("the last try", || async {
            let inspect = container.inspect().await;
            (inspect["RestartCount"] == 2 && inspect["State"]["Status"] == "exited").then_some(())
        })
        .await;
        assert_eq!(container.logs().await.0, "run\nrun\nrun\n");
    }

    async fn a_stopped_container_of_policy_always_stays_stopped(engine: &Engine) {
        let policy = json!({"HostConfig": {"RestartPolicy": {"Name": "always"}}});
        let container = engine.start(&["sleep", "1000"], policy).await;
        let first = container.inspect().await["State"]["Pid"].as_i64().unwrap();
        container.exec(&["kill", "-9", "-1"]).await;
        engine.post(&container.path("/kill"), Value::Null).await;
        engine.post(&container.path("/stop?t=0"), Value::Null).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let state = container.inspect().await["State"].clone();
        assert_eq!(state["Running"], false, "{first} {state}");
    }

    async fn init_reaps_and_forwards_signals(engine: &Engine) {
        let script = "sh -c 'sleep 0.1 & exec true' ; sleep 0.3; ps -o pid,stat,comm | grep -c Z; exit 0";
        let container = engine.start(&["sh", "-c", script], json!({"HostConfig": {"Init": true}})).await;
        assert_eq!(container.wait().await, 0);
        assert_eq!(container.logs().await.0.trim(), "0");
    }

    async fn update_changes_limits_of_a_running_container(engine: &Engine) {
        let container = engine.start(&["sleep", "1000"], json!({"HostConfig": {"Memory": 64 << 20, "MemorySwap": 64 << 20}})).await;
        engine.post(&container.path("/update"), json!({"Memory": 96 << 20, "MemorySwap": 96 << 20})).await.expect(200);
        assert_eq!(container.inspect().await["HostConfig"]["Memory"], 96 << 20);
        let (_, out, _) = container.exec(&["sh", "-c", "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null"]).await;
        assert_eq!(out.trim(), (96 << 20).to_string());
    }

    async fn prune_takes_stopped_containers_only(engine: &Engine) {
        let stopped = engine.start(&["true"], json!({})).await;
        stopped.wait().await;
        let running = engine.start(&["sleep", "1000"], json!({})).await;
        let filter = conformance::query(&json!({"label": [engine.label()]}).to_string());
        let answer = engine.post(&format!("/containers/prune?filters={filter}"), Value::Null).await.expect(200).json();
        assert_eq!(answer["ContainersDeleted"], json!([stopped.id]));
        assert!(answer["SpaceReclaimed"].is_number());
        assert_eq!(running.state().await, "running");
    }
}
