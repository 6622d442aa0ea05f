//! Traffic of a container's network interfaces.
//!
//! runc tells those that it made itself, which are none in practice. `/proc/PID/net/dev` has those of the container's network,
//! whoever made them.

use serde::Serialize;

/// Counters of one interface since it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "runc's names")]
pub struct NetworkInterface {
    pub name: String,
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_errors: u64,
    pub rx_dropped: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_errors: u64,
    pub tx_dropped: u64,
}

/// The interfaces that a process sees, without the loopback; `None` when its network is ours, whose traffic is not the
/// container's.
pub fn of_process(pid: i32) -> Option<Vec<NetworkInterface>> {
    let network = |who: &str| std::fs::read_link(format!("/proc/{who}/ns/net")).ok();
    if network(&pid.to_string())? == network("self")? {
        return None;
    }
    let content = std::fs::read_to_string(format!("/proc/{pid}/net/dev")).ok()?;
    let all: Vec<_> = parse(&content)
        .into_iter()
        .filter(|interface| interface.name != "lo")
        .collect();
    (!all.is_empty()).then_some(all)
}

/// `/proc/PID/net/dev`. A line of another form is left out.
///
/// Source: man 5 `proc_pid_net`; kernel `net/core/net-procfs.c`.
pub fn parse(content: &str) -> Vec<NetworkInterface> {
    content.lines().filter_map(line).collect()
}

fn line(line: &str) -> Option<NetworkInterface> {
    let (name, counters) = line.rsplit_once(':')?;
    let numbers: Vec<u64> = counters
        .split_ascii_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    // bytes packets errs drop fifo frame compressed multicast, and eight of the other direction.
    let [
        rx_bytes,
        rx_packets,
        rx_errors,
        rx_dropped,
        _,
        _,
        _,
        _,
        tx_bytes,
        tx_packets,
        tx_errors,
        tx_dropped,
        ..,
    ] = *numbers.as_slice()
    else {
        return None;
    };
    Some(NetworkInterface {
        name: name.trim().to_owned(),
        rx_bytes,
        rx_packets,
        rx_errors,
        rx_dropped,
        tx_bytes,
        tx_packets,
        tx_errors,
        tx_dropped,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_and_headings_are_left_out() {
        let all = parse(
            "Inter-|   Receive                                                |  Transmit\n \
             face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n  \
             eth0:  1  2  3  4  0  0  0  0  5  6  7  8  0  0  0  0\n",
        );
        let [eth0] = all.as_slice() else {
            panic!("{all:?}")
        };
        assert_eq!(eth0.name, "eth0");
        assert_eq!((eth0.rx_bytes, eth0.rx_dropped), (1, 4));
        assert_eq!((eth0.tx_bytes, eth0.tx_dropped), (5, 8));
        assert!(
            serde_json::to_string(eth0)
                .unwrap()
                .contains("\"RxBytes\":1")
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_left_out(text in "\\PC*") {
            drop(parse(&text));
        }
    }
}
