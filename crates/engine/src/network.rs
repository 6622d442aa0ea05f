//! Networks, addresses, published ports and DNS.
//!
//! A network is a bridge; a container has a network namespace held by a file, and in it one end of a pair of virtual
//! links for each network it is on. Addresses are translated by the kernel, by rules of our own nftables table, so
//! traffic goes on while the engine is stopped. Only names are resolved by the engine itself, at 127.0.0.11 inside the
//! namespaces.
//!
//! | module | holds |
//! | --- | --- |
//! | `networks` | all networks: create, find, show, remove |
//! | `sandboxes`, `wiring`, `publishing` | what a container gets as it starts and gives back as it ends |
//! | `attach`, `recovery` | joining and leaving networks while it runs; finding it again after a restart |
//! | `record`, `sandbox`, `port` | a network as it is kept; what a container asks for and gets; published ports |
//! | `subnet`, `ipam`, `lease`, `mac` | addresses |
//! | `netlink`, `link` | links, addresses and routes in the kernel |
//! | `firewall`, `elements`, `forward_policy` | translation and isolation |
//! | `dns`, `resolv_conf` | names |
//! | `maintenance` | what is put right while the engine runs |

mod attach;
mod dns;
mod elements;
mod firewall;
mod forward_policy;
mod ipam;
#[cfg(test)]
mod kernel_tests;
mod lease;
mod link;
mod mac;
mod maintenance;
mod netlink;
mod networks;
mod port;
mod publishing;
mod record;
mod recovery;
mod resolv_conf;
mod sandbox;
mod sandboxes;
mod subnet;
mod wiring;

pub(crate) use ipam::AUTOMATIC_POOLS;
pub(crate) use networks::{NetworkSummary, Networks};
pub(crate) use port::{PortRequest, parse_bindings, parse_port_key, port_map, port_summaries};
pub(crate) use record::{DEFAULT_NETWORK, Driver, HOST_NETWORK, NONE_NETWORK};
pub(crate) use sandbox::{DnsRequest, EndpointRequest, Sandbox, SandboxRequest};
