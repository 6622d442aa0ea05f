//! What was asked for is what inspect and the inside of the container say.

use conformance::{Engine, IMAGE, on_both};
use serde_json::json;

on_both! {
    async fn inspect_gives_back_what_create_was_given(engine: &Engine) {
        let more = json!({
            "Hostname": "box", "User": "65534", "Env": ["A=1", "B=two words"], "WorkingDir": "/tmp", "StopSignal": "SIGINT",
            "ExposedPorts": {"80/tcp": {}}, "Labels": {"x.y/z": "ümlaut \"quoted\""},
            "HostConfig": {"Memory": 67_108_864, "NanoCpus": 500_000_000, "PidsLimit": 50, "ReadonlyRootfs": true, "CapAdd": ["NET_ADMIN"], "CapDrop": ["CHOWN"],
                           "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0}, "Tmpfs": {"/scratch": "size=1m"}, "ShmSize": 1_048_576}
        });
        let container = engine.create(&["sleep", "1"], more).await;
        let inspect = container.inspect().await;
        let config = &inspect["Config"];
        assert_eq!((&config["Hostname"], &config["User"], &config["WorkingDir"], &config["StopSignal"]), (&json!("box"), &json!("65534"), &json!("/tmp"), &json!("SIGINT")));
        assert_eq!(config["Cmd"], json!(["sleep", "1"]));
        for entry in ["A=1", "B=two words"] {
            assert!(config["Env"].as_array().unwrap().contains(&json!(entry)));
        }
        assert!(config["Env"].as_array().unwrap().iter().any(|entry| entry.as_str().unwrap().starts_with("PATH=")));
        assert_eq!(config["Labels"]["x.y/z"], "ümlaut \"quoted\"");
        assert_eq!(config["ExposedPorts"], json!({"80/tcp": {}}));
        assert_eq!(config["Image"], IMAGE);
        let host = &inspect["HostConfig"];
        assert_eq!((&host["Memory"], &host["NanoCpus"], &host["PidsLimit"], &host["ReadonlyRootfs"], &host["ShmSize"]), (&json!(67_108_864), &json!(500_000_000), &json!(50), &json!(true), &json!(1_048_576)));
        assert_eq!(host["RestartPolicy"]["Name"], "unless-stopped");
        assert_eq!(host["Tmpfs"], json!({"/scratch": "size=1m"}));
        assert_eq!(inspect["Path"], "sleep");
        assert_eq!(inspect["Args"], json!(["1"]));
        assert_eq!(inspect["State"]["StartedAt"], "0001-01-01T00:00:00Z");
        assert_eq!(inspect["RestartCount"], 0);
        assert!(inspect["NetworkSettings"]["Networks"].is_object());
        assert!(inspect["Mounts"].is_array());
    }

    async fn the_inside_is_as_declared(engine: &Engine) {
        let more = json!({"Hostname": "box", "User": "65534:65534", "WorkingDir": "/tmp", "Env": ["A=1"], "HostConfig": {"ReadonlyRootfs": true, "Tmpfs": {"/scratch": "size=1m"}}});
        let script = "hostname; id -u; id -g; pwd; echo $A $HOSTNAME; touch /x 2>/dev/null || echo read-only; touch /scratch/y && echo writable; grep -c /scratch /proc/mounts";
        let container = engine.start(&["sh", "-c", script], more).await;
        container.wait().await;
        assert_eq!(container.logs().await.0, "box\n65534\n65534\n/tmp\n1 box\nread-only\nwritable\n1\n");
    }

    async fn the_first_process_is_pid_1_in_namespaces_of_its_own(engine: &Engine) {
        let script = "echo $$; for n in pid net mnt uts ipc; do readlink /proc/self/ns/$n; done";
        let container = engine.start(&["sh", "-c", script], json!({})).await;
        container.wait().await;
        let out = container.logs().await.0;
        let mut lines = out.lines();
        assert_eq!(lines.next(), Some("1"));
        for (kind, line) in ["pid", "net", "mnt", "uts", "ipc"].iter().zip(lines) {
            let host = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
            assert_ne!(host.to_str().unwrap(), line);
        }
    }

    async fn privileges_are_dropped_by_default(engine: &Engine) {
        let script = "grep -E '^(CapEff|CapBnd|Seccomp):' /proc/self/status; mount -t tmpfs none /mnt 2>/dev/null && echo mounted; \
                      echo 1 2>/dev/null >/proc/sys/kernel/sysrq && echo wrote sysrq; cat /proc/kcore 2>/dev/null | head -c 1 | wc -c; \
                      mknod /tmp/d b 1 1 2>/dev/null && head -c1 /tmp/d 2>/dev/null && echo read device; \
                      echo 1 2>/dev/null >/sys/fs/cgroup/memory/x && echo wrote cgroup; unshare -U true 2>/dev/null && echo new user namespace; true";
        let container = engine.start(&["sh", "-c", script], json!({})).await;
        container.wait().await;
        let out = container.logs().await.0;
        let value = |key: &str| out.lines().find_map(|line| line.strip_prefix(key)).map(str::trim).unwrap_or_default().to_owned();
        let allowed = 0xa804_25fb_u64;
        assert_eq!(u64::from_str_radix(&value("CapEff:"), 16).unwrap() & !allowed, 0, "{out}");
        assert_eq!(u64::from_str_radix(&value("CapBnd:"), 16).unwrap() & !allowed, 0, "{out}");
        assert_eq!(value("Seccomp:"), "2");
        for word in ["mounted", "wrote", "read device", "new user namespace"] {
            assert!(!out.contains(word), "{word}: {out}");
        }
    }

    async fn no_new_privileges_and_no_seccomp_can_be_asked_for(engine: &Engine) {
        let more = json!({"HostConfig": {"SecurityOpt": ["no-new-privileges", "seccomp=unconfined"]}});
        let container = engine.start(&["grep", "-E", "^(NoNewPrivs|Seccomp):", "/proc/self/status"], more).await;
        container.wait().await;
        assert_eq!(container.logs().await.0, "NoNewPrivs:\t1\nSeccomp:\t0\n");
    }

    async fn host_namespaces_are_the_hosts(engine: &Engine) {
        let more = json!({"HostConfig": {"PidMode": "host", "NetworkMode": "host", "IpcMode": "host", "UTSMode": "host"}});
        let container = engine.start(&["sh", "-c", "for n in pid net uts ipc; do readlink /proc/self/ns/$n; done"], more).await;
        container.wait().await;
        let out = container.logs().await.0;
        for (kind, line) in ["pid", "net", "uts", "ipc"].iter().zip(out.lines()) {
            assert_eq!(std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().to_str().unwrap(), line);
        }
        assert_eq!(out.lines().count(), 4, "{out}");
    }

    async fn hosts_and_resolver_files_are_there(engine: &Engine) {
        let more = json!({"Hostname": "box", "HostConfig": {"ExtraHosts": ["friend:192.0.2.7"], "Dns": ["192.0.2.53"], "DnsSearch": ["example.org"]}});
        let container = engine.start(&["sh", "-c", "cat /etc/hosts /etc/resolv.conf /etc/hostname"], more).await;
        container.wait().await;
        let out = container.logs().await.0;
        for part in ["127.0.0.1\tlocalhost", "192.0.2.7\tfriend", "\tbox", "nameserver 192.0.2.53", "search example.org"] {
            assert!(out.contains(part), "{part:?} in {out}");
        }
    }

    async fn a_healthcheck_becomes_healthy(engine: &Engine) {
        let check = json!({"Healthcheck": {"Test": ["CMD-SHELL", "test -e /tmp/ok"], "Interval": 200_000_000, "Timeout": 5_000_000_000_u64, "Retries": 1, "StartPeriod": 60_000_000_000_u64}});
        let container = engine.start(&["sh", "-c", "sleep 0.5; touch /tmp/ok; sleep 1000"], check).await;
        conformance::until("healthy", || async { (container.inspect().await["State"]["Health"]["Status"] == "healthy").then_some(()) }).await;
        let events = container.events().await;
        assert!(events.iter().any(|event| event == "health_status: healthy"), "{events:?}");
    }
}
