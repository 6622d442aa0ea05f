//! Networks: the default bridge, own networks with names, published ports.

use conformance::{Engine, on_both, until};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// What a server on loopback says at once, or nothing.
async fn ask(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let mut text = String::new();
    tokio::time::timeout(
        std::time::Duration::from_secs(2),
        stream.read_to_string(&mut text),
    )
    .await
    .ok()?
    .ok()?;
    (!text.is_empty()).then_some(text)
}

const SERVE: [&str; 3] = [
    "sh",
    "-c",
    "while :; do echo hello from $(hostname) | nc -l -p 80; done",
];

on_both! {
    async fn a_container_has_an_address_on_the_bridge_and_a_way_to_its_gateway(engine: &Engine) {
        let container = engine.start(&["sleep", "1000"], json!({})).await;
        let network = container.inspect().await["NetworkSettings"]["Networks"]["bridge"].clone();
        let (address, gateway) = (network["IPAddress"].as_str().unwrap(), network["Gateway"].as_str().unwrap());
        let (code, out, err) = container.exec(&["sh", "-c", "ip -o -4 addr show eth0; ip route"]).await;
        assert_eq!(code, 0, "{out}{err}");
        assert!(out.contains(&format!("inet {address}/")), "{out}");
        assert!(out.contains(&format!("default via {gateway}")), "{out}");
        assert_eq!(network["MacAddress"].as_str().unwrap().len(), 17);
    }

    async fn a_published_port_answers_on_loopback(engine: &Engine) {
        let port = free_port();
        let more = json!({"ExposedPorts": {"80/tcp": {}}, "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": port.to_string()}]}}});
        let container = engine.start(&SERVE, more).await;
        let ports = container.inspect().await["NetworkSettings"]["Ports"].clone();
        assert_eq!(ports["80/tcp"], json!([{"HostIp": "127.0.0.1", "HostPort": port.to_string()}]));
        let text = until("an answer", || ask(port)).await;
        assert!(text.starts_with("hello from "), "{text}");
        engine.delete(&container.path("?force=1")).await.expect(204);
        until("the port to be free", || async { TcpStream::connect(("127.0.0.1", port)).await.is_err().then_some(()) }).await;
    }

    async fn a_port_without_a_number_gets_one(engine: &Engine) {
        let more = json!({"ExposedPorts": {"80/tcp": {}}, "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}}});
        let container = engine.start(&SERVE, more).await;
        let ports = container.inspect().await["NetworkSettings"]["Ports"].clone();
        let port: u16 = ports["80/tcp"][0]["HostPort"].as_str().unwrap().parse().unwrap();
        until("an answer", || ask(port)).await;
    }

    async fn a_port_in_use_fails_the_start_and_leaves_the_container_startable(engine: &Engine) {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let more = json!({"ExposedPorts": {"80/tcp": {}}, "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": port.to_string()}]}}});
        let container = engine.create(&SERVE, more).await;
        let answer = engine.post(&container.path("/start"), Value::Null).await;
        assert!([409, 500].contains(&answer.status), "{}", answer.text());
        assert!(answer.message().contains("already") && answer.message().contains(&port.to_string()), "{}", answer.text());
        assert_eq!(container.inspect().await["State"]["Running"], false);
        drop(taken);
        container.start().await;
        until("an answer", || ask(port)).await;
    }

    async fn names_and_aliases_resolve_on_an_own_network(engine: &Engine) {
        let network = engine.name("net");
        engine.post("/networks/create", json!({"Name": network, "Labels": engine.labels()})).await.expect(201);
        let server = engine.start(&SERVE, json!({"HostConfig": {"NetworkMode": network}, "NetworkingConfig": {"EndpointsConfig": {(network.clone()): {"Aliases": ["web"]}}}})).await;
        let name = server.inspect().await["Name"].as_str().unwrap().trim_start_matches('/').to_owned();
        let client = engine.start(&["sleep", "1000"], json!({"HostConfig": {"NetworkMode": network}})).await;
        for host in ["web", name.as_str(), &server.id[..12]] {
            let (code, out, err) = client.exec(&["lab", "resolve", host]).await;
            assert_eq!(code, 0, "{host}: {out}{err}");
        }
        let (code, ..) = client.exec(&["lab", "resolve", "nosuchname"]).await;
        assert_ne!(code, 0);
        let address = server.inspect().await["NetworkSettings"]["Networks"][&network]["IPAddress"].as_str().unwrap().to_owned();
        let answer = until("an answer", || async {
            let (code, out, _) = client.exec(&["nc", "-w", "2", &address, "80"]).await;
            (code == 0 && out.contains("hello")).then_some(out)
        })
        .await;
        assert!(answer.contains("hello from"));
        let inspect = engine.get(&format!("/networks/{network}")).await.expect(200).json();
        assert_eq!(inspect["Containers"].as_object().unwrap().len(), 2);
    }

    async fn connect_and_disconnect_live(engine: &Engine) {
        let network = engine.name("net");
        engine.post("/networks/create", json!({"Name": network, "Labels": engine.labels()})).await.expect(201);
        let container = engine.start(&["sleep", "1000"], json!({})).await;
        engine.post(&format!("/networks/{network}/connect"), json!({"Container": container.id})).await.expect(200);
        let (_, out, _) = container.exec(&["ip", "-o", "-4", "addr"]).await;
        assert!(out.contains("eth1"), "{out}");
        assert!(container.inspect().await["NetworkSettings"]["Networks"][&network]["IPAddress"].as_str().unwrap().contains('.'));
        engine.post(&format!("/networks/{network}/disconnect"), json!({"Container": container.id})).await.expect(200);
        let (_, out, _) = container.exec(&["ip", "-o", "-4", "addr"]).await;
        assert!(!out.contains("eth1"), "{out}");
    }

    async fn a_network_in_use_is_not_removed(engine: &Engine) {
        let network = engine.name("net");
        engine.post("/networks/create", json!({"Name": network, "Labels": engine.labels()})).await.expect(201);
        let container = engine.start(&["sleep", "1000"], json!({"HostConfig": {"NetworkMode": network}})).await;
        let answer = engine.delete(&format!("/networks/{network}")).await;
        assert!([403, 409].contains(&answer.status), "{}", answer.text());
        assert!(answer.message().contains("has active endpoints"), "{}", answer.text());
        engine.delete(&container.path("?force=1")).await.expect(204);
        engine.delete(&format!("/networks/{network}")).await.expect(204);
    }

    async fn a_static_address_is_given_and_a_foreign_one_refused(engine: &Engine) {
        let network = engine.name("net");
        let subnet = format!("10.{}.{}.0/24", 20 + std::process::id() % 150, free_port() % 250);
        let base = subnet.trim_end_matches("0/24").to_owned();
        let create = json!({"Name": network, "Labels": engine.labels(), "IPAM": {"Config": [{"Subnet": subnet, "Gateway": format!("{base}1")}]}});
        engine.post("/networks/create", create).await.expect(201);
        let endpoint = |address: String| json!({"HostConfig": {"NetworkMode": network}, "NetworkingConfig": {"EndpointsConfig": {(network.clone()): {"IPAMConfig": {"IPv4Address": address}}}}});
        let container = engine.start(&["sleep", "1000"], endpoint(format!("{base}77"))).await;
        assert_eq!(container.inspect().await["NetworkSettings"]["Networks"][&network]["IPAddress"], format!("{base}77"));
        let twice = engine.create(&["sleep", "1000"], endpoint(format!("{base}77"))).await;
        let answer = engine.post(&twice.path("/start"), Value::Null).await;
        assert!(answer.status >= 400 && answer.message().contains("Address already in use"), "{}", answer.text());
    }

    async fn no_network_means_loopback_only(engine: &Engine) {
        let container = engine.start(&["ip", "-o", "link"], json!({"HostConfig": {"NetworkMode": "none"}})).await;
        container.wait().await;
        let out = container.logs().await.0;
        assert!(out.contains("lo:") && !out.contains("eth0"), "{out}");
    }

    async fn a_container_joins_anothers_network(engine: &Engine) {
        let first = engine.start(&["sleep", "1000"], json!({})).await;
        let second = engine.start(&["readlink", "/proc/self/ns/net"], json!({"HostConfig": {"NetworkMode": format!("container:{}", first.id)}})).await;
        second.wait().await;
        assert_eq!(second.logs().await.0, first.exec(&["readlink", "/proc/self/ns/net"]).await.1);
    }

    async fn predefined_networks_are_listed_and_stay(engine: &Engine) {
        let list = engine.get("/networks").await.expect(200).json();
        for name in ["bridge", "host", "none"] {
            assert!(list.as_array().unwrap().iter().any(|network| network["Name"] == name), "{name}");
            let answer = engine.delete(&format!("/networks/{name}")).await.expect(403);
            assert!(answer.message().contains("pre-defined network"), "{}", answer.text());
        }
    }
}

/// A port that is free now; the kernel does not hand it out again soon.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
