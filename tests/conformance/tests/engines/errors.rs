//! Bad input: a clear answer, and nothing half-made left behind.

use conformance::{Engine, IMAGE, on_both};
use serde_json::{Value, json};

on_both! {
    async fn an_unknown_image_is_404_in_dockers_words(engine: &Engine) {
        let name = engine.name("c");
        let body = json!({"Image": "no/such-image:here"});
        let answer = engine.post(&format!("/containers/create?name={name}"), body).await.expect(404);
        assert!(answer.message().contains("No such image: no/such-image:here"), "{}", answer.text());
        engine.get(&format!("/containers/{name}/json")).await.expect(404);
    }

    async fn an_unknown_container_is_404_in_dockers_words(engine: &Engine) {
        for (method, rest) in [("GET", "json"), ("POST", "start"), ("POST", "stop"), ("POST", "kill"), ("GET", "logs?stdout=1"), ("POST", "exec"), ("POST", "wait"), ("GET", "stats?stream=0")] {
            let body = if rest == "exec" { json!({"Cmd": ["true"]}) } else { Value::Null };
            let answer = engine.call(method, &format!("/containers/nosuchcontainer/{rest}"), &body).await.expect(404);
            assert!(answer.message().contains("No such container: nosuchcontainer"), "{rest}: {}", answer.text());
        }
        engine.delete("/containers/nosuchcontainer").await.expect(404);
    }

    async fn malformed_json_is_400(engine: &Engine) {
        for body in ["{", "[]", "{\"Image\": 5}", "nonsense"] {
            let answer = engine.send("POST", "/containers/create", "application/json", body.into()).await;
            // dockerd before 24 says 500 here.
            assert!([400, 500].contains(&answer.status), "{body}: {}", answer.text());
            assert!(!answer.message().is_empty(), "{body}");
        }
    }

    async fn a_bad_name_is_400(engine: &Engine) {
        for name in ["a%2Fb", "-x", "%20", "a%00b", "..", "a%0Ab"] {
            let answer = engine.post(&format!("/containers/create?name={name}"), json!({"Image": IMAGE})).await;
            assert_eq!(answer.status, 400, "{name}: {}", answer.text());
        }
    }

    async fn path_tricks_in_ids_find_nothing(engine: &Engine) {
        for id in ["..%2F..%2Fversion", "%2e%2e", "x%00y", "a%3Fb", "..%2Fetc%2Fpasswd"] {
            let answer = engine.get(&format!("/containers/{id}/json")).await;
            // dockerd redirects to the cleaned path.
            assert!([301, 400, 404].contains(&answer.status), "{id}: {}", answer.text());
            let answer = engine.get(&format!("/volumes/{id}")).await;
            // dockerd redirects to the cleaned path.
            assert!([301, 400, 404].contains(&answer.status), "{id}: {}", answer.text());
        }
    }

    async fn a_program_that_is_not_there_fails_the_start(engine: &Engine) {
        let container = engine.create(&["/no/such/program"], json!({})).await;
        let answer = engine.post(&container.path("/start"), Value::Null).await.expect(400);
        assert!(answer.message().contains("no such file or directory"), "{}", answer.text());
        let state = container.inspect().await["State"].clone();
        assert_eq!((&state["Status"], &state["ExitCode"]), (&json!("created"), &json!(127)));
        let container = engine.create(&["nosuchprogram"], json!({})).await;
        let answer = engine.post(&container.path("/start"), Value::Null).await.expect(400);
        assert!(answer.message().contains("executable file not found in $PATH"), "{}", answer.text());
    }

    async fn a_program_without_permission_fails_the_start(engine: &Engine) {
        let container = engine.create(&["/etc/passwd"], json!({})).await;
        let answer = engine.post(&container.path("/start"), Value::Null).await.expect(400);
        assert!(answer.message().contains("permission denied"), "{}", answer.text());
        assert_eq!(container.inspect().await["State"]["ExitCode"], 126);
    }

    async fn an_unknown_user_fails_the_start(engine: &Engine) {
        let container = engine.create(&["true"], json!({"User": "nosuchuser"})).await;
        let answer = engine.post(&container.path("/start"), Value::Null).await;
        assert!([400, 500].contains(&answer.status), "{}", answer.text());
        assert!(answer.message().contains("unable to find user nosuchuser"), "{}", answer.text());
    }

    async fn no_command_is_refused(engine: &Engine) {
        let body = json!({"Image": IMAGE, "Entrypoint": [""], "Cmd": [], "Labels": engine.labels()});
        let answer = engine.post("/containers/create", body).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
    }

    async fn a_directory_that_is_not_absolute_is_refused(engine: &Engine) {
        let answer = engine.post("/containers/create", json!({"Image": IMAGE, "Cmd": ["true"], "WorkingDir": "not/absolute"})).await;
        assert!([400, 500].contains(&answer.status), "{}", answer.text());
        let binds = json!({"Image": IMAGE, "Cmd": ["true"], "HostConfig": {"Binds": ["/tmp:relative"]}});
        let answer = engine.post("/containers/create", binds).await;
        assert!([400, 500].contains(&answer.status), "{}", answer.text());
    }

    async fn an_unknown_path_is_404_with_a_message(engine: &Engine) {
        let answer = engine.get("/no/such/endpoint").await.expect(404);
        assert!(answer.message().contains("page not found"), "{}", answer.text());
    }

    async fn an_unknown_filter_is_400(engine: &Engine) {
        let filters = conformance::query(&json!({"nosuchfilter": ["x"]}).to_string());
        let answer = engine.get(&format!("/containers/json?filters={filters}")).await.expect(400);
        assert!(answer.message().to_lowercase().contains("invalid filter"), "{}", answer.text());
    }

    async fn a_version_from_the_future_is_400(engine: &Engine) {
        let answer = engine.get("/v1.99/containers/json").await.expect(400);
        assert!(answer.message().contains("client version 1.99 is too new"), "{}", answer.text());
    }

    async fn swarm_is_503_or_406_here(engine: &Engine) {
        let answer = engine.get("/services").await.expect(503);
        assert!(answer.message().contains("This node is not a swarm manager"), "{}", answer.text());
    }
}
