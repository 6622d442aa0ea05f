//! IPv4 and IPv6 subnets in CIDR notation, and the arithmetic on them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A subnet: a network address (host bits zero) and a prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Subnet {
    address: IpAddr,
    prefix_len: u8,
}

/// Why a text is not a subnet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid CIDR address: {0}")]
pub(crate) struct ParseSubnetError(String);

impl Subnet {
    /// The subnet of `prefix_len` bits that `address` lies in; `None` when the prefix is longer than the address.
    pub(super) fn new(address: IpAddr, prefix_len: u8) -> Option<Self> {
        let bits = width(address);
        if prefix_len > bits {
            return None;
        }
        let kept = to_bits(address) & !host_mask(bits, prefix_len);
        Some(Self {
            address: from_bits(kept, address),
            prefix_len,
        })
    }

    /// The network address: the lowest of the subnet.
    pub(super) fn address(self) -> IpAddr {
        self.address
    }

    /// Number of leading bits that all its addresses share.
    pub(super) fn prefix_len(self) -> u8 {
        self.prefix_len
    }

    /// Whether it is a subnet of IPv4.
    pub(super) fn is_ipv4(self) -> bool {
        self.address.is_ipv4()
    }

    /// Whether `address` lies in it.
    pub(super) fn contains(self, address: IpAddr) -> bool {
        Self::new(address, self.prefix_len) == Some(self)
    }

    /// Whether the two share an address.
    pub(super) fn overlaps(self, other: Self) -> bool {
        if self.prefix_len <= other.prefix_len {
            self.contains(other.address)
        } else {
            other.contains(self.address)
        }
    }

    /// The highest address: for IPv4 the broadcast address.
    pub(super) fn last(self) -> IpAddr {
        let bits = width(self.address);
        from_bits(
            to_bits(self.address) | host_mask(bits, self.prefix_len),
            self.address,
        )
    }

    /// How far `address` lies above the network address; `None` outside of the subnet.
    pub(super) fn offset_of(self, address: IpAddr) -> Option<u128> {
        self.contains(address)
            .then(|| to_bits(address) - to_bits(self.address))
    }

    /// The address `offset` above the network address; `None` beyond its end.
    pub(super) fn address_at(self, offset: u128) -> Option<IpAddr> {
        let bits = to_bits(self.address).checked_add(offset)?;
        (bits <= to_bits(self.last())).then(|| from_bits(bits, self.address))
    }

    /// Its `index`th part with `prefix_len` bits; `None` beyond its end.
    pub(super) fn part(self, prefix_len: u8, index: u128) -> Option<Self> {
        let size = 1_u128.checked_shl(u32::from(width(self.address).checked_sub(prefix_len)?))?;
        Self::new(self.address_at(index.checked_mul(size)?)?, prefix_len)
    }
}

/// Bits of an address of this family.
fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn host_mask(bits: u8, prefix_len: u8) -> u128 {
    match bits - prefix_len {
        128 => u128::MAX,
        host => (1 << host) - 1,
    }
}

fn to_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The address with these bits, of the family of `like`.
fn from_bits(bits: u128, like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => {
            // The callers stay within 32 bits for IPv4; saturating keeps it total.
            IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(u32::MAX)))
        }
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(bits)),
    }
}

impl FromStr for Subnet {
    type Err = ParseSubnetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || ParseSubnetError(text.to_owned());
        let (address, prefix_len) = text.split_once('/').ok_or_else(invalid)?;
        // `u8::from_str` takes a leading `+`.
        if prefix_len.is_empty() || !prefix_len.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(invalid());
        }
        let address = address.parse().map_err(|_| invalid())?;
        let prefix_len = prefix_len.parse().map_err(|_| invalid())?;
        Self::new(address, prefix_len).ok_or_else(invalid)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.prefix_len)
    }
}

impl serde::Serialize for Subnet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Subnet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn host_bits_are_cleared() {
        assert_eq!(subnet("172.16.5.9/20").to_string(), "172.16.0.0/20");
        assert_eq!(subnet("fd00::1/64").to_string(), "fd00::/64");
        assert_eq!(
            subnet("0.0.0.0/0").last(),
            "255.255.255.255".parse::<IpAddr>().unwrap()
        );
    }

    #[test]
    fn bad_texts_are_refused() {
        for text in [
            "",
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0/8",
            "::/129",
            "/",
            "a/8",
        ] {
            assert!(text.parse::<Subnet>().is_err(), "{text}");
        }
    }

    #[test]
    fn parts_lie_one_after_the_other() {
        let whole = subnet("172.16.0.0/16");
        assert_eq!(whole.part(20, 0), Some(subnet("172.16.0.0/20")));
        assert_eq!(whole.part(20, 15), Some(subnet("172.16.240.0/20")));
        assert_eq!(whole.part(20, 16), None);
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in ".{0,40}") {
            if let Ok(parsed) = text.parse::<Subnet>() {
                prop_assert_eq!(parsed.to_string().parse::<Subnet>(), Ok(parsed));
            }
        }

        #[test]
        fn overlap_is_containment_of_an_edge(a: u32, x in 0_u8..=32, b: u32, y in 0_u8..=32) {
            let first = Subnet::new(IpAddr::V4(a.into()), x).unwrap();
            let second = Subnet::new(IpAddr::V4(b.into()), y).unwrap();
            let shared = first.contains(second.address()) || second.contains(first.address());
            prop_assert_eq!(first.overlaps(second), shared);
            prop_assert_eq!(second.overlaps(first), shared);
        }

        #[test]
        fn offsets_and_addresses_are_inverse(a: u32, x in 0_u8..=32, offset: u32) {
            let net = Subnet::new(IpAddr::V4(a.into()), x).unwrap();
            if let Some(address) = net.address_at(u128::from(offset)) {
                prop_assert_eq!(net.offset_of(address), Some(u128::from(offset)));
            }
        }
    }
}
