//! Networks on the real kernel, in a network namespace that plays the host, so that nothing of this machine is touched.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard_stubs::models::{Ipam, IpamConfig, NetworkCreateRequest};
use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};
use sys::netns;

use super::elements;
use super::link;
use super::netlink::RouteSocket;
use super::networks::Networks;
use super::port::{PortRequest, Protocol};
use super::sandbox::{EndpointRequest, Sandbox, SandboxRequest};
use crate::config::EngineConfig;
use crate::error::EngineError;
use crate::events::EventBus;
use crate::filters::Filters;
use crate::programs::Program;

const DEADLINE: Duration = Duration::from_secs(5);
/// How long something that must not arrive is waited for.
const SILENCE: Duration = Duration::from_millis(300);

/// Runs `test` in a namespace of its own with a loopback link, and checks that it leaves no link and no table there.
fn on_a_host(test: impl FnOnce(&Path) + Send) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let host = dir.path().join("host");
    let handle = runtime.handle().clone();
    netns::create_with(&host, |_| {
        let _runtime = handle.enter();
        let mut socket = RouteSocket::open().unwrap();
        link::set_up_loopback(&mut socket, true).unwrap();
        test(dir.path());
        wait_for("links to be gone", || {
            link::list(&mut socket)
                .unwrap()
                .iter()
                .all(|link| link.name == "lo")
        });
    })
    .unwrap();
    netns::remove(&host).unwrap();
    runtime.shutdown_timeout(Duration::from_secs(1));
}

fn wait_for(what: &str, mut reached: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !reached() {
        assert!(Instant::now() < end, "wait for {what}");
        std::thread::yield_now();
    }
}

fn open(dir: &Path, engine: &str) -> Arc<Networks> {
    let config = EngineConfig::new(
        dir.join(engine).join("state"),
        dir.join(engine).join("run"),
        "/mini".into(),
    );
    std::fs::create_dir_all(config.engine_dir()).unwrap();
    let events = EventBus::open(&dir.join(engine).join("events")).unwrap();
    Networks::open(&config, events).unwrap()
}

fn container(number: u32, name: &str, networks: &[&str]) -> SandboxRequest {
    SandboxRequest {
        container_id: format!("{number:08x}{}", "0".repeat(56)),
        container_name: name.to_owned(),
        hostname: format!("{name}-host"),
        endpoints: networks
            .iter()
            .map(|network| EndpointRequest {
                network: (*network).to_owned(),
                ..EndpointRequest::default()
            })
            .collect(),
        ..SandboxRequest::default()
    }
}

fn publish(host_ip: Option<Ipv4Addr>, host_port: Option<u16>, protocol: Protocol) -> PortRequest {
    PortRequest {
        container_port: 80,
        protocol,
        host_ip: host_ip.map(IpAddr::from),
        host_ports: host_port.map(|port| (port, port)),
    }
}

fn named(name: &str) -> NetworkCreateRequest {
    NetworkCreateRequest {
        name: name.to_owned(),
        ..NetworkCreateRequest::default()
    }
}

fn address(sandbox: &Sandbox) -> Ipv4Addr {
    sandbox.endpoints[0].ipv4.unwrap().address
}

fn inside<T: Send>(sandbox: &Sandbox, work: impl FnOnce() -> T + Send) -> T {
    netns::run_at(sandbox.netns_path.as_ref().unwrap(), work).unwrap()
}

/// Answers `hello` to every connection to port 80 of the container.
fn serve(sandbox: &Sandbox) {
    let listener = inside(sandbox, || TcpListener::bind("0.0.0.0:80").unwrap());
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            stream.write_all(b"hello").ok();
        }
    });
}

fn reaches(address: impl Into<IpAddr>, port: u16) -> bool {
    reaches_within(DEADLINE, address.into(), port)
}

fn stays_out_of_reach(address: impl Into<IpAddr>, port: u16) -> bool {
    !reaches_within(SILENCE, address.into(), port)
}

fn reaches_within(patience: Duration, address: IpAddr, port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&SocketAddr::new(address, port), patience)
    else {
        return false;
    };
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).is_ok() && answer == "hello"
}

fn resolve(name: &str, kind: RecordType) -> Message {
    let mut query = Message::new(9, MessageType::Query, OpCode::Query);
    query.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
        .send_to(&query.to_vec().unwrap(), "127.0.0.11:53")
        .unwrap();
    let mut buffer = [0; 1500];
    let length = socket.recv(&mut buffer).unwrap();
    Message::from_vec(&buffer[..length]).unwrap()
}

fn resolved(name: &str) -> Vec<String> {
    resolve(name, RecordType::A)
        .answers
        .iter()
        .map(|record| record.data.to_string())
        .collect()
}

#[test]
fn kernel_containers_reach_each_other_by_name() {
    on_a_host(|dir| {
        let networks = open(dir, "a");
        networks.create(named("front")).unwrap();
        let mut request = container(1, "web", &["front"]);
        request.endpoints[0].aliases = vec!["www".to_owned()];
        let web = networks.prepare_sandbox(&request).unwrap();
        let client = networks
            .prepare_sandbox(&container(2, "client", &["front"]))
            .unwrap();
        serve(&web);
        let expected = vec![address(&web).to_string()];
        for name in ["web.", "WWW.", "web.front.", "000000010000.", "web-host."] {
            assert_eq!(inside(&client, || resolved(name)), expected, "{name}");
        }
        assert!(inside(&client, || reaches(address(&web), 80)));
        let reverse = address(&web).octets();
        let reverse = format!(
            "{}.{}.{}.{}.in-addr.arpa.",
            reverse[3], reverse[2], reverse[1], reverse[0]
        );
        let answer = inside(&client, || resolve(&reverse, RecordType::PTR));
        assert_eq!(answer.answers[0].data.to_string(), "web.front.");
        networks.rename(&web.container_id, "site").unwrap();
        assert_eq!(inside(&client, || resolved("site.")), expected);
        // The same names over TCP.
        let mut stream = inside(&client, || TcpStream::connect("127.0.0.11:53").unwrap());
        let mut query = Message::new(3, MessageType::Query, OpCode::Query);
        query.add_query(Query::query(
            Name::from_ascii("site.").unwrap(),
            RecordType::A,
        ));
        let query = query.to_vec().unwrap();
        stream
            .write_all(&u16::try_from(query.len()).unwrap().to_be_bytes())
            .unwrap();
        stream.write_all(&query).unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(Message::from_vec(&answer).unwrap().answers.len(), 1);
        assert!(
            networks
                .resolv_conf(&web)
                .starts_with("nameserver 127.0.0.11\n")
        );
        assert!(
            networks
                .hosts_file(&web, &[])
                .unwrap()
                .contains(&format!("{}\tweb-host", address(&web)))
        );
        networks.release(&web.container_id).unwrap();
        networks.release(&client.container_id).unwrap();
        networks.release(&client.container_id).unwrap();
        networks.remove("front").unwrap();
        networks.close().unwrap();
        assert!(!table_exists(dir, "a"));
    });
}

fn table_exists(dir: &Path, engine: &str) -> bool {
    let config = EngineConfig::new(
        dir.join(engine).join("state"),
        dir.join(engine).join("run"),
        "/mini".into(),
    );
    elements::table_exists(&format!("containeros-{}", config.instance_tag().unwrap())).unwrap()
}

#[test]
fn kernel_published_ports_lead_to_the_container() {
    on_a_host(|dir| {
        let networks = open(dir, "a");
        let mut request = container(1, "web", &["bridge"]);
        request.ports = vec![
            publish(Some(Ipv4Addr::LOCALHOST), None, Protocol::Tcp),
            publish(None, None, Protocol::Tcp),
            publish(None, None, Protocol::Udp),
        ];
        let web = networks.prepare_sandbox(&request).unwrap();
        serve(&web);
        let [local, any, udp] = web.ports[..] else {
            panic!("{:?}", web.ports)
        };
        let gateway = web.endpoints[0].ipv4.unwrap().gateway.unwrap();
        assert!(reaches(Ipv4Addr::LOCALHOST, local.host_port));
        assert!(reaches(Ipv4Addr::LOCALHOST, any.host_port));
        assert!(reaches(gateway, any.host_port), "by an address of the host");
        assert!(
            stays_out_of_reach(gateway, local.host_port),
            "published on the loopback only"
        );
        assert!(
            inside(&web, || reaches(gateway, any.host_port)),
            "a container reaches its own published port"
        );
        let other = networks
            .prepare_sandbox(&container(2, "other", &["bridge"]))
            .unwrap();
        assert!(
            inside(&other, || reaches(gateway, any.host_port)),
            "and so does its neighbour"
        );
        assert!(inside(&other, || stays_out_of_reach(
            gateway,
            local.host_port
        )));
        let listener = inside(&web, || UdpSocket::bind("0.0.0.0:80").unwrap());
        listener.set_read_timeout(Some(DEADLINE)).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.set_read_timeout(Some(DEADLINE)).unwrap();
        sender
            .send_to(b"ping", ("127.0.0.1", udp.host_port))
            .unwrap();
        let mut buffer = [0; 16];
        let (length, from) = listener.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"ping");
        listener.send_to(b"pong", from).unwrap();
        let (length, from) = sender.recv_from(&mut buffer).unwrap();
        assert_eq!(
            (&buffer[..length], from.port()),
            (&b"pong"[..], udp.host_port)
        );

        let mut taken = container(3, "third", &["bridge"]);
        taken.ports = vec![publish(None, Some(any.host_port), Protocol::Tcp)];
        let error = networks.prepare_sandbox(&taken).unwrap_err().to_string();
        assert!(
            error
                .starts_with("driver failed programming external connectivity on endpoint third ("),
            "{error}"
        );
        assert!(
            error.ends_with(&format!(
                "Bind for 0.0.0.0:{} failed: port is already allocated",
                any.host_port
            )),
            "{error}"
        );
        let foreign = TcpListener::bind("127.0.0.1:0").unwrap();
        taken.ports = vec![publish(
            None,
            Some(foreign.local_addr().unwrap().port()),
            Protocol::Tcp,
        )];
        let error = networks.prepare_sandbox(&taken).unwrap_err().to_string();
        assert!(error.ends_with("bind: address already in use"), "{error}");
        assert!(networks.sandbox(&taken.container_id).is_none());
        assert!(!networks.netns_path(&taken.container_id).exists());

        networks.release(&web.container_id).unwrap();
        assert!(stays_out_of_reach(Ipv4Addr::LOCALHOST, any.host_port));
        taken.ports = vec![publish(None, Some(any.host_port), Protocol::Tcp)];
        networks.prepare_sandbox(&taken).unwrap();
        networks.release(&taken.container_id).unwrap();
        networks.release(&other.container_id).unwrap();
        networks.close().unwrap();
    });
}

#[test]
fn kernel_networks_are_kept_apart() {
    on_a_host(|dir| {
        let (ours, theirs) = (open(dir, "a"), open(dir, "b"));
        ours.create(named("front")).unwrap();
        ours.create(NetworkCreateRequest {
            internal: Some(true),
            ..named("inner")
        })
        .unwrap();
        let mut request = container(1, "web", &["front"]);
        request.ports = vec![publish(None, None, Protocol::Tcp)];
        let web = ours.prepare_sandbox(&request).unwrap();
        serve(&web);
        let other = ours
            .prepare_sandbox(&container(2, "other", &["bridge"]))
            .unwrap();
        let inner = ours
            .prepare_sandbox(&container(3, "inner", &["inner"]))
            .unwrap();
        // Stands for another machine of the network: it reaches this engine's containers through the host only.
        let neighbour = theirs
            .prepare_sandbox(&container(4, "neighbour", &["bridge"]))
            .unwrap();
        let port = web.ports[0].host_port;
        let gateway_of = |sandbox: &Sandbox| sandbox.endpoints[0].ipv4.unwrap().gateway;
        assert_ne!(gateway_of(&other), gateway_of(&neighbour));
        for stranger in [&other, &neighbour] {
            assert!(
                inside(stranger, || stays_out_of_reach(address(&web), 80)),
                "{} reaches an unpublished port",
                stranger.container_name
            );
            let gateway = gateway_of(stranger).unwrap();
            assert!(
                inside(stranger, || reaches(gateway, port)),
                "{} does not reach the published port",
                stranger.container_name
            );
        }
        assert_eq!(gateway_of(&inner), None);
        assert!(inside(&inner, || stays_out_of_reach(address(&web), 80)));
        assert!(
            inside(&other, || std::net::UdpSocket::bind("127.0.0.11:53")
                .is_ok()),
            "no resolver on the default network"
        );
        let code = inside(&inner, || resolve("example.org.", RecordType::A))
            .metadata
            .response_code;
        assert_eq!(code, hickory_proto::op::ResponseCode::NXDomain);
        for sandbox in [&web, &other, &inner] {
            ours.release(&sandbox.container_id).unwrap();
        }
        theirs.release(&neighbour.container_id).unwrap();
        ours.remove("front").unwrap();
        ours.remove("inner").unwrap();
        ours.close().unwrap();
        theirs.close().unwrap();
    });
}

#[test]
fn kernel_running_containers_are_found_again() {
    on_a_host(|dir| {
        let networks = open(dir, "a");
        let (id, _) = networks.create(named("front")).unwrap();
        let mut request = container(1, "web", &["front"]);
        request.ports = vec![publish(None, None, Protocol::Tcp)];
        let web = networks.prepare_sandbox(&request).unwrap();
        serve(&web);
        let gone = networks
            .prepare_sandbox(&container(2, "gone", &["front"]))
            .unwrap();
        // As after kill -9: nothing of the first one is asked to end in order.
        networks.dns.stop(&web.container_id);
        networks.lock().reservations.clear();
        drop(networks);
        assert!(
            reaches(Ipv4Addr::LOCALHOST, web.ports[0].host_port),
            "traffic goes on without the engine"
        );

        let again = open(dir, "a");
        again
            .recover(&HashSet::from([web.container_id.clone()]))
            .unwrap();
        again
            .recover(&HashSet::from([web.container_id.clone()]))
            .unwrap();
        assert!(!gone.netns_path.unwrap().exists());
        assert_eq!(again.sandbox(&web.container_id).as_ref(), Some(&web));
        assert!(reaches(Ipv4Addr::LOCALHOST, web.ports[0].host_port));
        assert_eq!(
            inside(&web, || resolved("web.")),
            [address(&web).to_string()]
        );
        assert_eq!(
            again.inspect(&id[..12]).unwrap().containers.unwrap().len(),
            1
        );
        let next = again
            .prepare_sandbox(&container(3, "next", &["front"]))
            .unwrap();
        assert_ne!(address(&next), address(&web));
        let mut taken = container(4, "taken", &["front"]);
        taken.ports = vec![publish(None, Some(web.ports[0].host_port), Protocol::Tcp)];
        assert!(again.prepare_sandbox(&taken).is_err());
        assert!(matches!(
            again.remove("front"),
            Err(EngineError::Forbidden(_))
        ));
        again.close().unwrap();
        assert!(
            reaches(Ipv4Addr::LOCALHOST, web.ports[0].host_port),
            "close leaves running containers alone"
        );
        again.release(&web.container_id).unwrap();
        again.release(&next.container_id).unwrap();
        assert_eq!(again.prune(&Filters::default()).unwrap(), ["front"]);
        again.close().unwrap();
    });
}

#[test]
fn kernel_container_joins_and_leaves_a_network_while_it_runs() {
    on_a_host(|dir| {
        let networks = open(dir, "a");
        networks.create(named("front")).unwrap();
        networks.create(named("back")).unwrap();
        let mut request = container(1, "web", &["back"]);
        request.ports = vec![publish(None, None, Protocol::Tcp)];
        let web = networks.prepare_sandbox(&request).unwrap();
        serve(&web);
        let client = networks
            .prepare_sandbox(&container(2, "client", &["front"]))
            .unwrap();
        assert!(inside(&client, || resolved("web.")).is_empty());
        let request = EndpointRequest {
            network: "front".to_owned(),
            aliases: vec!["alias".to_owned()],
            ..EndpointRequest::default()
        };
        let joined = networks.attach(&web.container_id, &request).unwrap();
        let joined_address = joined.ipv4.unwrap().address;
        assert_eq!(joined.interface, "eth1");
        assert_eq!(
            inside(&client, || resolved("alias.")),
            [joined_address.to_string()]
        );
        assert!(inside(&client, || reaches(joined_address, 80)));
        assert!(
            inside(&web, || resolved("client.")).len() == 1,
            "its own resolver knows the new network"
        );
        assert!(
            networks.attach(&web.container_id, &request).is_err(),
            "twice"
        );
        // `back` comes before `front`: the default route and the published port stay.
        assert!(reaches(Ipv4Addr::LOCALHOST, web.ports[0].host_port));
        networks.detach(&web.container_id, "back").unwrap();
        assert!(
            reaches(Ipv4Addr::LOCALHOST, web.ports[0].host_port),
            "the published port moves along"
        );
        networks.detach(&web.container_id, "front").unwrap();
        assert!(networks.detach(&web.container_id, "front").is_err());
        assert!(inside(&client, || resolved("alias.")).is_empty());
        networks.release(&web.container_id).unwrap();
        networks.release(&client.container_id).unwrap();
        networks.remove("front").unwrap();
        networks.remove("back").unwrap();
        networks.close().unwrap();
    });
}

#[test]
fn kernel_fixed_addresses_and_subnets_are_kept() {
    on_a_host(|dir| {
        let networks = open(dir, "a");
        let config = |subnet: &str| IpamConfig {
            subnet: Some(subnet.to_owned()),
            ..IpamConfig::default()
        };
        let ipam = Ipam {
            config: Some(vec![config("10.77.0.0/24"), config("fd77::/64")]),
            ..Ipam::default()
        };
        let request = NetworkCreateRequest {
            ipam: Some(ipam),
            enable_ipv6: Some(true),
            ..named("fixed")
        };
        networks.create(request.clone()).unwrap();
        let error = networks
            .create(NetworkCreateRequest {
                name: "again".to_owned(),
                ..request
            })
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "Pool overlaps with other one on this address space"
        );
        let mut wanted = container(1, "web", &["fixed"]);
        wanted.endpoints[0].ipv4 = Some(Ipv4Addr::new(10, 77, 0, 9));
        wanted.endpoints[0].mac = Some("02:11:22:33:44:55".parse().unwrap());
        let web = networks.prepare_sandbox(&wanted).unwrap();
        assert_eq!(address(&web), Ipv4Addr::new(10, 77, 0, 9));
        let settings = web.endpoints[0].to_settings();
        assert_eq!(settings.mac_address.as_deref(), Some("02:11:22:33:44:55"));
        assert_eq!(
            settings.ipam_config.unwrap().ipv4_address.as_deref(),
            Some("10.77.0.9")
        );
        // Of this thread: `/proc/net` is the first thread's, which stays outside.
        let addresses = inside(&web, || {
            std::fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap()
        });
        assert!(addresses.contains("eth0"), "{addresses}");
        let mut second = container(2, "second", &["fixed"]);
        second.endpoints[0].ipv4 = Some(Ipv4Addr::new(10, 77, 0, 9));
        assert_eq!(
            networks.prepare_sandbox(&second).unwrap_err().to_string(),
            "Address already in use"
        );
        second.endpoints[0].ipv4 = None;
        let second = networks.prepare_sandbox(&second).unwrap();
        let listener = inside(&web, || TcpListener::bind("[::]:81").unwrap());
        let target = web.endpoints[0].ipv6.unwrap().address;
        inside(&second, || {
            TcpStream::connect_timeout(&(target, 81).into(), DEADLINE).unwrap()
        });
        drop(listener);
        networks.release(&web.container_id).unwrap();
        networks.release(&second.container_id).unwrap();
        networks.remove("fixed").unwrap();
        networks.close().unwrap();
    });
}

#[test]
fn kernel_network_of_one_name_is_made_once() {
    on_a_host(|dir| {
        let networks = open(dir, "a");
        let host = netns::open_own().unwrap();
        let made: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    let (networks, host) = (Arc::clone(&networks), &host);
                    scope.spawn(move || {
                        netns::run(std::os::fd::AsFd::as_fd(host), || {
                            usize::from(networks.create(named("one")).is_ok())
                        })
                        .unwrap()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(made, 1);
        let error = networks.create(named("one")).unwrap_err();
        assert_eq!(error.to_string(), "network with name one already exists");
        assert!(matches!(
            networks.remove("bridge"),
            Err(EngineError::Forbidden(_))
        ));
        assert!(matches!(
            networks.remove("nothing"),
            Err(EngineError::NotFound(_))
        ));
        networks.remove("one").unwrap();
        networks.close().unwrap();
    });
}

#[test]
fn kernel_removed_table_and_bridge_are_put_back() {
    on_a_host(|dir| {
        let networks = open(dir, "a");
        let mut request = container(1, "web", &["bridge"]);
        request.ports = vec![publish(None, None, Protocol::Tcp)];
        let web = networks.prepare_sandbox(&request).unwrap();
        serve(&web);
        Program::Nft.run(&["flush", "ruleset"], "").unwrap();
        networks.verify().unwrap();
        assert!(reaches(Ipv4Addr::LOCALHOST, web.ports[0].host_port));
        networks.release(&web.container_id).unwrap();
        let bridge = networks.names.default_bridge();
        link::delete(&mut RouteSocket::open().unwrap(), &bridge).unwrap();
        let web = networks.prepare_sandbox(&request).unwrap();
        serve(&web);
        assert!(reaches(Ipv4Addr::LOCALHOST, web.ports[0].host_port));
        networks.release(&web.container_id).unwrap();
        networks.close().unwrap();
    });
}

#[test]
fn kernel_host_and_none_have_no_links() {
    on_a_host(|dir| {
        let networks = open(dir, "a");
        let host = networks
            .prepare_sandbox(&container(1, "host", &["host"]))
            .unwrap();
        assert_eq!((host.netns_path.as_ref(), host.endpoints.len()), (None, 1));
        let none = networks
            .prepare_sandbox(&container(2, "none", &["none"]))
            .unwrap();
        let links = inside(&none, || {
            link::list(&mut RouteSocket::open().unwrap()).unwrap()
        });
        assert!(
            links.iter().all(|link| !link.name.starts_with("eth")),
            "{links:?}"
        );
        networks.release(&host.container_id).unwrap();
        networks.release(&none.container_id).unwrap();
        networks.close().unwrap();
    });
}

#[test]
fn kernel_packets_pass_a_policy_of_others_that_drops() {
    if Program::IptablesNft.find().is_none() {
        eprintln!("skipped: iptables-nft is not installed");
        return;
    }
    let forward = |arguments: &[&str]| Program::IptablesNft.run(arguments, "").unwrap();
    on_a_host(|dir| {
        let (ours, theirs) = (open(dir, "a"), open(dir, "b"));
        let mut request = container(1, "web", &["bridge"]);
        request.ports = vec![publish(None, None, Protocol::Tcp)];
        let web = ours.prepare_sandbox(&request).unwrap();
        serve(&web);
        let client = theirs
            .prepare_sandbox(&container(2, "client", &["bridge"]))
            .unwrap();
        let gateway = client.endpoints[0].ipv4.unwrap().gateway.unwrap();
        let port = web.ports[0].host_port;
        forward(&["-P", "FORWARD", "DROP"]);
        assert!(inside(&client, || stays_out_of_reach(gateway, port)));
        ours.verify().unwrap();
        ours.verify().unwrap();
        theirs.verify().unwrap();
        assert!(inside(&client, || reaches(gateway, port)));
        assert!(inside(&client, || stays_out_of_reach(address(&web), 80)));
        ours.release(&web.container_id).unwrap();
        theirs.release(&client.container_id).unwrap();
        ours.close().unwrap();
        theirs.close().unwrap();
        assert_eq!(forward(&["-S", "FORWARD"]), "-P FORWARD DROP\n");
    });
}

/// What the network of a start costs; run with `--ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn kernel_cost_of_a_sandbox() {
    on_a_host(|dir| {
        let networks = open(dir, "a");
        networks.create(named("front")).unwrap();
        let port = || vec![publish(None, None, Protocol::Tcp)];
        for (kind, network, ports) in [
            ("none", "none", Vec::new()),
            ("bridge", "bridge", Vec::new()),
            ("bridge, one port", "bridge", port()),
            ("user-defined with DNS", "front", Vec::new()),
        ] {
            let mut made = Vec::new();
            let mut released = Vec::new();
            for number in 0..60 {
                let mut request = container(number + 1, "c", &[network]);
                request.ports.clone_from(&ports);
                let start = Instant::now();
                networks.prepare_sandbox(&request).unwrap();
                made.push(start.elapsed());
                let start = Instant::now();
                networks.release(&request.container_id).unwrap();
                released.push(start.elapsed());
            }
            made.sort();
            released.sort();
            eprintln!(
                "{kind}: prepare min {:?} median {:?} p95 {:?}; release median {:?}",
                made[0],
                made[made.len() / 2],
                made[made.len() * 95 / 100],
                released[released.len() / 2]
            );
        }
        networks.remove("front").unwrap();
        networks.close().unwrap();
    });
}
