//! Which names stand for which addresses, on each network.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

/// A container's names and addresses on one network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// In small letters; the first is the one that addresses are named by.
    pub(super) names: Vec<String>,
    /// Its addresses.
    pub(super) addresses: Vec<IpAddr>,
}

#[derive(Debug, Default)]
struct Zone {
    /// Name of the network, in small letters.
    name: String,
    /// By container id.
    entries: BTreeMap<String, Entry>,
}

/// The names on all networks.
#[derive(Debug, Default)]
pub(super) struct Directory {
    /// By network id.
    zones: HashMap<String, Zone>,
}

impl Directory {
    /// Adds or replaces a container's entry on a network.
    pub(super) fn insert(
        &mut self,
        network_id: &str,
        network_name: &str,
        container_id: &str,
        entry: Entry,
    ) {
        let zone = self.zones.entry(network_id.to_owned()).or_default();
        zone.name = network_name.to_ascii_lowercase();
        zone.entries.insert(container_id.to_owned(), entry);
    }

    /// Removes a container's entry on a network.
    pub(super) fn remove(&mut self, network_id: &str, container_id: &str) {
        if let Some(zone) = self.zones.get_mut(network_id) {
            zone.entries.remove(container_id);
            if zone.entries.is_empty() {
                self.zones.remove(network_id);
            }
        }
    }

    /// The addresses of every container that bears this name on one of these networks, as `name` or
    /// `name.network`; `None` when nobody does.
    pub(super) fn addresses(&self, networks: &[String], name: &str) -> Option<Vec<IpAddr>> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let mut found = None;
        for zone in networks
            .iter()
            .filter_map(|network| self.zones.get(network))
        {
            let without_network = name
                .strip_suffix(&zone.name)
                .and_then(|name| name.strip_suffix('.'));
            let bears = |entry: &&Entry| {
                entry
                    .names
                    .iter()
                    .any(|own| *own == name || without_network.is_some_and(|name| own == name))
            };
            for entry in zone.entries.values().filter(bears) {
                found.get_or_insert_with(Vec::new).extend(&entry.addresses);
            }
        }
        found
    }

    /// The name `container.network` of an address on one of these networks.
    pub(super) fn name_of(&self, networks: &[String], address: IpAddr) -> Option<String> {
        networks
            .iter()
            .filter_map(|network| self.zones.get(network))
            .find_map(|zone| {
                let entry = zone
                    .entries
                    .values()
                    .find(|entry| entry.addresses.contains(&address))?;
                Some(format!("{}.{}", entry.names.first()?, zone.name))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, address: &str) -> Entry {
        Entry {
            names: vec![name.to_owned(), "web".to_owned()],
            addresses: vec![address.parse().unwrap()],
        }
    }

    #[test]
    fn names_are_seen_on_shared_networks_only() {
        let mut directory = Directory::default();
        directory.insert("n1", "Front", "c1", entry("a", "10.0.0.2"));
        directory.insert("n1", "Front", "c2", entry("b", "10.0.0.3"));
        directory.insert("n2", "back", "c3", entry("c", "10.1.0.2"));
        let on = |networks: &[&str], name: &str| {
            let networks: Vec<_> = networks
                .iter()
                .map(|network| (*network).to_owned())
                .collect();
            directory
                .addresses(&networks, name)
                .map(|found| found.len())
        };
        assert_eq!(on(&["n1"], "A."), Some(1));
        assert_eq!(on(&["n1"], "a.front"), Some(1));
        assert_eq!(on(&["n1"], "a.back"), None);
        assert_eq!(on(&["n1"], "web"), Some(2));
        assert_eq!(on(&["n1", "n2"], "web"), Some(3));
        assert_eq!(on(&["n2"], "a"), None);
        let networks = ["n1".to_owned()];
        assert_eq!(
            directory
                .name_of(&networks, "10.0.0.3".parse().unwrap())
                .as_deref(),
            Some("b.front")
        );
        assert_eq!(
            directory.name_of(&networks, "10.1.0.2".parse().unwrap()),
            None
        );
        directory.remove("n1", "c1");
        assert_eq!(directory.addresses(&networks, "a"), None);
    }
}
