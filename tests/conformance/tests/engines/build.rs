//! Building images with the classic builder: `POST /build`.

use conformance::{Engine, IMAGE, on_both, query};
use serde_json::{Value, json};

/// A context: names that end with a slash are directories, contents that begin with an arrow are links.
fn context(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(if name.ends_with('/') { 0o755 } else { 0o640 });
        header.set_mtime(1_700_000_000);
        header.set_uid(77);
        header.set_gid(77);
        if let Some(target) = content.strip_prefix("-> ") {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, name, target).unwrap();
            continue;
        }
        if name.ends_with('/') {
            header.set_entry_type(tar::EntryType::Directory);
        }
        header.set_size(content.len() as u64);
        builder
            .append_data(&mut header, name, content.as_bytes())
            .unwrap();
    }
    builder.into_inner().unwrap()
}

/// What a build said.
struct Built {
    /// All text.
    text: String,
    /// The image's id; `None` when there is none.
    id: Option<String>,
    /// The last line, when it is an error.
    error: Value,
}

impl Built {
    fn id(&self) -> &str {
        self.id
            .as_deref()
            .unwrap_or_else(|| panic!("no image: {} {}", self.text, self.error))
    }
}

async fn build(engine: &Engine, query_text: &str, files: &[(&str, &str)]) -> Built {
    let labels = query(&engine.labels().to_string());
    let path = format!("/build?labels={labels}&{query_text}");
    let answer = engine
        .send("POST", &path, "application/x-tar", context(files).into())
        .await;
    let mut built = Built {
        text: String::new(),
        id: None,
        error: Value::Null,
    };
    if answer.status != 200 {
        // Before anything was said.
        built.error =
            json!({"errorDetail": {"message": answer.message()}, "error": answer.message()});
        return built;
    }
    for line in answer.text().lines().filter(|line| !line.trim().is_empty()) {
        let line: Value = serde_json::from_str(line).unwrap();
        built
            .text
            .push_str(line["stream"].as_str().unwrap_or_default());
        if let Some(id) = line["aux"]["ID"].as_str() {
            built.id = Some(id.to_owned());
        }
        if !line["error"].is_null() {
            built.error = line;
            built.id = None;
        }
    }
    built
}

async fn of_dockerfile(engine: &Engine, lines: &str) -> Built {
    let file = format!("FROM {IMAGE}\n{lines}");
    build(engine, "", &[("Dockerfile", file.as_str())]).await
}

async fn config(engine: &Engine, built: &Built) -> Value {
    let path = format!("/images/{}/json", built.id());
    engine.get(&path).await.expect(200).json()["Config"].clone()
}

/// What a command prints in a container of an image.
async fn output(engine: &Engine, image: &str, command: &[&str]) -> String {
    let container = engine
        .create(command, json!({"Image": image, "Entrypoint": [""]}))
        .await;
    container.start().await;
    container.wait().await;
    let (out, err) = container.logs().await;
    engine.delete(&container.path("")).await.expect(204);
    out + &err
}

on_both! {
    async fn instructions_set_the_configuration(engine: &Engine) {
        let built = of_dockerfile(engine, concat!(
            "MAINTAINER someone\nENV A=1 B=\"two words\"\nENV C=$A NOT=$NOT_YET\nENV D ${C:-x}${E:-y} z\nLABEL k=\"v w\" other=$A\n",
            "EXPOSE 80 53/udp\nVOLUME [\"/data\"]\nUSER 5:6\nWORKDIR /w\nWORKDIR sub\nSTOPSIGNAL SIGQUIT\n",
            "HEALTHCHECK --interval=3s --retries=2 CMD true\nSHELL [\"/bin/sh\", \"-ec\"]\nENTRYPOINT run it\nCMD [\"a\", \"b\"]\n",
            "ONBUILD RUN echo later\n",
        )).await;
        let config = config(engine, &built).await;
        let env: Vec<&str> = config["Env"].as_array().unwrap().iter().map(|entry| entry.as_str().unwrap()).collect();
        for entry in ["A=1", "B=two words", "C=1", "D=1y z"] {
            assert!(env.contains(&entry), "{entry}: {env:?}");
        }
        assert_eq!((&config["Labels"]["k"], &config["Labels"]["other"]), (&json!("v w"), &json!("1")));
        assert_eq!(config["ExposedPorts"], json!({"80/tcp": {}, "53/udp": {}}));
        assert_eq!(config["Volumes"], json!({"/data": {}}));
        assert_eq!((&config["User"], &config["WorkingDir"], &config["StopSignal"]), (&json!("5:6"), &json!("/w/sub"), &json!("SIGQUIT")));
        assert_eq!(config["Healthcheck"], json!({"Test": ["CMD-SHELL", "true"], "Interval": 3_000_000_000_u64, "Retries": 2}));
        assert_eq!(config["Entrypoint"], json!(["/bin/sh", "-ec", "run it"]));
        assert_eq!(config["Cmd"], json!(["a", "b"]));
        assert_eq!(config["OnBuild"], json!(["RUN echo later"]));
        let label = engine.label();
        let (key, value) = label.split_once('=').unwrap();
        assert_eq!(config["Labels"][key], json!(value));
        assert_eq!(engine.get(&format!("/images/{}/json", built.id())).await.json()["Author"], json!("someone"));
    }

    async fn a_command_runs_and_what_it_changes_stays(engine: &Engine) {
        let built = of_dockerfile(engine, "ENV GREETING=hello\nWORKDIR /made/here\nRUN echo $GREETING from $(pwd); echo $GREETING > file\nRUN rm -rf /etc/passwd").await;
        assert!(built.text.contains("hello from /made/here\n"), "{}", built.text);
        assert!(built.text.contains(" ---> Running in "), "{}", built.text);
        assert!(built.text.contains("Removing intermediate container "), "{}", built.text);
        assert!(built.text.contains("Successfully built "), "{}", built.text);
        assert_eq!(output(engine, built.id(), &["sh", "-c", "cat /made/here/file; ls /etc/passwd"]).await, "hello\nls: /etc/passwd: No such file or directory\n");
    }

    async fn files_are_copied_as_asked(engine: &Engine) {
        let file = format!("FROM {IMAGE}\nWORKDIR /w\nCOPY a.txt b.txt some/\nCOPY d /dir\nCOPY d/inner /file-or-dir\nCOPY [\"with space\", \"/x y\"]\nCOPY --chown=5:6 *.txt link /chowned/\nCOPY d/in* /tmp");
        let files = [("Dockerfile", file.as_str()), ("a.txt", "A"), ("b.txt", "B"), ("d/", ""), ("d/inner", "I"), ("d/ln", "-> inner"), ("with space", "S"), ("link", "-> a.txt")];
        let built = build(engine, "", &files).await;
        let script = "cd /w/some && echo $(ls) && stat -c '%u:%g %a' a.txt && ls /dir && readlink /dir/ln && cat /file-or-dir '/x y' && echo && stat -c '%n %u:%g' /chowned/* && cat /chowned/link && ls /tmp/inner";
        assert_eq!(
            output(engine, built.id(), &["sh", "-c", script]).await,
            "a.txt b.txt\n0:0 640\ninner\nln\ninner\nIS\n/chowned/a.txt 5:6\n/chowned/b.txt 5:6\n/chowned/link 5:6\nA/tmp/inner\n"
        );
    }

    async fn archives_are_unpacked_by_add_alone(engine: &Engine) {
        let archive = context(&[("in/", ""), ("in/side", "found")]);
        // All bytes of an archive of ASCII are text.
        let archive = String::from_utf8(archive).unwrap();
        let file = format!("FROM {IMAGE}\nADD x.tar /added/\nCOPY x.tar /copied/");
        let built = build(engine, "", &[("Dockerfile", file.as_str()), ("x.tar", archive.as_str())]).await;
        assert_eq!(output(engine, built.id(), &["sh", "-c", "cat /added/in/side; echo; ls /copied; stat -c %u /added/in/side"]).await, "found\nx.tar\n77\n");
    }

    async fn stages_copy_from_each_other(engine: &Engine) {
        let file = format!("ARG BASE={IMAGE}\nFROM $BASE AS first\nRUN echo one > /one && chown 9:9 /one\nFROM first AS second\nRUN echo two > /two\nFROM scratch\nCOPY --from=first /one /\nCOPY --from=1 /two /sub/\nCOPY --from={IMAGE} /bin /bin\n");
        let built = build(engine, "", &[("Dockerfile", file.as_str())]).await;
        let listed = output(engine, built.id(), &["/bin/sh", "-c", "cat /one /sub/two; stat -c %u:%g /one; ls /"]).await;
        assert!(listed.starts_with("one\ntwo\n9:9\n"), "{listed}");
        assert!(!listed.contains("home"), "{listed}");
    }

    async fn a_target_ends_the_build(engine: &Engine) {
        let file = format!("FROM {IMAGE} AS one\nLABEL stage=one\nFROM one AS two\nLABEL stage=two\nFROM two\nRUN false");
        for (target, stage) in [("one", "one"), ("TWO", "two")] {
            let built = build(engine, &format!("target={target}"), &[("Dockerfile", file.as_str())]).await;
            assert_eq!(config(engine, &built).await["Labels"]["stage"], json!(stage));
        }
        let missing = build(engine, "target=four", &[("Dockerfile", file.as_str())]).await;
        assert!(missing.error["error"].as_str().unwrap().contains("failed to reach build target four in Dockerfile"), "{}", missing.error);
    }

    async fn arguments_are_for_the_build_alone(engine: &Engine) {
        let file = format!("ARG TOP=top\nFROM {IMAGE}\nARG TOP\nARG OWN=default\nARG BARE\nRUN echo \"$TOP $OWN $BARE.\"\nRUN env | grep -c PROXY\nLABEL own=$OWN");
        let args = query(&json!({"OWN": "given", "BARE": "b", "HTTP_PROXY": "http://p.example", "UNUSED": "u"}).to_string());
        let built = build(engine, &format!("buildargs={args}&nocache=1"), &[("Dockerfile", file.as_str())]).await;
        assert!(built.text.contains("top given b.\n"), "{}", built.text);
        assert!(built.text.contains("One or more build-args [UNUSED] were not consumed"), "{}", built.text);
        assert!(built.text.contains("\n1\n"), "{}", built.text);
        let config = config(engine, &built).await;
        assert_eq!(config["Labels"]["own"], json!("given"));
        assert!(!config["Env"].to_string().contains("given"), "{config}");
        let history = engine.get(&format!("/images/{}/history", built.id())).await.json().to_string();
        assert!(history.contains("OWN=given") && !history.contains("p.example"), "{history}");
    }

    async fn the_same_is_not_done_twice(engine: &Engine) {
        let file = format!("FROM {IMAGE}\nCOPY a /a\nRUN date +%s%N > /when\nENV X=1\n");
        let first = build(engine, "", &[("Dockerfile", file.as_str()), ("a", "one")]).await;
        let again = build(engine, "", &[("Dockerfile", file.as_str()), ("a", "one"), ("not-copied", "x")]).await;
        assert_eq!(first.id, again.id, "{}", again.text);
        assert_eq!(again.text.matches(" ---> Using cache\n").count(), 4, "{}", again.text);
        let other = build(engine, "", &[("Dockerfile", file.as_str()), ("a", "two")]).await;
        assert_ne!(first.id, other.id);
        assert!(!other.text.contains("Using cache"), "{}", other.text);
        let anew = build(engine, "nocache=1", &[("Dockerfile", file.as_str()), ("a", "one")]).await;
        assert_ne!(first.id, anew.id);
        assert!(!anew.text.contains("Using cache"), "{}", anew.text);
    }

    async fn what_clients_leave_in_is_there_but_for_the_files_of_the_build(engine: &Engine) {
        let file = format!("FROM {IMAGE}\nCOPY . /c\nRUN find /c -type f | sort");
        let files = [("Dockerfile", file.as_str()), (".dockerignore", "*\n"), ("a.md", ""), ("d/", ""), ("d/x", "")];
        let built = build(engine, "nocache=1", &files).await;
        assert!(built.text.contains("\n/c/a.md\n/c/d/x\n"), "{}", built.text);
        assert!(!built.text.contains("/c/Dockerfile") && !built.text.contains("/c/.dockerignore"), "{}", built.text);
    }

    async fn a_failing_command_is_named_with_its_code(engine: &Engine) {
        let failed = of_dockerfile(engine, "RUN echo so far; exit 42\nRUN echo never").await;
        assert!(failed.text.contains("so far\n") && !failed.text.contains("never"), "{}", failed.text);
        assert_eq!(failed.error["errorDetail"]["code"], json!(42), "{}", failed.error);
        assert_eq!(failed.error["error"], json!("The command '/bin/sh -c echo so far; exit 42' returned a non-zero code: 42"));
    }

    async fn mistakes_are_named(engine: &Engine) {
        for (text, words) in [
            ("FRO x", "unknown instruction: FRO"),
            ("RUN x", "no build stage in current context"),
            ("FROM scratch\nCOPY missing /", "file not found in build context or excluded by .dockerignore: stat missing"),
            ("FROM scratch\nCOPY --from=3 a /", "invalid from flag value 3"),
            ("FROM no.such.registry.invalid/x", "no.such.registry.invalid"),
            ("FROM scratch\nSHELL sh", "SHELL requires the arguments to be in JSON form"),
            ("FROM scratch\nCOPY one", "COPY requires at least two arguments"),
        ] {
            let failed = build(engine, "", &[("Dockerfile", text)]).await;
            let error = failed.error["error"].as_str().unwrap_or_default();
            assert!(error.contains(words), "{text:?}: {} {error}", failed.text);
        }
        let failed = build(engine, "dockerfile=Other", &[("Dockerfile", "FROM scratch")]).await;
        assert!(failed.error["error"].as_str().unwrap().contains("Cannot locate specified Dockerfile: Other"), "{}", failed.error);
    }

    async fn names_are_given_and_steps_are_hidden(engine: &Engine) {
        let (one, two) = (engine.name("one"), engine.name("two"));
        let file = format!("FROM {IMAGE}\nENV STEP={one}\nENV LAST=1");
        let built = build(engine, &format!("t={one}&t={two}:v2"), &[("Dockerfile", file.as_str())]).await;
        assert!(built.text.contains(&format!("Successfully tagged {one}:latest\n")), "{}", built.text);
        for name in [format!("{one}:latest"), format!("{two}:v2")] {
            assert_eq!(engine.get(&format!("/images/{name}/json")).await.expect(200).json()["Id"], json!(built.id()));
        }
        let parent = engine.get(&format!("/images/{}/json", built.id())).await.json()["Parent"].as_str().unwrap().to_owned();
        let ids = |list: Value| list.as_array().unwrap().iter().map(|image| image["Id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        assert!(!ids(engine.get("/images/json").await.json()).contains(&parent));
        assert!(ids(engine.get("/images/json?all=1").await.json()).contains(&parent));
        engine.delete(&format!("/images/{one}")).await.expect(200);
        engine.delete(&format!("/images/{two}:v2")).await.expect(200);
        engine.get(&format!("/images/{parent}/json")).await.expect(404);
    }

    async fn triggers_run_in_the_next_build(engine: &Engine) {
        let name = engine.name("trigger");
        let file = format!("FROM {IMAGE}\nONBUILD COPY a /a\nONBUILD RUN echo triggered $(cat /a)");
        build(engine, &format!("t={name}"), &[("Dockerfile", file.as_str())]).await;
        let file = format!("FROM {name}\nRUN echo own");
        let built = build(engine, "nocache=1", &[("Dockerfile", file.as_str()), ("a", "by a")]).await;
        assert!(built.text.contains("# Executing 2 build triggers"), "{}", built.text);
        assert!(built.text.contains("triggered by a\n"), "{}", built.text);
        assert!(config(engine, &built).await["OnBuild"].as_array().is_none_or(Vec::is_empty));
        engine.delete(&format!("/images/{}?force=1", built.id())).await.expect(200);
        engine.delete(&format!("/images/{name}?force=1")).await.expect(200);
    }

    async fn links_do_not_lead_out_of_the_context(engine: &Engine) {
        let file = format!("FROM {IMAGE}\nCOPY out /x");
        let failed = build(engine, "", &[("Dockerfile", file.as_str()), ("out", "-> ../../../../../../etc/hostname")]).await;
        assert!(failed.error["error"].as_str().unwrap_or_default().contains("file not found"), "{} {}", failed.text, failed.error);
    }
}

/// Mini alone: dockerd 20.10 knows these with BuildKit only.
mod of_mini {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn documents_mounts_and_modes_work_in_the_classic_builder() {
        Engine::mini("build-newer")
            .run(|engine| {
                Box::pin(async move {
                    let file = format!(
                        "FROM {IMAGE} AS base\nFROM base\nRUN <<END\necho lines\necho of a document\nEND\nRUN <<S\n#!/bin/sh\necho by $0\nS\nRUN cat <<X\nto a program\nX\n\
                         ARG WHO=me\nCOPY --chmod=0701 --link <<-A <<'B' /docs/\n\tfor $WHO\n\tA\nnot for $WHO\nB\n\
                         RUN --mount=type=cache,target=/cache,id={id} echo x >> /cache/x; wc -l < /cache/x\n\
                         RUN --mount=type=bind,target=/src,rw cat /src/f && rm /src/f\nRUN --mount=type=bind,from=base,source=/etc,target=/e ls /e/passwd\n\
                         RUN --mount=type=tmpfs,target=/t,size=1m df -k /t | tail -1 | awk '{{print $2}}'\nRUN --mount=type=secret,id=s echo no secret\n\
                         RUN --network=none ip -o link | wc -l\nRUN ls /cache /src /e /t",
                        id = engine.name("cache")
                    );
                    let files = [("Dockerfile", file.as_str()), ("f", "of the context\n")];
                    let built = build(&engine, "", &files).await;
                    for words in ["lines\nof a document\n", "by /dev/pipes/S\n", "to a program\n", "\n1\n", "of the context\n", "/e/passwd\n", "\n1024\n", "no secret\n"] {
                        assert!(built.text.contains(words), "{words:?}: {} {}", built.text, built.error);
                    }
                    let listed = output(&engine, built.id(), &["sh", "-c", "cat /docs/A /docs/B; stat -c %a /docs/A"]).await;
                    assert_eq!(listed, "for me\nnot for $WHO\n701\n");
                    let again = build(&engine, "nocache=1", &files).await;
                    assert!(again.text.contains("\n2\n"), "the cache was not kept: {}", again.text);
                    let secret = format!("FROM {IMAGE}\nRUN --mount=type=secret,id=s,required true");
                    let failed = build(&engine, "", &[("Dockerfile", secret.as_str())]).await;
                    assert!(failed.error["error"].as_str().unwrap().contains("secret s: not found"), "{}", failed.error);
                })
            })
            .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_build_whose_client_goes_away_leaves_nothing() {
        Engine::mini("build-gone")
            .run(|engine| {
                Box::pin(async move {
                    let file = format!("FROM {IMAGE}\nRUN echo begun; sleep 1000");
                    let labels = query(&engine.labels().to_string());
                    let path = format!("/build?labels={labels}");
                    let sending = engine.send(
                        "POST",
                        &path, "application/x-tar", context(&[("Dockerfile", file.as_str())]).into());
                    let running = || async {
                        let all = engine.get("/containers/json?all=1").await.json();
                        let all = all.as_array().unwrap().clone();
                        all.into_iter().find(|container| container["Command"].as_str().unwrap().contains("echo begun"))
                    };
                    tokio::select! {
                        answer = sending => panic!("it ended: {}", answer.text()),
                        _ = conformance::until("the command to run", || async { running().await.filter(|container| container["State"] == "running") }) => {}
                    }
                    conformance::until("the container to go", || async { running().await.is_none().then_some(()) }).await;
                })
            })
            .await;
    }
}
