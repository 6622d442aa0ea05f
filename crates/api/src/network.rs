//! Networks.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::EngineName;

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
