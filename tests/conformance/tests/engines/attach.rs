//! Attach: output from the first byte, input, end of input, detach keys, terminals.

use conformance::{Engine, deadline, on_both, streams};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

on_both! {
    async fn attached_before_the_start_nothing_is_missed(engine: &Engine) {
        let container = engine.create(&["sh", "-c", "echo out; echo err >&2"], json!({"AttachStdout": true, "AttachStderr": true})).await;
        let stream = engine.hijack(&container.path("/attach?stream=1&stdout=1&stderr=1"), &Value::Null).await;
        assert_eq!(stream.status, 101);
        container.start().await;
        let body = deadline("the end of attach", stream.rest()).await;
        assert_eq!(streams(body), ("out\n".to_owned(), "err\n".to_owned()));
    }

    async fn input_reaches_the_program_and_its_end_is_the_end_of_input(engine: &Engine) {
        let open = json!({"OpenStdin": true, "StdinOnce": true, "AttachStdin": true, "AttachStdout": true});
        let container = engine.create(&["sh", "-c", "tr a-z A-Z; echo done"], open).await;
        let mut stream = engine.hijack(&container.path("/attach?stream=1&stdin=1&stdout=1"), &Value::Null).await;
        container.start().await;
        stream.stream.write_all(b"hello\n").await.unwrap();
        stream.stream.shutdown().await.unwrap();
        let body = deadline("the end of attach", stream.rest()).await;
        assert_eq!(streams(body).0, "HELLO\ndone\n");
        assert_eq!(container.wait().await, 0);
    }

    async fn a_terminal_echoes_and_has_the_size_that_was_set(engine: &Engine) {
        let tty = json!({"Tty": true, "OpenStdin": true, "AttachStdin": true, "AttachStdout": true});
        let container = engine.create(&["sh"], tty).await;
        let mut stream = engine.hijack(&container.path("/attach?stream=1&stdin=1&stdout=1"), &Value::Null).await;
        container.start().await;
        engine.post(&container.path("/resize?h=33&w=101"), Value::Null).await.expect(200);
        stream.stream.write_all(b"stty size; tty\n").await.unwrap();
        let text = deadline("the terminal's name", stream.read_until("/dev/")).await;
        assert!(text.contains("33 101"), "{text:?}");
        stream.stream.write_all(b"exit 3\n").await.unwrap();
        assert_eq!(container.wait().await, 3);
    }

    async fn the_detach_keys_leave_the_container_running(engine: &Engine) {
        let tty = json!({"Tty": true, "OpenStdin": true});
        let container = engine.start(&["sh"], tty).await;
        let mut stream = engine.hijack(&container.path("/attach?stream=1&stdin=1&stdout=1"), &Value::Null).await;
        stream.stream.write_all(b"\x10\x11").await.unwrap();
        deadline("the end of attach", stream.rest()).await;
        assert_eq!(container.state().await, "running");
    }

    async fn two_clients_see_the_same(engine: &Engine) {
        let container = engine.create(&["sh", "-c", "sleep 0.2; seq 1 5000"], json!({})).await;
        let first = engine.hijack(&container.path("/attach?stream=1&stdout=1"), &Value::Null).await;
        let second = engine.hijack(&container.path("/attach?stream=1&stdout=1"), &Value::Null).await;
        container.start().await;
        let (first, second) = tokio::join!(deadline("first", first.rest()), deadline("second", second.rest()));
        assert_eq!(streams(first).0, streams(second).0);
    }

    async fn logs_come_first_when_asked_for(engine: &Engine) {
        let container = engine.start(&["sh", "-c", "echo before; sleep 1000"], json!({})).await;
        container.until_log("before").await;
        let mut stream = engine.hijack(&container.path("/attach?logs=1&stream=1&stdout=1"), &Value::Null).await;
        deadline("the log", stream.read_until("before")).await;
    }

    async fn attach_to_a_stopped_container_is_answered_when_it_is_not_running(engine: &Engine) {
        let container = engine.start(&["echo", "past"], json!({})).await;
        container.wait().await;
        let stream = engine.hijack(&container.path("/attach?logs=1&stdout=1"), &Value::Null).await;
        let body = deadline("the end of attach", stream.rest()).await;
        assert_eq!(streams(body).0, "past\n");
    }
}

/// Mini alone: on dockerd such a client waits for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_start_is_let_go_when_the_container_is_removed() {
    Engine::mini("let-go")
        .run(|engine| {
            Box::pin(async move {
                let container = engine.create(&["true"], json!({})).await;
                let path = container.path("/attach?stream=1&stdout=1");
                let stream = engine.hijack(&path, &Value::Null).await;
                engine.delete(&container.path("")).await.expect(204);
                assert!(
                    deadline("the end of attach", stream.rest())
                        .await
                        .is_empty()
                );
            })
        })
        .await;
}
