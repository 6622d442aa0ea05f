//! All networks of the engine: creating, finding, showing and removing them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bollard_stubs::models::{EndpointResource, NetworkCreateRequest, NetworkInspect};

use super::dns::DnsService;
use super::firewall::{Firewall, NetworkRules};
use super::ipam::{self, Leases};
use super::link::{self, BridgeSpec, Link, LinkNames};
use super::mac::MacAddress;
use super::netlink::RouteSocket;
use super::port::Reservation;
use super::record::{
    self, DEFAULT_NETWORK, Driver, HOST_NETWORK, NONE_NETWORK, NetworkRecord, SubnetRecord,
};
use super::sandbox::Sandbox;
use super::subnet::Subnet;
use crate::config::EngineConfig;
use crate::error::{EngineError, Result};
use crate::events::{EventBus, EventKind};
use crate::filters::Filters;
use crate::store::ObjectStore;
use crate::{id, time};

/// Locked while a subnet is chosen and put on a link, so that two engines on one host do not choose the same. The
/// directory itself: a file of our own would have to stay there for ever.
const SUBNET_LOCK: &str = "/run";

/// A network and what is taken of it.
#[derive(Debug)]
pub(super) struct NetworkState {
    /// The network.
    pub(super) record: NetworkRecord,
    /// Addresses by family.
    pub(super) ipv4: Option<Leases>,
    /// Addresses by family.
    pub(super) ipv6: Option<Leases>,
    /// Containers with an endpoint on it, those included that are just being connected.
    pub(super) containers: HashSet<String>,
}

impl NetworkState {
    fn new(record: NetworkRecord) -> Self {
        let leases = |ipv4: bool| {
            let subnet = record.subnet(ipv4)?;
            let mut leases = Leases::new(subnet.subnet, subnet.range);
            for address in std::iter::once(&subnet.gateway).chain(subnet.auxiliary.values()) {
                // Checked when the network was made; a doubled auxiliary address changes nothing.
                leases.reserve(*address).ok();
            }
            Some(leases)
        };
        let (ipv4, ipv6) = (leases(true), leases(false));
        Self {
            record,
            ipv4,
            ipv6,
            containers: HashSet::new(),
        }
    }
}

/// What changes while the engine runs.
#[derive(Debug, Default)]
pub(super) struct State {
    /// By id.
    pub(super) networks: BTreeMap<String, NetworkState>,
    /// Of running containers, by container id.
    pub(super) sandboxes: HashMap<String, Sandbox>,
    /// Ports of the host held for running containers, by container id.
    pub(super) reservations: HashMap<String, Vec<Reservation>>,
}

impl State {
    /// Finds a network by name, id, or a beginning of its id that only one has.
    pub(super) fn find(&self, reference: &str) -> Result<&NetworkState> {
        if let Some(network) = self.networks.get(reference) {
            return Ok(network);
        }
        if let Some(network) = self
            .networks
            .values()
            .find(|network| network.record.name == reference)
        {
            return Ok(network);
        }
        let mut found = self
            .networks
            .values()
            .filter(|network| network.record.id.starts_with(reference));
        match (found.next(), found.next()) {
            (Some(network), None) if !reference.is_empty() => Ok(network),
            (Some(_), Some(_)) if !reference.is_empty() => Err(EngineError::Invalid(format!(
                "network {reference} is ambiguous (2 matches found based on ID prefix)"
            ))),
            _ => Err(EngineError::no_such_network(reference)),
        }
    }
}

/// What others need to know of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NetworkSummary {
    /// Its id.
    pub(crate) id: String,
    /// Its name.
    pub(crate) name: String,
    /// How it is made.
    pub(crate) driver: Driver,
}

/// The networks of the engine. All calls block.
#[derive(Debug)]
pub(crate) struct Networks {
    pub(super) names: LinkNames,
    pub(super) netns_dir: PathBuf,
    pub(super) sandbox_dir: PathBuf,
    store: ObjectStore<NetworkRecord>,
    pub(super) events: Arc<EventBus>,
    pub(super) firewall: Firewall,
    pub(super) dns: DnsService,
    pub(super) state: Mutex<State>,
    /// Bridges that are up, with their index. Locked while one is made or removed; taken before `state`.
    bridges: Mutex<HashMap<String, u32>>,
    /// Told when a container has let go of its namespace.
    pub(super) released: tokio::sync::Notify,
}

impl Networks {
    /// Opens the networks of the engine and makes the predefined ones at its first start. No kernel object is made before
    /// it is needed. Runs inside a tokio runtime, which serves DNS.
    ///
    /// # Errors
    /// `Internal` when the directories cannot be used.
    pub(crate) fn open(config: &EngineConfig, events: Arc<EventBus>) -> Result<Arc<Self>> {
        let tag = config.instance_tag();
        let names = LinkNames::new(tag.as_deref());
        let (netns_dir, sandbox_dir) = (
            config.run_dir.join("netns"),
            config.run_dir.join("sandboxes"),
        );
        for dir in [&netns_dir, &sandbox_dir] {
            std::fs::create_dir_all(dir).map_err(EngineError::io("create", dir.display()))?;
        }
        let dir = config.engine_dir().join("networks");
        let store: ObjectStore<NetworkRecord> =
            ObjectStore::flat(dir.clone()).map_err(EngineError::io("open", dir.display()))?;
        let records = store
            .load_all()
            .map_err(EngineError::io("read", dir.display()))?;
        let mut state = State::default();
        for (_, record) in records {
            state
                .networks
                .insert(record.id.clone(), NetworkState::new(record));
        }
        let networks = Self {
            firewall: Firewall::new(tag.as_deref(), names.prefix()),
            names,
            netns_dir,
            sandbox_dir,
            store,
            events,
            dns: DnsService::new(tokio::runtime::Handle::current()),
            state: Mutex::new(state),
            bridges: Mutex::default(),
            released: tokio::sync::Notify::new(),
        };
        networks.make_predefined()?;
        Ok(Arc::new(networks))
    }

    fn make_predefined(&self) -> Result<()> {
        let predefined = [
            (DEFAULT_NETWORK, Driver::Bridge),
            (HOST_NETWORK, Driver::Host),
            (NONE_NETWORK, Driver::Null),
        ];
        for (name, driver) in predefined {
            if self
                .lock()
                .networks
                .values()
                .any(|network| network.record.name == name)
            {
                continue;
            }
            let mut record =
                NetworkRecord::predefined(id::generate()?, name, driver, time::now_ns());
            if driver == Driver::Bridge {
                record.subnets = vec![self.choose_ipv4(&[])?];
            }
            self.save(&record)?;
            self.lock()
                .networks
                .insert(record.id.clone(), NetworkState::new(record));
        }
        Ok(())
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // No critical section leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn save(&self, record: &NetworkRecord) -> Result<()> {
        self.store
            .save(&record.id, record)
            .map_err(EngineError::io("write network", &record.name))
    }

    /// Makes a network. Returns its id and what the client should know.
    ///
    /// # Errors
    /// `Conflict` when the name is in use, `Forbidden` for predefined names and overlapping subnets, and what the check of
    /// the request says.
    pub(crate) fn create(&self, request: NetworkCreateRequest) -> Result<(String, String)> {
        let mut new = record::check(id::generate()?, request)?;
        // One after the other: of two with one name exactly one succeeds, and no two get one subnet.
        let _one_at_a_time = self.bridges.lock().unwrap_or_else(PoisonError::into_inner);
        let name = new.record.name.clone();
        {
            let state = self.lock();
            if state
                .networks
                .values()
                .any(|network| network.record.name == name)
            {
                return Err(EngineError::Conflict(format!(
                    "network with name {name} already exists"
                )));
            }
            let taken = |subnet: &SubnetRecord| {
                let all = state
                    .networks
                    .values()
                    .flat_map(|network| &network.record.subnets);
                all.filter(|other| !other.automatic || state_uses(&state, other))
                    .any(|other| other.subnet.overlaps(subnet.subnet))
            };
            if new.record.subnets.iter().any(taken) {
                return Err(EngineError::Forbidden(
                    "Pool overlaps with other one on this address space".to_owned(),
                ));
            }
            let bridge = new.record.bridge(&self.names);
            if state.networks.values().any(|other| {
                other.record.driver == Driver::Bridge && other.record.bridge(&self.names) == bridge
            }) {
                return Err(EngineError::Forbidden(format!(
                    "bridge name {bridge} is in use by another network"
                )));
            }
        }
        if new.choose_ipv4 {
            let chosen = self.choose_ipv4(&[])?;
            new.record.subnets.insert(0, chosen);
        }
        if new.choose_ipv6 {
            new.record.subnets.push(choose_ipv6()?);
        }
        self.save(&new.record)?;
        let id = new.record.id.clone();
        self.publish("create", &new.record, None);
        self.lock()
            .networks
            .insert(id.clone(), NetworkState::new(new.record));
        Ok((id, new.warning))
    }

    /// Chooses an IPv4 subnet that nothing on this host occupies, beside `also_taken`.
    fn choose_ipv4(&self, also_taken: &[Subnet]) -> Result<SubnetRecord> {
        let mut socket = RouteSocket::open().map_err(internal)?;
        let mut taken: Vec<Subnet> = link::occupied_subnets(&mut socket)
            .map_err(internal)?
            .into_iter()
            .map(|(subnet, _)| subnet)
            .collect();
        taken.extend(also_taken);
        taken.extend(
            self.lock()
                .networks
                .values()
                .flat_map(|network| &network.record.subnets)
                .map(|subnet| subnet.subnet),
        );
        let subnet = ipam::choose_subnet(&taken).ok_or_else(|| {
            EngineError::Invalid(
                "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network"
                    .to_owned(),
            )
        })?;
        let gateway = record::first_usable(subnet, subnet)?;
        Ok(SubnetRecord {
            subnet,
            gateway,
            range: None,
            auxiliary: BTreeMap::new(),
            automatic: true,
        })
    }

    /// Returns a network by name or id.
    ///
    /// # Errors
    /// `NotFound`, or `Invalid` when several ids begin so.
    pub(crate) fn resolve(&self, reference: &str) -> Result<NetworkSummary> {
        let state = self.lock();
        let record = &state.find(reference)?.record;
        Ok(NetworkSummary {
            id: record.id.clone(),
            name: record.name.clone(),
            driver: record.driver,
        })
    }

    /// Returns a network as Docker shows it, with its running containers.
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub(crate) fn inspect(&self, reference: &str) -> Result<NetworkInspect> {
        let state = self.lock();
        Ok(inspect(&state, state.find(reference)?))
    }

    /// Returns all networks that match the filters, with their running containers, oldest first.
    ///
    /// # Errors
    /// `Invalid` for a malformed filter value.
    pub(crate) fn list(&self, filters: &Filters) -> Result<Vec<NetworkInspect>> {
        let dangling = filters.boolean("dangling")?;
        for kind in filters.get("type") {
            if !matches!(kind.as_str(), "builtin" | "custom") {
                return Err(EngineError::Invalid(format!(
                    "invalid filter 'type={kind}'"
                )));
            }
        }
        let state = self.lock();
        let matches = |network: &&NetworkState| {
            let record = &network.record;
            let kind = if record.is_predefined() {
                "builtin"
            } else {
                "custom"
            };
            let names = filters.get("name");
            (names.is_empty() || names.iter().any(|name| record.name.contains(name.as_str())))
                && filters.matches_prefix("id", &record.id)
                && filters.matches_exactly("driver", record.driver.as_str())
                && filters.matches_exactly("scope", "local")
                && filters.matches_exactly("type", kind)
                && filters.matches_labels(&record.labels)
                && dangling.is_none_or(|dangling| {
                    dangling == (!record.is_predefined() && network.containers.is_empty())
                })
        };
        let mut found: Vec<_> = state.networks.values().filter(matches).collect();
        found.sort_by_key(|network| network.record.created_ns);
        Ok(found
            .into_iter()
            .map(|network| inspect(&state, network))
            .collect())
    }

    /// Removes a network.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden` for a predefined network and one with running containers.
    pub(crate) fn remove(&self, reference: &str) -> Result<()> {
        let mut bridges = self.bridges.lock().unwrap_or_else(PoisonError::into_inner);
        let record = {
            let mut state = self.lock();
            let network = state.find(reference)?;
            let record = network.record.clone();
            if record.is_predefined() {
                return Err(EngineError::Forbidden(format!(
                    "{} is a pre-defined network and cannot be removed",
                    record.name
                )));
            }
            if !network.containers.is_empty() {
                return Err(EngineError::Forbidden(format!(
                    "error while removing network: network {} has active endpoints ({})",
                    record.name,
                    active_endpoints(&state, network),
                )));
            }
            // The record goes first: what a kill leaves behind it is found by listing the links.
            self.store
                .remove(&record.id)
                .map_err(EngineError::io("remove network", &record.name))?;
            state.networks.remove(&record.id);
            record
        };
        let bridge = record.bridge(&self.names);
        if bridges.remove(&record.id).is_some() {
            self.firewall.remove_network(&bridge)?;
            let mut socket = RouteSocket::open().map_err(internal)?;
            link::delete(&mut socket, &bridge).map_err(internal)?;
        }
        self.publish("destroy", &record, None);
        Ok(())
    }

    /// Removes all networks without running containers that match the filters; returns their names.
    ///
    /// # Errors
    /// `Invalid` for a malformed filter value.
    pub(crate) fn prune(&self, filters: &Filters) -> Result<Vec<String>> {
        let until_ns = filters.until_ns()?;
        let candidates: Vec<_> = {
            let state = self.lock();
            let matches = |network: &&NetworkState| {
                !network.record.is_predefined()
                    && network.containers.is_empty()
                    && until_ns.is_none_or(|until| network.record.created_ns <= until)
                    && filters.matches_labels(&network.record.labels)
            };
            let found = state.networks.values().filter(matches);
            found
                .map(|network| (network.record.id.clone(), network.record.name.clone()))
                .collect()
        };
        let mut removed = Vec::new();
        for (id, name) in candidates {
            match self.remove(&id) {
                Ok(()) => removed.push(name),
                // Someone was quicker, or started a container on it.
                Err(EngineError::NotFound(_) | EngineError::Forbidden(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }

    /// Brings the bridge of a network up with its firewall rules; returns its index.
    pub(super) fn ensure_up(&self, network_id: &str) -> Result<u32> {
        let mut bridges = self.bridges.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = bridges.get(network_id) {
            return Ok(*index);
        }
        let lock = File::open(SUBNET_LOCK).map_err(EngineError::io("open", SUBNET_LOCK))?;
        lock.lock().map_err(EngineError::io("lock", SUBNET_LOCK))?;
        let mut socket = RouteSocket::open().map_err(internal)?;
        let record = self.settle_subnet(network_id, &mut socket)?;
        let bridge = record.bridge(&self.names);
        let addresses = record.bridge_addresses();
        let gateway = addresses.first().map(|address| address.address);
        let spec = BridgeSpec {
            name: &bridge,
            addresses: &addresses,
            mac: MacAddress::for_address(
                gateway.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)),
            ),
            mtu: record.mtu(),
        };
        let made = link::ensure_bridge(&mut socket, &spec)
            .map_err(internal)
            .and_then(|index| {
                self.firewall.set_network(&bridge, rules(&record))?;
                Ok(index)
            });
        match made {
            Ok(index) => {
                bridges.insert(network_id.to_owned(), index);
                Ok(index)
            }
            Err(error) => {
                if let Err(second) = link::delete(&mut socket, &bridge) {
                    tracing::warn!(bridge, error = %second, "delete a half-made bridge");
                }
                Err(error)
            }
        }
    }

    /// Forgets that a bridge is up: someone deleted it.
    pub(super) fn forget_bridge(&self, network_id: &str) {
        self.bridges
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(network_id);
    }

    /// Returns the network's record, with another subnet when the chosen one was taken by something else on this host
    /// in the meantime and no link of ours has it.
    fn settle_subnet(&self, network_id: &str, socket: &mut RouteSocket) -> Result<NetworkRecord> {
        let mut record = self.lock().find(network_id)?.record.clone();
        let bridge = record.bridge(&self.names);
        let links = link::list(socket).map_err(internal)?;
        if links.iter().any(|link| link.name == bridge) {
            if self.names.is_bridge(&bridge) {
                return Ok(record);
            }
            return Err(EngineError::Conflict(format!(
                "create bridge {bridge}: a link of this name exists already"
            )));
        }
        let Some(position) = record
            .subnets
            .iter()
            .position(|subnet| subnet.automatic && subnet.subnet.is_ipv4())
        else {
            return Ok(record);
        };
        let occupied = link::occupied_subnets(socket).map_err(internal)?;
        let current = record.subnets.get(position).map(|subnet| subnet.subnet);
        if current.is_some_and(|current| occupied.iter().any(|(other, _)| other.overlaps(current)))
        {
            let chosen = self.choose_ipv4(&[])?;
            tracing::info!(network = record.name, from = ?current, to = %chosen.subnet, "subnet is in use on this host; choose another");
            if let Some(place) = record.subnets.get_mut(position) {
                *place = chosen;
            }
            self.save(&record)?;
            let mut state = self.lock();
            if let Some(network) = state.networks.get_mut(network_id) {
                let containers = std::mem::take(&mut network.containers);
                *network = NetworkState {
                    containers,
                    ..NetworkState::new(record.clone())
                };
            }
        }
        Ok(record)
    }

    /// Brings back bridges and rules for networks that running containers use.
    pub(super) fn restore_bridges(&self, used: &HashSet<String>) -> Result<()> {
        for network_id in used {
            if let Err(error) = self.ensure_up(network_id) {
                tracing::error!(network_id, %error, "bring a network back");
            }
        }
        // Bridges without a network are left from a removal that was cut short.
        let mut socket = RouteSocket::open().map_err(internal)?;
        let known: HashSet<String> = {
            let state = self.lock();
            state
                .networks
                .values()
                .map(|network| network.record.bridge(&self.names))
                .collect()
        };
        for link in link::list(&mut socket).map_err(internal)? {
            if self.names.is_bridge(&link.name) && !known.contains(&link.name) {
                link::delete(&mut socket, &link.name).map_err(internal)?;
            }
        }
        Ok(())
    }

    /// Puts back what another program removed of the firewall, and looks again at what it does to forwarded packets.
    ///
    /// # Errors
    /// `Internal` when the kernel refuses.
    pub(crate) fn verify(&self) -> Result<()> {
        self.firewall.verify()
    }

    /// Removes every kernel object of the networks when no container runs; leaves all as it is otherwise. They are made
    /// again when needed. Called when the engine stops in good order.
    ///
    /// # Errors
    /// `Internal` when the kernel refuses.
    pub(crate) fn close(&self) -> Result<()> {
        let mut bridges = self.bridges.lock().unwrap_or_else(PoisonError::into_inner);
        let (busy, names): (bool, Vec<String>) = {
            let state = self.lock();
            let of_ours = state
                .networks
                .values()
                .filter(|network| network.record.driver == Driver::Bridge);
            (
                state
                    .networks
                    .values()
                    .any(|network| !network.containers.is_empty()),
                of_ours
                    .map(|network| network.record.bridge(&self.names))
                    .collect(),
            )
        };
        if busy {
            return Ok(());
        }
        bridges.clear();
        self.firewall.tear_down()?;
        let mut socket = RouteSocket::open().map_err(internal)?;
        let present = link::list(&mut socket).map_err(internal)?;
        let ours = |link: &&Link| {
            names.contains(&link.name) || self.names.container_of(&link.name).is_some()
        };
        for link in present.iter().filter(ours) {
            link::delete(&mut socket, &link.name).map_err(internal)?;
        }
        Ok(())
    }

    /// Publishes an event of a network, with the container that it is about.
    pub(super) fn publish(&self, action: &str, record: &NetworkRecord, container: Option<&str>) {
        let mut attributes = BTreeMap::from([
            ("name".to_owned(), record.name.clone()),
            ("type".to_owned(), record.driver.as_str().to_owned()),
        ]);
        if let Some(container) = container {
            attributes.insert("container".to_owned(), container.to_owned());
        }
        self.events
            .publish(EventKind::Network, action, &record.id, attributes);
    }

    /// Path of a container's network namespace.
    pub(super) fn netns_path(&self, container_id: &str) -> PathBuf {
        self.netns_dir.join(container_id)
    }

    /// Path of a running container's file.
    pub(super) fn sandbox_path(&self, container_id: &str) -> PathBuf {
        Path::new(&self.sandbox_dir).join(format!("{container_id}.json"))
    }
}

/// Whether an automatic subnet is in use by a running container: only then it may not be chosen anew.
fn state_uses(state: &State, subnet: &SubnetRecord) -> bool {
    state.networks.values().any(|network| {
        !network.containers.is_empty() && network.record.subnets.iter().any(|other| other == subnet)
    })
}

fn choose_ipv6() -> Result<SubnetRecord> {
    let mut random = [0_u8; 7];
    getrandom::fill(&mut random).map_err(EngineError::io("read", "random numbers"))?;
    let subnet = ipam::unique_local_subnet(random)
        .ok_or_else(|| EngineError::internal("choose", "IPv6 subnet", "no such subnet"))?;
    let gateway = record::first_usable(subnet, subnet)?;
    Ok(SubnetRecord {
        subnet,
        gateway,
        range: None,
        auxiliary: BTreeMap::new(),
        automatic: true,
    })
}

pub(super) fn rules(record: &NetworkRecord) -> NetworkRules {
    NetworkRules {
        subnets: record.subnets.iter().map(|subnet| subnet.subnet).collect(),
        internal: record.internal,
        masquerade: record.masquerades(),
    }
}

pub(super) fn internal(error: impl std::fmt::Display) -> EngineError {
    EngineError::Internal(error.to_string())
}

fn active_endpoints(state: &State, network: &NetworkState) -> String {
    let mut found: Vec<String> = network
        .containers
        .iter()
        .filter_map(|container| state.sandboxes.get(container))
        .filter_map(|sandbox| {
            let endpoint = sandbox
                .endpoints
                .iter()
                .find(|endpoint| endpoint.network_id == network.record.id)?;
            Some(format!(
                "name:{:?} id:{:?}",
                sandbox.container_name,
                id::short(&endpoint.id)
            ))
        })
        .collect();
    found.sort();
    found.join(", ")
}

fn inspect(state: &State, network: &NetworkState) -> NetworkInspect {
    let mut inspected = network.record.inspect();
    let endpoints = network.containers.iter().filter_map(|container| {
        let sandbox = state.sandboxes.get(container)?;
        let endpoint = sandbox
            .endpoints
            .iter()
            .find(|endpoint| endpoint.network_id == network.record.id)?;
        let text = |address: Option<String>| Some(address.unwrap_or_default());
        let resource = EndpointResource {
            name: Some(sandbox.container_name.clone()),
            endpoint_id: Some(endpoint.id.clone()),
            mac_address: text(endpoint.mac.map(|mac| mac.to_string())),
            ipv4_address: text(
                endpoint
                    .ipv4
                    .map(|ipv4| format!("{}/{}", ipv4.address, ipv4.prefix_len)),
            ),
            ipv6_address: text(
                endpoint
                    .ipv6
                    .map(|ipv6| format!("{}/{}", ipv6.address, ipv6.prefix_len)),
            ),
        };
        Some((container.clone(), resource))
    });
    inspected.containers = Some(endpoints.collect());
    inspected
}
