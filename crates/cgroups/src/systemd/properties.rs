//! Limits as properties of a unit, so that systemd, which writes a unit's cgroup files anew whenever it likes, writes the
//! same that we do. What systemd knows nothing of is only in the files; it leaves those alone in a delegated unit.
//!
//! Source: man 5 systemd.resource-control; org.freedesktop.systemd1(5).

use super::wire::Value;
use crate::devices::DeviceList;
use crate::resources::{self, Resources};
use crate::{DeviceRule, DeviceType, Error, parse};

/// A unit's property.
pub type Property = (String, Value);

/// What the machine's systemd and cgroups are like.
#[derive(Clone, Copy, Debug)]
pub struct Flavour {
    /// Memory is on v2.
    pub v2: bool,
    /// systemd's version; those we meet without one are taken for old.
    pub version: u32,
}

fn property(name: &str, value: Value) -> Property {
    (name.to_owned(), value)
}

/// Less than 0 is no limit, which systemd writes as the greatest number.
fn limit(number: i64) -> Value {
    Value::Uint64(u64::try_from(number).unwrap_or(u64::MAX))
}

/// The properties that say what `resources` say. A second list has what systemd cannot be told, in words.
///
/// # Errors
/// [`Error::Invalid`] as [`crate::Cgroup::apply`].
pub fn properties(
    resources: &Resources,
    flavour: Flavour,
) -> Result<(Vec<Property>, Vec<String>), Error> {
    let mut all = Vec::new();
    let mut warnings = Vec::new();
    let memory = &resources.memory;
    let given = |number: Option<i64>| number.filter(|number| *number != 0);
    if let Some(bytes) = given(memory.limit_bytes) {
        let name = if flavour.v2 {
            "MemoryMax"
        } else {
            "MemoryLimit"
        };
        all.push(property(name, limit(bytes)));
    }
    if flavour.v2 {
        if let Some(bytes) = given(memory.reservation_bytes) {
            all.push(property("MemoryLow", limit(bytes)));
        }
        if let Some(swap) = resources::swap_alone(memory) {
            all.push(property("MemorySwapMax", limit(swap)));
        }
    }
    let cpu = &resources.cpu;
    let idle = cpu.idle == Some(1) && flavour.v2 && flavour.version >= 252;
    if idle {
        // 0 is systemd's word for it.
        all.push(property("CPUWeight", Value::Uint64(0)));
    }
    if let Some(shares) = cpu.shares.filter(|shares| *shares != 0) {
        if idle {
            warnings.push(
                "unable to apply both CPUWeight and CpuIdle to systemd, ignoring CPUWeight".into(),
            );
        } else if flavour.v2 {
            let weight = resources::shares_to_weight(shares);
            all.push(property("CPUWeight", Value::Uint64(weight)));
        } else {
            all.push(property("CPUShares", Value::Uint64(shares)));
        }
    }
    quota(
        &mut all,
        cpu.quota_us.unwrap_or_default(),
        cpu.period_us.unwrap_or_default(),
        flavour,
    );
    if let Some(most) = resources.pids {
        // systemd knows no 0.
        let most = if most == 0 { 1 } else { most };
        all.push(property("TasksMax", limit(most)));
    }
    for (name, list) in [
        ("AllowedCPUs", &cpu.cpus),
        ("AllowedMemoryNodes", &cpu.mems),
    ] {
        if let Some(list) = list.as_ref().filter(|list| !list.is_empty()) {
            all.extend(mask(name, list, flavour)?);
        }
    }
    if let Some(weight) = resources.block_io.weight.filter(|_| !flavour.v2) {
        all.push(property("BlockIOWeight", Value::Uint64(weight.into())));
    }
    unified(&mut all, &mut warnings, resources, flavour)?;
    Ok((all, warnings))
}

const DEFAULT_PERIOD_US: u64 = 100_000;
const US_PER_S: u64 = 1_000_000;
/// systemd keeps whole percents of a CPU.
const STEP_US: u64 = US_PER_S / 100;

/// A quota as time in each second, rounded up to what systemd keeps; the period may be 0 for the default.
fn each_second_us(quota_us: u64, period_us: u64) -> u64 {
    let period = if period_us == 0 {
        DEFAULT_PERIOD_US
    } else {
        period_us
    };
    (quota_us.saturating_mul(US_PER_S) / period).next_multiple_of(STEP_US)
}

/// The quota, in microseconds, that systemd would make of this one, so that the file says the same before and after systemd has
/// written it. Less than 1 is no quota.
pub fn rounded_quota(quota_us: i64, period_us: u64) -> i64 {
    match u64::try_from(quota_us) {
        Ok(quota) if quota > 0 => {
            let period = if period_us == 0 {
                DEFAULT_PERIOD_US
            } else {
                period_us
            };
            let rounded = each_second_us(quota, period).saturating_mul(period) / US_PER_S;
            i64::try_from(rounded).unwrap_or(quota_us)
        }
        _ => quota_us,
    }
}

fn quota(all: &mut Vec<Property>, quota_us: i64, period_us: u64, flavour: Flavour) {
    if quota_us == 0 && period_us == 0 {
        return;
    }
    if period_us != 0 && flavour.version >= 242 {
        all.push(property("CPUQuotaPeriodUSec", Value::Uint64(period_us)));
    }
    let each_second = match u64::try_from(quota_us) {
        Ok(quota) if quota > 0 => each_second_us(quota, period_us),
        _ => u64::MAX,
    };
    all.push(property("CPUQuotaPerSecUSec", Value::Uint64(each_second)));
}

/// A list of numbers as a mask of bits, the lowest byte first. Since systemd 244.
fn mask(name: &str, list: &str, flavour: Flavour) -> Result<Option<Property>, Error> {
    let numbers = parse::number_list(list).ok_or_else(|| Error::Invalid {
        what: name.to_owned(),
        value: format!("{list:?}"),
        reason: "is not a list such as 0-2,5".into(),
    })?;
    if flavour.version < 244 {
        return Ok(None);
    }
    let mut bytes: Vec<u8> = Vec::new();
    for number in numbers {
        let at = usize::try_from(number / 8).unwrap_or_default();
        if bytes.len() <= at {
            bytes.resize(at + 1, 0);
        }
        if let Some(byte) = bytes.get_mut(at) {
            *byte |= 1 << (number % 8);
        }
    }
    let bytes = bytes.into_iter().map(Value::Byte).collect();
    Ok(Some(property(name, Value::Array("y".into(), bytes))))
}

/// v2 files that are properties too.
fn unified(
    all: &mut Vec<Property>,
    warnings: &mut Vec<String>,
    resources: &Resources,
    flavour: Flavour,
) -> Result<(), Error> {
    let idle = |value: Option<&String>| {
        flavour.version >= 252 && value.is_some_and(|value| value.trim() == "1")
    };
    for (name, value) in &resources.unified {
        let value = value.trim();
        let number = |text: &str| match text {
            "max" => Ok(u64::MAX),
            text => text.parse().map_err(|_not_a_number| Error::Invalid {
                what: name.clone(),
                value: value.to_owned(),
                reason: "is not a number".into(),
            }),
        };
        match name.as_str() {
            "cpu.idle" if value == "1" && flavour.version >= 252 => {
                all.push(property("CPUWeight", Value::Uint64(0)));
            }
            "cpu.weight" if idle(resources.unified.get("cpu.idle")) => warnings.push(
                "unable to apply both cpu.weight and cpu.idle to systemd, ignoring cpu.weight"
                    .into(),
            ),
            "cpu.weight" => all.push(property("CPUWeight", Value::Uint64(number(value)?))),
            "cpu.max" => {
                let mut words = value.split_ascii_whitespace();
                let most = number(words.next().unwrap_or("max"))?;
                let period = words.next().map_or(Ok(100_000), number)?;
                quota(all, i64::try_from(most).unwrap_or(-1), period, flavour);
            }
            "cpuset.cpus" => all.extend(mask("AllowedCPUs", value, flavour)?),
            "cpuset.mems" => all.extend(mask("AllowedMemoryNodes", value, flavour)?),
            "memory.high" | "memory.low" | "memory.min" | "memory.max" | "memory.swap.max" => {
                let property_name = match name.as_str() {
                    "memory.high" => "MemoryHigh",
                    "memory.low" => "MemoryLow",
                    "memory.min" => "MemoryMin",
                    "memory.max" => "MemoryMax",
                    _ => "MemorySwapMax",
                };
                all.push(property(property_name, Value::Uint64(number(value)?)));
            }
            "pids.max" => {
                all.push(property("TasksMax", Value::Uint64(number(value)?.max(1))));
            }
            // Only in the files.
            _ => {}
        }
    }
    Ok(())
}

/// Rules about devices, which systemd must know on v1: it writes them anew when its configuration is read again, and without
/// any it allows everything. On v2 the program is ours alone, and systemd leaves it.
///
/// # Errors
/// As [`DeviceList::from_rules`].
pub fn devices(rules: &[DeviceRule], known: &str) -> Result<Vec<Property>, Error> {
    let list = DeviceList::from_rules(rules)?;
    if list.allow_by_default {
        return Ok(vec![property("DevicePolicy", Value::text("auto"))]);
    }
    let entries = list
        .exceptions
        .iter()
        .filter_map(|rule| {
            let node = device_node(rule, known)?;
            let access: String = rule.access.letters();
            Some(Value::Struct(vec![Value::text(node), Value::text(access)]))
        })
        .collect();
    Ok(vec![
        property("DevicePolicy", Value::text("strict")),
        property("DeviceAllow", Value::Array("(ss)".into(), entries)),
    ])
}

/// How systemd names devices: `/dev/char/1:3`, `char-pts` for a whole group, `block-*`. A group that `/proc/devices` does not
/// know has no name, and no device.
fn device_node(rule: &DeviceRule, known: &str) -> Option<String> {
    let (kind, heading) = match rule.kind {
        DeviceType::Block => ("block", "Block devices:"),
        DeviceType::Char | DeviceType::All => ("char", "Character devices:"),
    };
    match (rule.major, rule.minor) {
        (None, _) => Some(format!("{kind}-*")),
        (Some(major), Some(minor)) => Some(format!("/dev/{kind}/{major}:{minor}")),
        (Some(major), None) => known
            .lines()
            .skip_while(|line| *line != heading)
            .skip(1)
            .take_while(|line| !line.is_empty())
            .find_map(|line| {
                let (number, name) = line.trim_start().split_once(' ')?;
                (number.parse() == Ok(major)).then(|| format!("{kind}-{name}"))
            }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DeviceAccess;

    const V2: Flavour = Flavour {
        v2: true,
        version: 252,
    };

    fn numbers(resources: &Resources, flavour: Flavour) -> Vec<(String, u64)> {
        let (all, _) = properties(resources, flavour).unwrap();
        all.into_iter()
            .filter_map(|(name, value)| match value {
                Value::Uint64(number) => Some((name, number)),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn limits_are_told_in_systemds_words() {
        let mut resources = Resources {
            pids: Some(-1),
            ..Resources::default()
        };
        resources.memory.limit_bytes = Some(100);
        resources.memory.limit_with_swap_bytes = Some(150);
        resources.cpu.shares = Some(1024);
        resources.cpu.quota_us = Some(50_500);
        resources.cpu.period_us = Some(100_000);
        let named = |all: &[(&str, u64)]| {
            all.iter()
                .map(|(name, number)| ((*name).to_owned(), *number))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            numbers(&resources, V2),
            named(&[
                ("MemoryMax", 100),
                ("MemorySwapMax", 50),
                ("CPUWeight", 100),
                ("CPUQuotaPeriodUSec", 100_000),
                ("CPUQuotaPerSecUSec", 510_000),
                ("TasksMax", u64::MAX),
            ])
        );
        let v1 = Flavour {
            v2: false,
            version: 247,
        };
        assert!(numbers(&resources, v1).contains(&("CPUShares".into(), 1024)));
        resources.cpu.idle = Some(1);
        let (_, warnings) = properties(&resources, V2).unwrap();
        assert!(warnings[0].contains("unable to apply both"));
    }

    #[test]
    fn a_quota_is_rounded_up_to_whole_percents_and_stays_so() {
        assert_eq!(rounded_quota(600_000, 900_000), 603_000);
        assert_eq!(rounded_quota(50_000, 0), 50_000);
        assert_eq!(rounded_quota(4_000, 10_000), 4_000);
        assert_eq!(rounded_quota(-1, 10_000), -1);
        for (quota, period) in [(1_000, 999_999), (12_345, 67_890), (1, 1)] {
            let once = rounded_quota(quota, period);
            assert!(once >= quota);
            assert_eq!(rounded_quota(once, period), once, "{quota} {period}");
        }
    }

    #[test]
    fn processors_are_a_mask() {
        let mut resources = Resources::default();
        resources.cpu.cpus = Some("0-2,9".into());
        let (all, _) = properties(&resources, V2).unwrap();
        let bytes = vec![Value::Byte(7), Value::Byte(2)];
        assert_eq!(
            all,
            [property("AllowedCPUs", Value::Array("y".into(), bytes))]
        );
    }

    #[test]
    fn devices_are_named_by_number_or_group() {
        let known = "Character devices:\n  1 mem\n136 pts\n\nBlock devices:\n  8 sd\n";
        let rule = |kind, major, minor| DeviceRule {
            allow: true,
            kind,
            major,
            minor,
            access: DeviceAccess::ALL,
        };
        let node = |kind, major, minor| device_node(&rule(kind, major, minor), known);
        assert_eq!(
            node(DeviceType::Char, Some(1), Some(3)).unwrap(),
            "/dev/char/1:3"
        );
        assert_eq!(node(DeviceType::Char, Some(136), None).unwrap(), "char-pts");
        assert_eq!(node(DeviceType::Block, None, None).unwrap(), "block-*");
        assert_eq!(node(DeviceType::Block, Some(136), None), None);
    }
}
