//! Networks.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::{ContainerId, EngineName, NetworkId};

/// A network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NetworkSummary {
    /// The engine that has it.
    pub engine: EngineName,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Such as `bridge`.
    pub driver: String,
    /// `local`, `global` or `swarm`.
    pub scope: String,
    /// Containers on it cannot reach the outside.
    pub internal: bool,
    /// Its subnets, such as `172.17.0.0/16`.
    pub subnets: Vec<String>,
    /// Its gateways.
    pub gateways: Vec<String>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Names of the containers on it.
    pub used_by: Vec<String>,
}

/// Makes a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkCreateRequest {
    /// Its name.
    pub name: String,
    /// `bridge` when absent; another driver is given to administrators only.
    pub driver: Option<String>,
    /// Containers on it cannot reach the outside.
    pub internal: bool,
    /// Such as `10.5.0.0/24`; the engine chooses when absent.
    pub subnet: Option<String>,
    /// An address in the subnet.
    pub gateway: Option<String>,
    /// IPv6, too.
    pub ipv6: bool,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Options of the driver; administrators only, for they can name any interface of the host.
    pub driver_options: BTreeMap<String, String>,
}

/// A network in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NetworkDetail {
    /// As in the list.
    pub summary: NetworkSummary,
    /// Options of its driver.
    pub options: BTreeMap<String, String>,
    /// The containers on it that run.
    pub endpoints: Vec<NetworkEndpoint>,
}

/// A container's place on a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NetworkEndpoint {
    /// The container's id.
    pub container: String,
    /// The container's name.
    pub name: String,
    /// Its IPv4 address.
    pub ipv4: Option<String>,
    /// Its IPv6 address.
    pub ipv6: Option<String>,
    /// Its hardware address.
    pub mac: Option<String>,
}

/// Connects a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkConnectRequest {
    /// The container.
    pub container: ContainerId,
    /// Names under which others on the network find it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// A fixed address in the network's subnet.
    #[serde(default)]
    pub ipv4: Option<String>,
}

/// Disconnects a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkDisconnectRequest {
    /// The container.
    pub container: ContainerId,
    /// Also when the container is in no state to let go.
    #[serde(default)]
    pub force: bool,
}

/// Asks what removing networks would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkPreviewRequest {
    /// These networks.
    #[serde(default)]
    pub networks: Vec<NetworkId>,
    /// Every network of users that no container uses instead.
    #[serde(default)]
    pub prune: bool,
}

/// Removes networks that were previewed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkRemoveRequest {
    /// The preview's token.
    pub preview_token: String,
}

/// Who is connected with whom, and what is open to the host and beyond.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Topology {
    /// The networks.
    pub networks: Vec<NetworkSummary>,
    /// The containers.
    pub containers: Vec<TopologyContainer>,
    /// Lines between containers and networks.
    pub links: Vec<TopologyLink>,
    /// Ports of the host that lead to containers.
    pub ports: Vec<TopologyPort>,
}

/// A container on the picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TopologyContainer {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: crate::container::ContainerState,
    /// Its stack.
    pub project: Option<String>,
    /// `host` or `none`, when it is on no network of its own.
    pub outside: Option<String>,
}

/// A container on a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TopologyLink {
    /// The container's id.
    pub container: String,
    /// The network's id.
    pub network: String,
    /// The container's address there, while it runs.
    pub ipv4: Option<String>,
    /// The same for IPv6.
    pub ipv6: Option<String>,
}

/// A port of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TopologyPort {
    /// The port of the host.
    pub host_port: u16,
    /// The address of the host; empty for all.
    pub host_ip: String,
    /// Others than this machine reach it.
    pub exposed: bool,
    /// The container's id.
    pub container: String,
    /// The port in the container.
    pub container_port: u16,
    /// The protocol.
    pub protocol: crate::container::Protocol,
}
