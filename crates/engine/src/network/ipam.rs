//! Address management: which subnet a new network gets, and which address an endpoint gets in it.
//!
//! Leases live in memory only: an address is taken while a running container holds it, and those are known again after
//! a restart from the sandboxes' own files.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::subnet::Subnet;

/// Where automatic subnets come from: each entry is cut into parts of the given prefix length.
///
/// Docker Engine takes from 172.17.0.0–172.31.0.0 and 192.168.0.0; staying out of its way keeps both usable on one
/// host even when the other is not running at the moment.
pub(crate) const AUTOMATIC_POOLS: [(&str, u8); 3] = [
    ("172.16.0.0/16", 20),
    ("10.200.0.0/13", 20),
    ("192.168.0.0/16", 24),
];

/// The first automatic subnet that overlaps none of `taken` (subnets of networks, routes and addresses of the host).
pub(super) fn choose_subnet(taken: &[Subnet]) -> Option<Subnet> {
    AUTOMATIC_POOLS.iter().find_map(|(pool, prefix_len)| {
        let pool: Subnet = pool.parse().ok()?;
        (0..)
            .map_while(|index| pool.part(*prefix_len, index))
            .find(|candidate| !taken.iter().any(|other| other.overlaps(*candidate)))
    })
}

/// A unique local IPv6 subnet (RFC 4193) of 64 bits, made from 56 random bits.
pub(super) fn unique_local_subnet(random: [u8; 7]) -> Option<Subnet> {
    let mut octets = [0_u8; 16];
    octets[0] = 0xfd;
    octets[1..8].copy_from_slice(&random);
    Subnet::new(IpAddr::from(octets), 64)
}

/// Why an address is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LeaseError {
    /// Every address is in use.
    #[error("no available IPv4 addresses on this network's address pools")]
    Exhausted,
    /// Another endpoint holds the address.
    #[error("Address already in use")]
    InUse,
    /// The address is not of this subnet, or is its network or broadcast address.
    #[error("the address is not one of the subnet's")]
    Outside,
}

/// The addresses of one subnet and who holds them.
#[derive(Clone, Debug)]
pub(super) struct Leases {
    subnet: Subnet,
    /// Automatic addresses come from here: the subnet itself or a part of it.
    range: Subnet,
    /// Offset in the subnet → holder.
    held: BTreeMap<u128, String>,
    /// Offset in the range where the search for a free address goes on. An address that was just given back is taken
    /// again last, so that what neighbours remember of it has time to fade.
    next: u128,
}

/// The holder of gateway and auxiliary addresses.
const RESERVED: &str = "";

impl Leases {
    /// Leases of `subnet` with automatic addresses from `range`.
    pub(super) fn new(subnet: Subnet, range: Option<Subnet>) -> Self {
        Self {
            subnet,
            range: range.unwrap_or(subnet),
            held: BTreeMap::new(),
            next: 0,
        }
    }

    /// Takes `address` out of automatic use: the gateway or an auxiliary address.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub(super) fn reserve(&mut self, address: IpAddr) -> Result<(), LeaseError> {
        self.take(address, RESERVED)
    }

    /// Gives `holder` this very address.
    ///
    /// # Errors
    /// [`LeaseError::Outside`], or [`LeaseError::InUse`] when another holds it.
    pub(super) fn take(&mut self, address: IpAddr, holder: &str) -> Result<(), LeaseError> {
        let offset = self.subnet.offset_of(address).ok_or(LeaseError::Outside)?;
        if !self.is_usable(address) {
            return Err(LeaseError::Outside);
        }
        if self
            .held
            .get(&offset)
            .is_some_and(|current| current != holder || holder == RESERVED)
        {
            return Err(LeaseError::InUse);
        }
        self.held.insert(offset, holder.to_owned());
        Ok(())
    }

    /// Gives `holder` a free address of the range.
    ///
    /// # Errors
    /// [`LeaseError::Exhausted`].
    pub(super) fn allocate(&mut self, holder: &str) -> Result<IpAddr, LeaseError> {
        let size = self
            .range
            .offset_of(self.range.last())
            .map_or(1, |last| last.saturating_add(1));
        // One free address exists among any `held + 3` neighbours: those held, the network and the broadcast address.
        let tries = size.min(
            u128::try_from(self.held.len())
                .unwrap_or(u128::MAX)
                .saturating_add(3),
        );
        for step in 0..tries {
            let index = (self.next + step) % size;
            let Some(address) = self.range.address_at(index) else {
                continue;
            };
            let Some(offset) = self.subnet.offset_of(address) else {
                continue;
            };
            if self.is_usable(address) && !self.held.contains_key(&offset) {
                self.held.insert(offset, holder.to_owned());
                self.next = (index + 1) % size;
                return Ok(address);
            }
        }
        Err(LeaseError::Exhausted)
    }

    /// Gives back what `holder` has; nothing when it has nothing.
    pub(super) fn release(&mut self, holder: &str) {
        self.held.retain(|_, current| current != holder);
    }

    /// Neither the network address nor, for IPv4, the broadcast address. In /31 and /32 every address counts.
    fn is_usable(&self, address: IpAddr) -> bool {
        let tiny = self.subnet.is_ipv4() && self.subnet.prefix_len() >= 31;
        tiny || (address != self.subnet.address()
            && (!self.subnet.is_ipv4() || address != self.subnet.last()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn chosen_subnet_avoids_all_that_is_taken() {
        assert_eq!(choose_subnet(&[]), Some(subnet("172.16.0.0/20")));
        let taken = [subnet("172.16.0.0/20"), subnet("172.16.17.0/24")];
        assert_eq!(choose_subnet(&taken), Some(subnet("172.16.32.0/20")));
        assert_eq!(
            choose_subnet(&[subnet("172.16.0.0/12")]),
            Some(subnet("10.200.0.0/20"))
        );
        assert_eq!(choose_subnet(&[subnet("0.0.0.0/0")]), None);
    }

    #[test]
    fn gateway_comes_first_and_range_is_kept() {
        let mut leases = Leases::new(subnet("10.0.0.0/24"), Some(subnet("10.0.0.128/25")));
        assert_eq!(leases.allocate(RESERVED).unwrap().to_string(), "10.0.0.128");
        assert_eq!(leases.allocate("a").unwrap().to_string(), "10.0.0.129");
        leases.take("10.0.0.5".parse().unwrap(), "b").unwrap();
        assert_eq!(
            leases.take("10.0.0.5".parse().unwrap(), "c"),
            Err(LeaseError::InUse)
        );
        assert_eq!(
            leases.take("10.0.1.5".parse().unwrap(), "c"),
            Err(LeaseError::Outside)
        );
        assert_eq!(
            leases.take("10.0.0.255".parse().unwrap(), "c"),
            Err(LeaseError::Outside)
        );
    }

    #[test]
    fn address_given_back_is_taken_last() {
        let mut leases = Leases::new(subnet("10.0.0.0/29"), None);
        leases.allocate(RESERVED).unwrap();
        let first = leases.allocate("a").unwrap();
        leases.release("a");
        let rest: Vec<_> = (0..5)
            .map(|index| leases.allocate(&index.to_string()).unwrap())
            .collect();
        assert_eq!(rest.last(), Some(&first));
        assert_eq!(leases.allocate("x"), Err(LeaseError::Exhausted));
    }

    #[test]
    fn ipv6_subnet_gives_addresses() {
        let mut leases = Leases::new(unique_local_subnet([1, 2, 3, 4, 5, 6, 7]).unwrap(), None);
        assert_eq!(
            leases.allocate(RESERVED).unwrap().to_string(),
            "fd01:203:405:607::1"
        );
        assert_eq!(
            leases.allocate("a").unwrap().to_string(),
            "fd01:203:405:607::2"
        );
    }

    proptest! {
        #[test]
        fn no_address_is_given_twice(
            prefix_len in 24_u8..=32,
            steps in proptest::collection::vec((any::<bool>(), 0_u8..40), 0..300),
        ) {
            let net = Subnet::new("10.1.2.0".parse().unwrap(), prefix_len).unwrap();
            let mut leases = Leases::new(net, None);
            let mut held: BTreeMap<String, IpAddr> = BTreeMap::new();
            for (give_back, holder) in steps {
                let holder = format!("h{holder}");
                if give_back {
                    leases.release(&holder);
                    held.remove(&holder);
                } else if !held.contains_key(&holder) {
                    if let Ok(address) = leases.allocate(&holder) {
                        prop_assert!(net.contains(address));
                        prop_assert!(!held.values().any(|other| *other == address));
                        held.insert(holder, address);
                    } else {
                        let usable = if prefix_len >= 31 { 1 << (32 - prefix_len) } else { (1 << (32 - prefix_len)) - 2 };
                        prop_assert_eq!(held.len(), usable);
                    }
                }
            }
            let distinct: HashSet<_> = held.values().collect();
            prop_assert_eq!(distinct.len(), held.len());
        }
    }
}
