//! Files under `/proc/PID` and their parsers.
//!
//! Source: man 5 proc and its parts.

use std::io::ErrorKind;
use std::path::PathBuf;

use crate::ObserveError;
use crate::figures::InterfaceCounters;

/// `/proc/PID/NAME`.
pub(super) fn path(pid: u32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

/// The content of `/proc/PID/NAME`; what is not UTF-8 is replaced.
pub(super) fn read(pid: u32, name: &str) -> std::io::Result<String> {
    std::fs::read(path(pid, name)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// An error of the file system in the terms of this crate.
pub(super) fn observe_error(pid: u32, error: &std::io::Error) -> ObserveError {
    // ESRCH, what /proc answers for a process that ended after the file was opened, has no kind of its own.
    if error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(3) {
        return ObserveError::Gone { pid };
    }
    ObserveError::Unreadable {
        what: format!("process {pid}"),
        reason: words(error),
    }
}

/// An error in words, without its number.
pub(super) fn words(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_lowercase()
}

/// The value of a line `Key:  value` of `status`.
pub(super) fn status_value<'a>(status: &'a str, key: &str) -> Option<&'a str> {
    status.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name == key).then(|| value.trim())
    })
}

/// The value of a line `Key:  123 kB`, in KiB.
pub(super) fn status_kib(status: &str, key: &str) -> Option<u64> {
    status_value(status, key)?
        .split_ascii_whitespace()
        .next()?
        .parse()
        .ok()
}

/// The value of a line with a hexadecimal mask.
pub(super) fn status_mask(status: &str, key: &str) -> Option<u64> {
    u64::from_str_radix(status_value(status, key)?, 16).ok()
}

/// `/proc/PID/net/dev`, loopback left out.
pub(super) fn interfaces(content: &str) -> Vec<InterfaceCounters> {
    content
        .lines()
        .skip(2)
        .filter_map(|line| {
            let (name, counters) = line.split_once(':')?;
            let name = name.trim();
            if name == "lo" {
                return None;
            }
            let numbers: Vec<u64> = counters
                .split_ascii_whitespace()
                .map(|word| word.parse().unwrap_or_default())
                .collect();
            let at = |index: usize| numbers.get(index).copied().unwrap_or_default();
            Some(InterfaceCounters {
                name: name.to_owned(),
                received_bytes_total: at(0),
                received_packets_total: at(1),
                receive_errors_total: at(2),
                receive_drops_total: at(3),
                sent_bytes_total: at(8),
                sent_packets_total: at(9),
                send_errors_total: at(10),
                send_drops_total: at(11),
            })
        })
        .collect()
}

/// The inode number of a namespace of a process: of `net:[4026531840]`, the target of the link `/proc/PID/ns/net`.
pub(super) fn namespace_inode(pid: &str, link: &str) -> std::io::Result<u64> {
    let target = std::fs::read_link(format!("/proc/{pid}/ns/{link}"))?;
    let target = target.to_string_lossy();
    target
        .split_once('[')
        .and_then(|(_, rest)| rest.strip_suffix(']'))
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines() {
        let status = "Name:\tsh\nVmRSS:\t    1234 kB\nCapEff:\t00000000a80425fb\n";
        assert_eq!(status_value(status, "Name"), Some("sh"));
        assert_eq!(status_kib(status, "VmRSS"), Some(1234));
        assert_eq!(status_mask(status, "CapEff"), Some(0xa804_25fb));
        assert_eq!(status_value(status, "Vm"), None);
    }

    #[test]
    fn interface_counters_without_loopback() {
        let content = "Inter-|   Receive\n face |bytes\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n\
                       eth0:100 2 3 4 0 0 0 0 200 5 6 7 0 0 0 0\n";
        let all = interfaces(content);
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].name, "eth0");
        assert_eq!(
            (all[0].received_bytes_total, all[0].sent_bytes_total),
            (100, 200)
        );
        assert_eq!(
            (all[0].receive_drops_total, all[0].send_drops_total),
            (4, 7)
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "\\PC*") {
            let _ = interfaces(&text);
            let _ = (status_value(&text, "a"), status_kib(&text, "a"), status_mask(&text, "a"));
        }
    }
}
