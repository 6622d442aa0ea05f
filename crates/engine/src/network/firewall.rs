//! The engine's own nftables table: translation of addresses and published ports, isolation of networks.
//!
//! One table for everything, replaced as a whole in one transaction when a network comes or goes; a published port is
//! one element of a map, added and removed by itself. The rules live in the kernel, so they hold while the engine is
//! stopped. No text of a user gets into them: only addresses that were parsed and link names that were checked.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::elements::{self, ADDRESS_MAP, ANY_MAP, PortKey, PortTarget};
use super::forward_policy::ForwardPolicy;
use super::port::PublishedPort;
use super::subnet::Subnet;
use crate::error::{EngineError, Result};
use crate::programs::Program;

/// What the table holds for one network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NetworkRules {
    /// Subnets of the network.
    pub(super) subnets: Vec<Subnet>,
    /// Nothing leads in or out.
    pub(super) internal: bool,
    /// Packets that leave get the host's address.
    pub(super) masquerade: bool,
}

#[derive(Debug, Default)]
struct Content {
    /// By bridge.
    networks: BTreeMap<String, NetworkRules>,
    ports: BTreeMap<PortKey, PortTarget>,
}

/// The engine's part of the firewall. All calls block.
#[derive(Debug)]
pub(super) struct Firewall {
    table: String,
    forward_policy: ForwardPolicy,
    /// Locked while the kernel is changed, so that changes come in one order.
    content: Mutex<Content>,
}

impl Firewall {
    /// The firewall of the engine with this tag whose links begin with `link_prefix`. Changes nothing yet.
    pub(super) fn new(tag: Option<&str>, link_prefix: &str) -> Self {
        Self {
            table: tag.map_or_else(
                || "containeros".to_owned(),
                |tag| format!("containeros-{tag}"),
            ),
            forward_policy: ForwardPolicy::new(link_prefix),
            content: Mutex::default(),
        }
    }

    /// Name of the table.
    pub(super) fn table(&self) -> &str {
        &self.table
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        // Content that went in before a panic is still what was asked for.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds or replaces the rules of the network on this bridge.
    pub(super) fn set_network(&self, bridge: &str, rules: NetworkRules) -> Result<()> {
        let mut content = self.lock();
        if content.networks.get(bridge) == Some(&rules)
            && elements::table_exists(&self.table).unwrap_or(false)
        {
            return Ok(());
        }
        let previous = content.networks.insert(bridge.to_owned(), rules);
        let applied = self.apply(&content);
        if applied.is_err() {
            match previous {
                Some(previous) => content.networks.insert(bridge.to_owned(), previous),
                None => content.networks.remove(bridge),
            };
        }
        applied
    }

    /// Removes the rules of the network on this bridge.
    pub(super) fn remove_network(&self, bridge: &str) -> Result<()> {
        let mut content = self.lock();
        match content.networks.remove(bridge) {
            Some(_) => self.apply(&content),
            None => Ok(()),
        }
    }

    /// Leads published ports to a container.
    pub(super) fn publish(&self, container: Ipv4Addr, ports: &[PublishedPort]) -> Result<()> {
        let added: Vec<_> = ports
            .iter()
            .map(|port| (key(port), target(container, port)))
            .collect();
        let mut content = self.lock();
        content.ports.extend(added.iter().copied());
        let applied = match elements::add(&self.table, &added) {
            // The table was flushed by someone.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.apply(&content),
            other => other.map_err(EngineError::io(
                "publish ports in firewall table",
                &self.table,
            )),
        };
        if applied.is_err() {
            content
                .ports
                .retain(|key, _| !added.iter().any(|(other, _)| other == key));
        }
        applied
    }

    /// Ends the translation of published ports.
    pub(super) fn unpublish(&self, ports: &[PublishedPort]) -> Result<()> {
        let keys: Vec<_> = ports.iter().map(key).collect();
        let mut content = self.lock();
        let known: Vec<_> = keys
            .into_iter()
            .filter(|key| content.ports.remove(key).is_some())
            .collect();
        match elements::remove(&self.table, &known) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.apply(&content),
            other => other.map_err(EngineError::io(
                "withdraw ports from firewall table",
                &self.table,
            )),
        }
    }

    /// Brings back networks and ports that an earlier process had put there.
    pub(super) fn restore(
        &self,
        networks: impl IntoIterator<Item = (String, NetworkRules)>,
        ports: impl IntoIterator<Item = (Ipv4Addr, PublishedPort)>,
    ) -> Result<()> {
        let mut content = self.lock();
        content.networks.extend(networks);
        content.ports.extend(
            ports
                .into_iter()
                .map(|(container, port)| (key(&port), target(container, &port))),
        );
        if content.networks.is_empty() {
            return Ok(());
        }
        self.apply(&content)
    }

    /// Puts the table back when someone removed it, and looks again at what others do to forwarded packets.
    pub(super) fn verify(&self) -> Result<()> {
        let content = self.lock();
        if content.networks.is_empty() {
            return Ok(());
        }
        let exists = elements::table_exists(&self.table)
            .map_err(EngineError::io("read firewall table", &self.table))?;
        if !exists {
            tracing::warn!(
                table = self.table,
                "firewall table was removed by another program; put it back"
            );
            return self.apply(&content);
        }
        self.forward_policy.let_through()
    }

    /// Removes the table and what was added for others' rules.
    pub(super) fn tear_down(&self) -> Result<()> {
        let mut content = self.lock();
        *content = Content::default();
        self.forward_policy.withdraw()?;
        if !elements::table_exists(&self.table)
            .map_err(EngineError::io("read firewall table", &self.table))?
        {
            return Ok(());
        }
        // Without the `delete` an absent table is no error, with it a present one goes.
        let script = format!("table inet {0}\ndelete table inet {0}\n", self.table);
        Program::Nft.run(&["-f", "-"], &script).map(drop)
    }

    fn apply(&self, content: &Content) -> Result<()> {
        allow_forwarding()?;
        Program::Nft.run(&["-f", "-"], &script(&self.table, content))?;
        self.forward_policy.let_through()
    }
}

/// Lets the host forward packets between links at all.
fn allow_forwarding() -> Result<()> {
    const SETTING: &str = "/proc/sys/net/ipv4/ip_forward";
    let current = std::fs::read_to_string(SETTING).map_err(EngineError::io("read", SETTING))?;
    if current.trim() != "1" {
        sys::netns::write_sysctl("ipv4/ip_forward", "1")
            .map_err(EngineError::io("write", SETTING))?;
    }
    Ok(())
}

fn key(port: &PublishedPort) -> PortKey {
    PortKey {
        host_ip: port.host_ip,
        protocol: port.protocol,
        host_port: port.host_port,
    }
}

fn target(container: Ipv4Addr, port: &PublishedPort) -> PortTarget {
    PortTarget {
        address: container,
        port: port.container_port,
    }
}

/// The whole table in nft's own language; replaces what is there in one transaction.
fn script(table: &str, content: &Content) -> String {
    let mut text =
        format!("table inet {table}\ndelete table inet {table}\ntable inet {table} {{\n");
    write_sets(&mut text, content);
    text.push_str(
        "  chain guard {\n\
        \x20   type filter hook prerouting priority raw; policy accept;\n\
        \x20   iifname @bridges ip daddr 127.0.0.0/8 drop\n\
        \x20 }\n\
        \x20 chain publish {\n\
        \x20   dnat ip to ip daddr . meta l4proto . th dport map @publish_address\n\
        \x20   dnat ip to meta l4proto . th dport map @publish_any\n\
        \x20 }\n\
        \x20 chain prerouting {\n\
        \x20   type nat hook prerouting priority dstnat; policy accept;\n\
        \x20   ip daddr 127.0.0.0/8 return\n\
        \x20   fib daddr type local jump publish\n\
        \x20 }\n\
        \x20 chain output {\n\
        \x20   type nat hook output priority -100; policy accept;\n\
        \x20   fib daddr type local jump publish\n\
        \x20 }\n",
    );
    write_postrouting(&mut text, content);
    write_forward(&mut text, content);
    text.push_str("}\n");
    text
}

fn write_sets(text: &mut String, content: &Content) {
    let quoted = |internal_only: bool| {
        let names = content
            .networks
            .iter()
            .filter(|(_, rules)| rules.internal || !internal_only);
        names.map(|(bridge, _)| format!("\"{bridge}\"")).collect()
    };
    let ports = |any: bool| {
        let ports = content
            .ports
            .iter()
            .filter(|(key, _)| key.host_ip.is_unspecified() == any);
        ports
            .map(|(key, target)| {
                let host = if any {
                    String::new()
                } else {
                    format!("{} . ", key.host_ip)
                };
                let (protocol, port) = (key.protocol.as_str(), key.host_port);
                format!(
                    "{host}{protocol} . {port} : {} . {}",
                    target.address, target.port
                )
            })
            .collect()
    };
    let mut write = |kind: &str, name: &str, key: &str, elements: Vec<String>| {
        let elements = if elements.is_empty() {
            String::new()
        } else {
            format!(" elements = {{ {} }};", elements.join(", "))
        };
        // Writing to a string cannot fail.
        writeln!(text, "  {kind} {name} {{ type {key};{elements} }}").ok();
    };
    write("set", "bridges", "ifname", quoted(false));
    write("set", "internal", "ifname", quoted(true));
    let value = "inet_proto . inet_service : ipv4_addr . inet_service";
    write(
        "map",
        ADDRESS_MAP,
        &format!("ipv4_addr . {value}"),
        ports(false),
    );
    write("map", ANY_MAP, value, ports(true));
}

fn write_postrouting(text: &mut String, content: &Content) {
    text.push_str(
        "  chain postrouting {\n    type nat hook postrouting priority srcnat; policy accept;\n",
    );
    for (bridge, rules) in content.networks.iter().filter(|(_, rules)| !rules.internal) {
        // The host's own 127.0.0.1 means nothing inside, and a container that reaches a neighbour by a published port
        // must get its answers through the host.
        writeln!(
            text,
            "    oifname \"{bridge}\" ip saddr 127.0.0.0/8 masquerade"
        )
        .ok();
        for subnet in &rules.subnets {
            let family = if subnet.is_ipv4() { "ip" } else { "ip6" };
            writeln!(
                text,
                "    oifname \"{bridge}\" {family} saddr {subnet} ct status dnat masquerade"
            )
            .ok();
            if rules.masquerade {
                writeln!(
                    text,
                    "    oifname != \"{bridge}\" {family} saddr {subnet} masquerade"
                )
                .ok();
            }
        }
    }
    text.push_str("  }\n");
}

fn write_forward(text: &mut String, content: &Content) {
    text.push_str(
        "  chain forward {\n\
        \x20   type filter hook forward priority filter; policy accept;\n\
        \x20   iifname @bridges ip daddr 169.254.169.254 drop\n",
    );
    for bridge in content.networks.keys() {
        writeln!(text, "    iifname \"{bridge}\" oifname \"{bridge}\" accept").ok();
    }
    text.push_str(
        "    iifname @internal drop\n\
        \x20   oifname @internal drop\n\
        \x20   oifname @bridges ct state established,related accept\n\
        \x20   oifname @bridges ct status dnat accept\n\
        \x20   oifname @bridges drop\n\
        \x20 }\n",
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::port::Protocol;

    #[test]
    fn script_holds_networks_and_ports() {
        let network = |subnet: &str, internal| NetworkRules {
            subnets: vec![subnet.parse().unwrap()],
            internal,
            masquerade: true,
        };
        let content = Content {
            networks: BTreeMap::from([
                ("mini0".to_owned(), network("172.16.0.0/20", false)),
                ("mini-01234567".to_owned(), network("172.16.16.0/20", true)),
            ]),
            ports: BTreeMap::from([
                (
                    PortKey {
                        host_ip: Ipv4Addr::LOCALHOST,
                        protocol: Protocol::Tcp,
                        host_port: 8080,
                    },
                    PortTarget {
                        address: Ipv4Addr::new(172, 16, 0, 2),
                        port: 80,
                    },
                ),
                (
                    PortKey {
                        host_ip: Ipv4Addr::UNSPECIFIED,
                        protocol: Protocol::Udp,
                        host_port: 53,
                    },
                    PortTarget {
                        address: Ipv4Addr::new(172, 16, 0, 3),
                        port: 53,
                    },
                ),
            ]),
        };
        insta::assert_snapshot!(script("containeros", &content));
    }
}
