//! Hardware addresses of Ethernet links.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct MacAddress([u8; 6]);

impl MacAddress {
    /// The address that belongs to an IP address. The same IP address always comes with the same hardware address, so
    /// what neighbours remember stays true when a container is replaced.
    pub(crate) fn for_address(address: IpAddr) -> Self {
        let [a, b, c, d] = match address {
            IpAddr::V4(address) => address.octets(),
            IpAddr::V6(address) => u32::try_from(address.to_bits() & u128::from(u32::MAX))
                .unwrap_or(0)
                .to_be_bytes(),
        };
        // 0x02: locally administered, one station.
        Self([0x02, 0x42, a, b, c, d])
    }

    /// The six bytes.
    pub(crate) fn octets(self) -> [u8; 6] {
        self.0
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octets = self.0.map(|octet| format!("{octet:02x}"));
        formatter.write_str(&octets.join(":"))
    }
}

/// Why a text is no hardware address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid MAC address: {0}")]
pub(crate) struct ParseMacError(String);

impl FromStr for MacAddress {
    type Err = ParseMacError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || ParseMacError(text.to_owned());
        let mut octets = [0; 6];
        let mut parts = text.split([':', '-']);
        for octet in &mut octets {
            let part = parts
                .next()
                .filter(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
                .ok_or_else(invalid)?;
            *octet = u8::from_str_radix(part, 16).map_err(|_| invalid())?;
        }
        // The lowest bit of the first byte marks a group of stations, which no link can be.
        if parts.next().is_some() || octets[0] & 1 == 1 {
            return Err(invalid());
        }
        Ok(Self(octets))
    }
}

impl serde::Serialize for MacAddress {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for MacAddress {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_written_as_it_is_read() {
        let mac = MacAddress::for_address("172.16.0.2".parse().unwrap());
        assert_eq!(mac.to_string(), "02:42:ac:10:00:02");
        assert_eq!(mac.to_string().parse(), Ok(mac));
        for bad in [
            "",
            "02:42:ac:10:00",
            "02:42:ac:10:00:02:03",
            "+2:42:ac:10:00:02",
            "01:00:00:00:00:00",
            "zz:42:ac:10:00:02",
        ] {
            assert!(bad.parse::<MacAddress>().is_err(), "{bad}");
        }
    }
}
