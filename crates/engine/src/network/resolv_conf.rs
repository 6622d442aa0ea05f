//! The files by which a container's C library finds names: `resolv.conf` and `hosts`.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use super::dns::RESOLVER_ADDRESS;
use super::networks::Networks;
use super::record::{DEFAULT_NETWORK, Driver};
use super::sandbox::{DnsRequest, Sandbox};
use crate::error::{EngineError, Result};

const HOST_FILE: &str = "/etc/resolv.conf";
/// What systemd-resolved itself asks, where the host's file names only its stub on a loopback address.
const RESOLVED_FILE: &str = "/run/systemd/resolve/resolv.conf";
/// Docker's choice for a host without a resolver that containers can reach.
const FALLBACK_RESOLVERS: [&str; 2] = ["8.8.8.8", "8.8.4.4"];
/// Means the host itself in `--add-host NAME:host-gateway`.
const HOST_GATEWAY: &str = "host-gateway";

/// The content of a `resolv.conf`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ResolvConf {
    servers: Vec<IpAddr>,
    search: Vec<String>,
    options: Vec<String>,
}

impl ResolvConf {
    /// Reads the text of a file; what is not understood is left out. Of several `search` lines the last counts.
    pub(super) fn parse(text: &str) -> Self {
        let mut conf = Self::default();
        for line in text.lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_whitespace();
            match words.next() {
                // A zone (`fe80::1%eth0`) means nothing elsewhere.
                Some("nameserver") => conf
                    .servers
                    .extend(words.next().and_then(|word| word.parse::<IpAddr>().ok())),
                Some("search" | "domain") => conf.search = words.map(str::to_owned).collect(),
                Some("options") => conf.options.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        conf
    }

    /// Reads the host's file; a host without one has no resolvers.
    pub(super) async fn of_host() -> Self {
        tokio::fs::read_to_string(HOST_FILE)
            .await
            .map(|text| Self::parse(&text))
            .unwrap_or_default()
    }

    fn of_host_blocking() -> Self {
        std::fs::read_to_string(HOST_FILE)
            .map(|text| Self::parse(&text))
            .unwrap_or_default()
    }

    /// Where to send queries.
    pub(super) fn resolvers(&self) -> Vec<SocketAddr> {
        self.servers
            .iter()
            .map(|address| SocketAddr::new(*address, 53))
            .collect()
    }

    /// Replaces what was asked for.
    fn with(mut self, request: &DnsRequest) -> Self {
        if !request.servers.is_empty() {
            self.servers.clone_from(&request.servers);
        }
        if !request.search.is_empty() {
            self.search = request
                .search
                .iter()
                .filter(|domain| *domain != ".")
                .cloned()
                .collect();
        }
        if !request.options.is_empty() {
            self.options.clone_from(&request.options);
        }
        self
    }

    /// Replaces resolvers on the host's loopback, which are out of a container's reach.
    fn reachable(mut self, elsewhere: impl FnOnce() -> Self) -> Self {
        self.servers.retain(|address| !address.is_loopback());
        if self.servers.is_empty() {
            self.servers = elsewhere().servers;
            self.servers.retain(|address| !address.is_loopback());
        }
        if self.servers.is_empty() {
            self.servers = FALLBACK_RESOLVERS
                .iter()
                .filter_map(|address| address.parse().ok())
                .collect();
        }
        self
    }

    fn write(&self) -> String {
        let mut text = String::new();
        for server in &self.servers {
            writeln!(text, "nameserver {server}").ok();
        }
        if !self.search.is_empty() {
            writeln!(text, "search {}", self.search.join(" ")).ok();
        }
        if !self.options.is_empty() {
            writeln!(text, "options {}", self.options.join(" ")).ok();
        }
        text
    }
}

impl Networks {
    /// Returns the content of the container's `/etc/resolv.conf`. Blocks.
    pub(crate) fn resolv_conf(&self, sandbox: &Sandbox) -> String {
        let mut conf = ResolvConf::of_host_blocking().with(&sandbox.dns);
        if self.serves_dns(sandbox) {
            conf.servers = vec![RESOLVER_ADDRESS.into()];
            if !conf
                .options
                .iter()
                .any(|option| option.starts_with("ndots:"))
            {
                // A container's name has no dot and needs no search domain.
                conf.options.push("ndots:0".to_owned());
            }
            return conf.write();
        }
        if sandbox.netns_path.is_none() || !sandbox.dns.servers.is_empty() {
            return conf.write();
        }
        let resolved = || {
            std::fs::read_to_string(RESOLVED_FILE)
                .map(|text| ResolvConf::parse(&text))
                .unwrap_or_default()
        };
        conf.reachable(resolved).write()
    }

    /// Returns the content of the container's `/etc/hosts`. `extra_hosts` are Docker's `NAME:ADDRESS`, where the address
    /// may be `host-gateway`. Blocks.
    ///
    /// # Errors
    /// `Invalid` for a malformed entry.
    pub(crate) fn hosts_file(&self, sandbox: &Sandbox, extra_hosts: &[String]) -> Result<String> {
        let mut text = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\n\
             ff00::0\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
            .to_owned();
        for entry in extra_hosts {
            let invalid = || EngineError::Invalid(format!("bad format for add-host: {entry:?}"));
            // `NAME=ADDRESS` is the newer form, which an IPv6 address needs no care in.
            let (name, address) = entry
                .split_once('=')
                .or_else(|| entry.split_once(':'))
                .ok_or_else(invalid)?;
            let is_name = !name.is_empty()
                && !name.contains(|letter: char| letter.is_whitespace() || letter.is_control());
            let address = match address {
                HOST_GATEWAY => self.default_gateway(),
                text => text.trim_matches(['[', ']']).parse::<IpAddr>().ok(),
            };
            let address = address.filter(|_| is_name).ok_or_else(invalid)?;
            writeln!(text, "{address}\t{name}").ok();
        }
        for endpoint in &sandbox.endpoints {
            let ipv4 = endpoint.ipv4.map(|ipv4| IpAddr::V4(ipv4.address));
            let ipv6 = endpoint.ipv6.map(|ipv6| IpAddr::V6(ipv6.address));
            for address in ipv4.into_iter().chain(ipv6) {
                writeln!(text, "{address}\t{}", hosts_names(&sandbox.hostname)).ok();
            }
        }
        Ok(text)
    }

    /// The host's address on the default network.
    fn default_gateway(&self) -> Option<IpAddr> {
        let state = self.lock();
        Some(
            state
                .find(DEFAULT_NETWORK)
                .ok()?
                .record
                .subnet(true)?
                .gateway,
        )
    }

    /// Whether the container has a resolver of ours.
    pub(super) fn serves_dns(&self, sandbox: &Sandbox) -> bool {
        let state = self.lock();
        sandbox.endpoints.iter().any(|endpoint| {
            state
                .networks
                .get(&endpoint.network_id)
                .is_some_and(|network| {
                    network.record.driver == Driver::Bridge && network.record.has_dns()
                })
        })
    }
}

/// `host.domain` is also known as `host`.
fn hosts_names(hostname: &str) -> String {
    match hostname.split_once('.') {
        Some((host, _)) => format!("{hostname} {host}"),
        None => hostname.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn file_is_read_and_written() {
        let text = "# comment\nnameserver 10.0.0.53\nnameserver fe80::1%eth0\nsearch a b\nsearch c d\noptions ndots:2 edns0\n";
        let conf = ResolvConf::parse(text);
        assert_eq!(
            conf.write(),
            "nameserver 10.0.0.53\nsearch c d\noptions ndots:2 edns0\n"
        );
    }

    #[test]
    fn loopback_resolvers_are_replaced() {
        let stub = ResolvConf::parse("nameserver 127.0.0.53\n");
        let real = || ResolvConf::parse("nameserver 192.168.1.1\n");
        assert_eq!(
            stub.clone().reachable(real).write(),
            "nameserver 192.168.1.1\n"
        );
        assert_eq!(
            stub.reachable(ResolvConf::default).write(),
            "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"
        );
    }

    #[test]
    fn request_replaces_what_it_names() {
        let request = DnsRequest {
            search: vec![".".to_owned()],
            servers: vec!["1.1.1.1".parse().unwrap()],
            ..DnsRequest::default()
        };
        let conf =
            ResolvConf::parse("nameserver 10.0.0.53\nsearch a\noptions edns0\n").with(&request);
        assert_eq!(conf.write(), "nameserver 1.1.1.1\noptions edns0\n");
    }

    proptest! {
        #[test]
        fn any_file_is_read(text in "(nameserver|search|options|#|;| |\n|[a-z0-9.:%]){0,40}") {
            let conf = ResolvConf::parse(&text);
            prop_assert_eq!(ResolvConf::parse(&conf.write()), conf);
        }
    }
}
