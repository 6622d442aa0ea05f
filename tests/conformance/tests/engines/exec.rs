//! More processes in a running container.

use conformance::{Engine, deadline, on_both, streams, until};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

on_both! {
    async fn exec_gives_exit_code_and_both_streams(engine: &Engine) {
        let container = engine.start(&["sleep", "1000"], json!({})).await;
        let (code, out, err) = container.exec(&["sh", "-c", "echo out; echo err >&2; exit 42"]).await;
        assert_eq!((code, out.as_str(), err.as_str()), (42, "out\n", "err\n"));
    }

    async fn exec_lives_in_the_same_namespaces_and_cgroup(engine: &Engine) {
        let container = engine.start(&["sleep", "1000"], json!({})).await;
        let script = "for n in pid net mnt uts ipc cgroup; do [ $(readlink /proc/1/ns/$n) = $(readlink /proc/self/ns/$n) ] || echo $n; done; \
                      [ \"$(cat /proc/1/cgroup)\" = \"$(cat /proc/self/cgroup)\" ] || echo cgroup files";
        let (code, out, err) = container.exec(&["sh", "-c", script]).await;
        assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""));
    }

    async fn exec_takes_user_directory_and_environment(engine: &Engine) {
        let container = engine.start(&["sleep", "1000"], json!({"Env": ["A=container"]})).await;
        let body = json!({"AttachStdout": true, "Cmd": ["sh", "-c", "id -u; id -g; pwd; echo $A $B"], "User": "65534:65534", "WorkingDir": "/tmp", "Env": ["B=exec"]});
        let id = container.exec_create(body).await;
        let stream = engine.hijack(&format!("/exec/{id}/start"), &json!({})).await;
        let (out, _) = streams(deadline("exec", stream.rest()).await);
        for part in ["65534\n65534\n", "/tmp", "container exec"] {
            assert!(out.contains(part), "{part:?} in {out:?}");
        }
    }

    async fn input_of_exec_ends_when_the_client_ends_it(engine: &Engine) {
        let container = engine.start(&["sleep", "1000"], json!({})).await;
        let id = container.exec_create(json!({"AttachStdin": true, "AttachStdout": true, "Cmd": ["wc", "-c"]})).await;
        let mut stream = engine.hijack(&format!("/exec/{id}/start"), &json!({})).await;
        stream.stream.write_all(&vec![b'x'; 100_000]).await.unwrap();
        stream.stream.shutdown().await.unwrap();
        let body = deadline("exec", stream.rest()).await;
        assert!(String::from_utf8_lossy(&body).contains("100000"), "{body:?}");
    }

    async fn exec_with_a_terminal_is_resized(engine: &Engine) {
        let container = engine.start(&["sleep", "1000"], json!({})).await;
        let id = container.exec_create(json!({"AttachStdin": true, "AttachStdout": true, "Tty": true, "Cmd": ["sh"]})).await;
        let mut stream = engine.hijack(&format!("/exec/{id}/start"), &json!({"Tty": true})).await;
        until("resize", || async { (engine.post(&format!("/exec/{id}/resize?h=40&w=111"), Value::Null).await.status < 300).then_some(()) }).await;
        stream.stream.write_all(b"stty size\n").await.unwrap();
        deadline("the size", stream.read_until("40 111")).await;
        let inspect = engine.get(&format!("/exec/{id}/json")).await.expect(200).json();
        assert_eq!((&inspect["Running"], &inspect["ContainerID"]), (&json!(true), &json!(container.id)));
        stream.stream.write_all(b"exit 8\n").await.unwrap();
        until("the exit code", || async {
            (engine.get(&format!("/exec/{id}/json")).await.json()["ExitCode"] == 8).then_some(())
        })
        .await;
    }

    async fn a_detached_exec_runs_on(engine: &Engine) {
        let container = engine.start(&["sleep", "1000"], json!({})).await;
        let id = container.exec_create(json!({"Cmd": ["sh", "-c", "echo yes > /mark"]})).await;
        engine.post(&format!("/exec/{id}/start"), json!({"Detach": true})).await.expect(200);
        until("the mark", || async { (container.exec(&["cat", "/mark"]).await.1 == "yes\n").then_some(()) }).await;
    }

    async fn exec_in_a_stopped_container_is_a_conflict(engine: &Engine) {
        let container = engine.create(&["true"], json!({})).await;
        let answer = engine.post(&container.path("/exec"), json!({"Cmd": ["true"]})).await.expect(409);
        assert!(answer.message().contains("is not running"), "{}", answer.text());
    }

    async fn a_program_that_is_not_there_gives_126_or_127(engine: &Engine) {
        let container = engine.start(&["sleep", "1000"], json!({})).await;
        let id = container.exec_create(json!({"AttachStdout": true, "AttachStderr": true, "Cmd": ["/no/such/program"]})).await;
        let stream = engine.hijack(&format!("/exec/{id}/start"), &json!({})).await;
        deadline("exec", stream.rest()).await;
        let code = until("the exit code", || async { engine.get(&format!("/exec/{id}/json")).await.json()["ExitCode"].as_i64() }).await;
        assert!([126, 127].contains(&code), "{code}");
    }

    async fn exec_events_carry_the_exec(engine: &Engine) {
        let container = engine.start(&["sleep", "1000"], json!({})).await;
        container.exec(&["true"]).await;
        let events = container.events().await;
        assert!(events.iter().any(|event| event.starts_with("exec_create: true")), "{events:?}");
        assert!(events.iter().any(|event| event.starts_with("exec_start: true")), "{events:?}");
        assert!(events.iter().any(|event| event == "exec_die"), "{events:?}");
    }
}
