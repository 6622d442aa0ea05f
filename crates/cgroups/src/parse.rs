//! Parsers of cgroup files: flat keyed, nested keyed, lists of CPUs, pressure, `/proc/PID/cgroup`.
//!
//! The kernel may add keys at any time and leave out what it was built without, so unknown keys are kept or skipped, and
//! a line of unknown form is skipped, never an error.

/// One line of `/proc/PID/cgroup`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// 0 for v2.
    pub hierarchy_id: u32,
    /// Names of controllers, or `name=systemd`; empty for v2.
    pub controllers: Vec<String>,
    /// From the root of the reader's cgroup namespace.
    pub path: String,
}

/// `/proc/PID/cgroup`. Source: man 7 cgroups.
pub fn memberships(content: &str) -> Vec<Membership> {
    content
        .lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, ':');
            let hierarchy_id = fields.next()?.parse().ok()?;
            let controllers = fields
                .next()?
                .split(',')
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect();
            Some(Membership {
                hierarchy_id,
                controllers,
                path: fields.next()?.to_owned(),
            })
        })
        .collect()
}

/// `key value` lines, as in `memory.stat`.
pub fn flat_keyed(content: &str) -> impl Iterator<Item = (&str, u64)> {
    content.lines().filter_map(|line| {
        let (key, value) = line.split_once(' ')?;
        Some((key, value.trim().parse().ok()?))
    })
}

/// The value of one key of a flat keyed file.
pub fn flat_value(content: &str, key: &str) -> Option<u64> {
    flat_keyed(content).find_map(|(name, value)| (name == key).then_some(value))
}

/// `device key=value key=value` lines, as in `io.stat`.
pub fn nested_keyed(content: &str) -> impl Iterator<Item = (&str, Vec<(&str, u64)>)> {
    content.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let name = words.next()?;
        let values = words
            .filter_map(|word| {
                let (key, value) = word.split_once('=')?;
                Some((key, value.parse().ok()?))
            })
            .collect();
        Some((name, values))
    })
}

/// A number, or `max` (and v1's page-rounded `9223372036854771712`) for no limit: then `None`.
pub fn limit(content: &str) -> Option<u64> {
    // v1 says "no limit" as the largest multiple of the page size below 2^63.
    const NO_LIMIT_FROM: u64 = 0x7fff_ffff_0000_0000;
    content
        .trim()
        .parse()
        .ok()
        .filter(|value| *value < NO_LIMIT_FROM)
}

/// `major:minor`.
pub fn device(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// `major:minor`, where `*` is any: `1:3`, `136:*`.
pub fn device_pattern(text: &str) -> Option<(Option<u32>, Option<u32>)> {
    let number = |text: &str| match text {
        "*" => Some(None),
        text => digits(text).map(Some),
    };
    let (major, minor) = text.split_once(':')?;
    Some((number(major)?, number(minor)?))
}

/// True for the content of `/proc/PID/uid_map` outside of any user namespace: every id is itself.
/// Source: man 7 `user_namespaces`.
pub fn is_identity_map(content: &str) -> bool {
    let mut words = content.split_ascii_whitespace();
    let whole = words
        .by_ref()
        .take(3)
        .eq(["0", "0", u32::MAX.to_string().as_str()]);
    whole && words.next().is_none()
}

/// The largest CPU or node number that is believed in a list; the kernel's own limit is 8192.
const MAX_LIST_NUMBER: u32 = 65_535;

/// A list of CPUs or memory nodes, `0-3,8`, in rising order; `None` if it is not one.
/// Source: man 7 cpuset, List Format.
pub fn number_list(text: &str) -> Option<Vec<u32>> {
    let mut numbers = Vec::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (digits(first)?, digits(last)?);
        if first > last || last > MAX_LIST_NUMBER {
            return None;
        }
        numbers.extend(first..=last);
    }
    numbers.sort_unstable();
    numbers.dedup();
    Some(numbers)
}

/// A decimal number without sign.
fn digits(text: &str) -> Option<u32> {
    let text = text.trim();
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

/// One line of a pressure file.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PressureLine {
    /// Share of the last 10 s in which tasks waited, in percent.
    pub avg10_percent: f64,
    /// Of the last 60 s.
    pub avg60_percent: f64,
    /// Of the last 300 s.
    pub avg300_percent: f64,
    /// Time waited since the start, in microseconds.
    pub stalled_us_total: u64,
}

/// A pressure file. Source: kernel accounting/psi.rst.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    /// At least one task waited.
    pub some: PressureLine,
    /// All tasks waited; the kernel leaves it out for some resources.
    pub full: Option<PressureLine>,
}

/// A pressure file such as `memory.pressure`; `None` without a `some` line.
pub fn pressure(content: &str) -> Option<Pressure> {
    let mut some = None;
    let mut full = None;
    for line in content.lines() {
        let mut words = line.split_ascii_whitespace();
        let kind = words.next();
        let mut parsed = PressureLine::default();
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            match key {
                "avg10" => parsed.avg10_percent = value.parse().unwrap_or_default(),
                "avg60" => parsed.avg60_percent = value.parse().unwrap_or_default(),
                "avg300" => parsed.avg300_percent = value.parse().unwrap_or_default(),
                "total" => parsed.stalled_us_total = value.parse().unwrap_or_default(),
                _ => {}
            }
        }
        match kind {
            Some("some") => some = Some(parsed),
            Some("full") => full = Some(parsed),
            _ => {}
        }
    }
    some.map(|some| Pressure { some, full })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memberships_of_a_hybrid_machine() {
        let all = memberships("9:name=systemd:/\n2:cpu,cpuacct:/a:b\n0::/x\nnonsense\n");
        assert_eq!(all.len(), 3);
        assert_eq!(all[0].controllers, ["name=systemd"]);
        assert_eq!(all[1].controllers, ["cpu", "cpuacct"]);
        assert_eq!(all[1].path, "/a:b");
        assert_eq!(all[2].controllers, Vec::<String>::new());
    }

    #[test]
    fn keyed_files() {
        assert_eq!(flat_value("a 1\nb 2\nc x\n", "b"), Some(2));
        assert_eq!(flat_value("a 1\n", "b"), None);
        let io: Vec<_> = nested_keyed("8:0 rbytes=1 wbytes=2\n253:0 \n").collect();
        assert_eq!(io[0], ("8:0", vec![("rbytes", 1), ("wbytes", 2)]));
        assert_eq!(io[1].0, "253:0");
    }

    #[test]
    fn no_limit_is_none() {
        assert_eq!(limit("max\n"), None);
        assert_eq!(limit("9223372036854771712\n"), None);
        assert_eq!(limit("33554432\n"), Some(33_554_432));
    }

    #[test]
    fn lists_of_cpus() {
        assert_eq!(number_list("0-2,5\n"), Some(vec![0, 1, 2, 5]));
        assert_eq!(number_list(""), Some(vec![]));
        for bad in ["a", "3-1", "-1", "1-", "0-99999999", "+1"] {
            assert_eq!(number_list(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_the_first_user_namespace_maps_every_id_to_itself() {
        assert!(is_identity_map("         0          0 4294967295\n"));
        for other in ["", "0 1000 1", "0 0 4294967295\n1 1 1", "0 0 65536"] {
            assert!(!is_identity_map(other), "{other}");
        }
        assert_eq!(device_pattern("136:*"), Some((Some(136), None)));
        for bad in ["1", "a:1", "-1:2", "1:", ":"] {
            assert_eq!(device_pattern(bad), None, "{bad}");
        }
    }

    #[test]
    fn pressure_with_and_without_full() {
        let p = pressure("some avg10=1.50 avg60=0.00 avg300=0.00 total=42\n").unwrap();
        assert!((p.some.avg10_percent - 1.5).abs() < f64::EPSILON);
        assert_eq!(p.some.stalled_us_total, 42);
        assert_eq!(p.full, None);
        assert_eq!(pressure(""), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "\\PC*") {
            let _ = memberships(&text);
            let _ = flat_keyed(&text).count();
            let _ = nested_keyed(&text).count();
            let _ = (device_pattern(&text), is_identity_map(&text), crate::devices::DeviceList::from_listing(&text));
            let _ = (limit(&text), device(&text), number_list(&text), pressure(&text));
        }

        #[test]
        fn lists_come_back(numbers in proptest::collection::btree_set(0_u32..200, 0..20)) {
            let text = numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
            proptest::prop_assert_eq!(number_list(&text).unwrap(), numbers.into_iter().collect::<Vec<_>>());
        }
    }
}
