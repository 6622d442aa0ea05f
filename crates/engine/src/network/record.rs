//! A network as it is kept, and how a request to make one becomes it.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};

use bollard_stubs::models::{Ipam, IpamConfig, NetworkCreateRequest, NetworkInspect};
use serde::{Deserialize, Serialize};

use super::link::{InterfaceAddress, LinkNames};
use super::subnet::Subnet;
use crate::error::{EngineError, Result};
use crate::time;

const OPTION_BRIDGE_NAME: &str = "com.docker.network.bridge.name";
const OPTION_ICC: &str = "com.docker.network.bridge.enable_icc";
const OPTION_MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
const OPTION_HOST_BINDING: &str = "com.docker.network.bridge.host_binding_ipv4";
const OPTION_MTU: &str = "com.docker.network.driver.mtu";
const DEFAULT_MTU: u32 = 1500;

/// Name of the network that containers get when they ask for none.
pub(crate) const DEFAULT_NETWORK: &str = "bridge";
/// Name of the host's own network.
pub(crate) const HOST_NETWORK: &str = "host";
/// Name of the network without links.
pub(crate) const NONE_NETWORK: &str = "none";

/// How a network is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Driver {
    /// A bridge on this host.
    Bridge,
    /// The host's own network namespace.
    Host,
    /// No network.
    Null,
}

impl Driver {
    /// The name in Docker's API.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Host => "host",
            Self::Null => "null",
        }
    }
}

/// A subnet of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SubnetRecord {
    /// The subnet.
    pub(super) subnet: Subnet,
    /// The host's address on the bridge.
    pub(super) gateway: IpAddr,
    /// Where automatic addresses come from, when not the whole subnet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) range: Option<Subnet>,
    /// Addresses that are never given out, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) auxiliary: BTreeMap<String, IpAddr>,
    /// Chosen by the engine: it may be chosen anew while no link has it.
    #[serde(default)]
    pub(super) automatic: bool,
}

/// A network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NetworkRecord {
    /// Its id.
    pub(crate) id: String,
    /// Its name.
    pub(crate) name: String,
    /// Nanoseconds since the Unix epoch.
    pub(super) created_ns: i64,
    /// How it is made.
    pub(crate) driver: Driver,
    /// Its subnets: at most one of each family.
    pub(super) subnets: Vec<SubnetRecord>,
    /// Nothing leads in or out.
    pub(super) internal: bool,
    /// Kept for clients; nothing depends on it.
    pub(super) attachable: bool,
    /// Driver options.
    pub(super) options: BTreeMap<String, String>,
    /// Labels.
    pub(crate) labels: HashMap<String, String>,
}

impl NetworkRecord {
    /// One of the networks that are always there.
    pub(super) fn predefined(id: String, name: &str, driver: Driver, created_ns: i64) -> Self {
        Self {
            id,
            name: name.to_owned(),
            created_ns,
            driver,
            subnets: Vec::new(),
            internal: false,
            attachable: false,
            options: BTreeMap::new(),
            labels: HashMap::new(),
        }
    }

    /// Whether it is one of those that are always there.
    pub(crate) fn is_predefined(&self) -> bool {
        is_predefined_name(&self.name)
    }

    /// Whether names of containers are resolved on it.
    pub(super) fn has_dns(&self) -> bool {
        self.driver == Driver::Bridge && !self.is_predefined()
    }

    /// Its subnet of one family.
    pub(super) fn subnet(&self, ipv4: bool) -> Option<&SubnetRecord> {
        self.subnets
            .iter()
            .find(|subnet| subnet.subnet.is_ipv4() == ipv4)
    }

    /// Name of its bridge.
    pub(super) fn bridge(&self, names: &LinkNames) -> String {
        match self.options.get(OPTION_BRIDGE_NAME) {
            Some(name) => name.clone(),
            None if self.name == DEFAULT_NETWORK => names.default_bridge(),
            None => names.bridge(&self.id),
        }
    }

    /// The addresses of its bridge.
    pub(super) fn bridge_addresses(&self) -> Vec<InterfaceAddress> {
        let address = |subnet: &SubnetRecord| InterfaceAddress {
            address: subnet.gateway,
            prefix_len: subnet.subnet.prefix_len(),
        };
        self.subnets.iter().map(address).collect()
    }

    /// Largest packet, in bytes.
    pub(super) fn mtu(&self) -> u32 {
        self.options
            .get(OPTION_MTU)
            .and_then(|mtu| mtu.parse().ok())
            .unwrap_or(DEFAULT_MTU)
    }

    /// Whether its containers reach each other.
    pub(super) fn connects_containers(&self) -> bool {
        self.options
            .get(OPTION_ICC)
            .is_none_or(|value| is_true(value))
    }

    /// Whether packets that leave get the host's address.
    pub(super) fn masquerades(&self) -> bool {
        self.options
            .get(OPTION_MASQUERADE)
            .is_none_or(|value| is_true(value))
    }

    /// The address of the host on which ports are published when none is asked for.
    pub(super) fn host_binding(&self) -> Ipv4Addr {
        self.options
            .get(OPTION_HOST_BINDING)
            .and_then(|address| address.parse().ok())
            .unwrap_or(Ipv4Addr::UNSPECIFIED)
    }

    /// The network as Docker shows it, without its containers.
    pub(super) fn inspect(&self) -> NetworkInspect {
        let config = |subnet: &SubnetRecord| IpamConfig {
            subnet: Some(subnet.subnet.to_string()),
            ip_range: subnet.range.map(|range| range.to_string()),
            gateway: Some(subnet.gateway.to_string()),
            auxiliary_addresses: (!subnet.auxiliary.is_empty()).then(|| {
                subnet
                    .auxiliary
                    .iter()
                    .map(|(name, address)| (name.clone(), address.to_string()))
                    .collect()
            }),
        };
        NetworkInspect {
            name: Some(self.name.clone()),
            id: Some(self.id.clone()),
            created: Some(time::rfc3339(Some(self.created_ns))),
            scope: Some("local".to_owned()),
            driver: Some(self.driver.as_str().to_owned()),
            enable_ipv4: Some(true),
            enable_ipv6: Some(self.subnet(false).is_some()),
            ipam: Some(Ipam {
                driver: Some("default".to_owned()),
                config: Some(self.subnets.iter().map(config).collect()),
                options: None,
            }),
            internal: Some(self.internal),
            attachable: Some(self.attachable),
            ingress: Some(false),
            config_only: Some(false),
            options: Some(self.options.clone().into_iter().collect()),
            labels: Some(self.labels.clone()),
            containers: Some(HashMap::new()),
            ..NetworkInspect::default()
        }
    }
}

/// Whether a network of this name is always there.
pub(crate) fn is_predefined_name(name: &str) -> bool {
    matches!(name, DEFAULT_NETWORK | HOST_NETWORK | NONE_NETWORK)
}

fn is_true(value: &str) -> bool {
    matches!(value, "1" | "t" | "T" | "true" | "True" | "TRUE")
}

/// A checked request for a network; subnets that it leaves open are still to be chosen.
#[derive(Clone, Debug)]
pub(super) struct NewNetwork {
    /// The record without the subnets to choose.
    pub(super) record: NetworkRecord,
    /// An IPv4 subnet is to be chosen; with a gateway when one was asked for.
    pub(super) choose_ipv4: bool,
    /// An IPv6 subnet is to be chosen.
    pub(super) choose_ipv6: bool,
    /// What the client should know.
    pub(super) warning: String,
}

/// Checks a request for a network.
///
/// # Errors
/// `Invalid` for what is malformed, `Forbidden` for a predefined name or driver, `NotFound` for another driver,
/// `Unsupported` for what only Swarm has.
pub(super) fn check(id: String, request: NetworkCreateRequest) -> Result<NewNetwork> {
    let name = request.name;
    if is_predefined_name(&name) || name == "default" {
        return Err(EngineError::Forbidden(format!(
            "operation is not permitted on predefined {name} network"
        )));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    if name.is_empty()
        || name.len() > 255
        || !name.bytes().all(allowed)
        || !name.as_bytes()[0].is_ascii_alphanumeric()
    {
        return Err(EngineError::Invalid(format!(
            "invalid network name {name:?}: only [a-zA-Z0-9][a-zA-Z0-9_.-]* is allowed"
        )));
    }
    match request.driver.as_deref().unwrap_or_default() {
        "" | "default" | "bridge" => {}
        driver @ ("host" | "null") => {
            return Err(EngineError::Forbidden(format!(
                "only one instance of \"{driver}\" network is allowed"
            )));
        }
        driver => {
            return Err(EngineError::NotFound(format!(
                "plugin \"{driver}\" not found"
            )));
        }
    }
    if request.config_only == Some(true)
        || request.ingress == Some(true)
        || request
            .config_from
            .is_some_and(|from| from.network.is_some_and(|name| !name.is_empty()))
    {
        return Err(EngineError::Unsupported(
            "create a config-only or ingress network: not supported by this engine".to_owned(),
        ));
    }
    if request.enable_ipv4 == Some(false) {
        return Err(EngineError::Unsupported(
            "create a network without IPv4: not supported by this engine".to_owned(),
        ));
    }
    let enable_ipv6 = request.enable_ipv6.unwrap_or_default();
    let ipam = request.ipam.unwrap_or_default();
    if !matches!(ipam.driver.as_deref().unwrap_or_default(), "" | "default") {
        return Err(EngineError::NotFound(format!(
            "plugin \"{}\" not found",
            ipam.driver.unwrap_or_default()
        )));
    }
    let mut subnets = Vec::new();
    for config in ipam.config.unwrap_or_default() {
        if let Some(subnet) = check_subnet(config)? {
            if subnets
                .iter()
                .any(|other: &SubnetRecord| other.subnet.is_ipv4() == subnet.subnet.is_ipv4())
            {
                return Err(EngineError::Unsupported(
                    "create a network with several subnets of one family: not supported by this engine".to_owned(),
                ));
            }
            if !enable_ipv6 && !subnet.subnet.is_ipv4() {
                return Err(EngineError::Invalid(format!(
                    "subnet {} needs EnableIPv6 (--ipv6)",
                    subnet.subnet
                )));
            }
            subnets.push(subnet);
        }
    }
    let has = |ipv4: bool| subnets.iter().any(|subnet| subnet.subnet.is_ipv4() == ipv4);
    let (choose_ipv4, choose_ipv6) = (!has(true), enable_ipv6 && !has(false));
    let options: BTreeMap<_, _> = request.options.unwrap_or_default().into_iter().collect();
    let warning = check_options(&options)?;
    let record = NetworkRecord {
        id,
        name,
        created_ns: time::now_ns(),
        driver: Driver::Bridge,
        subnets,
        internal: request.internal.unwrap_or_default(),
        attachable: request.attachable.unwrap_or_default(),
        options,
        labels: request.labels.unwrap_or_default(),
    };
    Ok(NewNetwork {
        record,
        choose_ipv4,
        choose_ipv6,
        warning,
    })
}

fn check_subnet(config: IpamConfig) -> Result<Option<SubnetRecord>> {
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let Some(text) = given(config.subnet) else {
        if given(config.gateway).is_some() || given(config.ip_range).is_some() {
            return Err(EngineError::Invalid(
                "invalid IPAM configuration: a gateway or range needs its subnet".to_owned(),
            ));
        }
        return Ok(None);
    };
    let invalid = |error: &dyn std::fmt::Display| EngineError::Invalid(error.to_string());
    let subnet: Subnet = text.parse().map_err(|error| invalid(&error))?;
    if subnet.prefix_len() == 0
        || (subnet.is_ipv4() && subnet.prefix_len() > 30)
        || subnet.prefix_len() > 126
    {
        return Err(EngineError::Invalid(format!(
            "invalid subnet {subnet}: it holds no gateway and container, or everything"
        )));
    }
    let inside = |text: String| {
        let address: IpAddr = text
            .parse()
            .map_err(|_| EngineError::Invalid(format!("invalid IP address: {text}")))?;
        if !subnet.contains(address) {
            return Err(EngineError::Invalid(format!(
                "invalid IPAM configuration: no matching subnet for address {address}"
            )));
        }
        Ok(address)
    };
    let range = given(config.ip_range)
        .map(|text| {
            let range: Subnet = text.parse().map_err(|error| invalid(&error))?;
            if !subnet.contains(range.address()) || range.prefix_len() < subnet.prefix_len() {
                return Err(EngineError::Invalid(format!(
                    "invalid IPAM configuration: range {range} is not in subnet {subnet}"
                )));
            }
            Ok(range)
        })
        .transpose()?;
    let gateway = match given(config.gateway) {
        Some(text) => inside(text)?,
        None => first_usable(range.unwrap_or(subnet), subnet)?,
    };
    let auxiliary = config
        .auxiliary_addresses
        .unwrap_or_default()
        .into_iter()
        .map(|(name, text)| Ok((name, inside(text)?)))
        .collect::<Result<_>>()?;
    Ok(Some(SubnetRecord {
        subnet,
        gateway,
        range,
        auxiliary,
        automatic: false,
    }))
}

/// The lowest address of the range that is not the subnet's network address.
pub(super) fn first_usable(range: Subnet, subnet: Subnet) -> Result<IpAddr> {
    let first = u128::from(range.address() == subnet.address());
    range.address_at(first).ok_or_else(|| {
        EngineError::Invalid(format!(
            "invalid subnet {subnet}: it has no address for a gateway"
        ))
    })
}

fn check_options(options: &BTreeMap<String, String>) -> Result<String> {
    let mut unknown = Vec::new();
    for (key, value) in options {
        let valid = match key.as_str() {
            OPTION_BRIDGE_NAME => is_link_name(value),
            OPTION_ICC | OPTION_MASQUERADE => {
                matches!(
                    value.to_ascii_lowercase().as_str(),
                    "1" | "t" | "true" | "0" | "f" | "false"
                )
            }
            OPTION_HOST_BINDING => value.parse::<Ipv4Addr>().is_ok(),
            OPTION_MTU => value
                .parse::<u32>()
                .is_ok_and(|mtu| (68..=65535).contains(&mtu)),
            _ => {
                unknown.push(key.as_str());
                true
            }
        };
        if !valid {
            return Err(EngineError::Invalid(format!(
                "invalid value {value:?} for option {key}"
            )));
        }
    }
    Ok(if unknown.is_empty() {
        String::new()
    } else {
        format!(
            "options without effect on this engine: {}",
            unknown.join(", ")
        )
    })
}

fn is_link_name(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && name != "lo"
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        && name.bytes().any(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(subnet: &str, gateway: &str) -> NetworkCreateRequest {
        NetworkCreateRequest {
            name: "n1".to_owned(),
            ipam: Some(Ipam {
                config: Some(vec![IpamConfig {
                    subnet: Some(subnet.to_owned()),
                    gateway: Some(gateway.to_owned()),
                    ..IpamConfig::default()
                }]),
                ..Ipam::default()
            }),
            ..NetworkCreateRequest::default()
        }
    }

    #[test]
    fn gateway_is_the_first_address_unless_given() {
        let checked = check("1".to_owned(), request("10.9.0.0/24", "")).unwrap();
        assert_eq!(checked.record.subnets[0].gateway.to_string(), "10.9.0.1");
        assert!(!checked.choose_ipv4);
        let checked = check("1".to_owned(), request("10.9.0.0/24", "10.9.0.254")).unwrap();
        assert_eq!(checked.record.subnets[0].gateway.to_string(), "10.9.0.254");
    }

    #[test]
    fn bad_requests_are_refused() {
        let of = |request| check("1".to_owned(), request).unwrap_err();
        assert!(matches!(
            of(request("10.9.0.0/24", "10.8.0.1")),
            EngineError::Invalid(_)
        ));
        assert!(matches!(
            of(request("10.9.0.0", "")),
            EngineError::Invalid(_)
        ));
        assert!(matches!(
            of(request("fd00::/64", "")),
            EngineError::Invalid(_)
        ));
        for (name, driver) in [("bridge", "bridge"), ("x", "host")] {
            let request = NetworkCreateRequest {
                name: name.into(),
                driver: Some(driver.into()),
                ..Default::default()
            };
            assert!(matches!(of(request), EngineError::Forbidden(_)));
        }
        let foreign = NetworkCreateRequest {
            name: "x".into(),
            driver: Some("overlay2".into()),
            ..Default::default()
        };
        assert_eq!(of(foreign).to_string(), "plugin \"overlay2\" not found");
        for name in ["", "a b", "../x", "-x", "é"] {
            let request = NetworkCreateRequest {
                name: name.into(),
                ..Default::default()
            };
            assert!(matches!(of(request), EngineError::Invalid(_)), "{name}");
        }
        let mut with_option = request("10.9.0.0/24", "");
        with_option.options =
            Some([(OPTION_BRIDGE_NAME.to_owned(), "x\"; drop".to_owned())].into());
        assert!(matches!(of(with_option), EngineError::Invalid(_)));
    }
}
