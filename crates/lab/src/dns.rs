//! A small resolver: `/etc/hosts`, then one question to each name server in `/etc/resolv.conf`.
//!
//! The C library's own needs files and shared objects that a static program in a small image does not have.
//! Source: RFC 1035.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use crate::Problem;

const TIMEOUT: Duration = Duration::from_secs(3);
const TYPE_A: u16 = 1;
const MAX_ANSWER_BYTES: usize = 4096;

/// The addresses of a host.
pub(crate) fn resolve(name: &str) -> Result<Vec<IpAddr>, Problem> {
    if let Ok(address) = name.trim_start_matches('[').trim_end_matches(']').parse() {
        return Ok(vec![address]);
    }
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    let known = from_hosts(&hosts, name);
    if !known.is_empty() {
        return Ok(known);
    }
    let settings =
        fs::read_to_string("/etc/resolv.conf").map_err(Problem::of("read /etc/resolv.conf"))?;
    let servers = settings.lines().filter_map(|line| {
        line.trim()
            .strip_prefix("nameserver")?
            .trim()
            .parse::<IpAddr>()
            .ok()
    });
    let mut last = Problem::Failed(format!(
        "resolve {name}: no name server in /etc/resolv.conf"
    ));
    for server in servers {
        match ask(server, name) {
            Ok(addresses) if addresses.is_empty() => {
                return Err(Problem::Failed(format!("resolve {name}: no such host")));
            }
            Ok(addresses) => return Ok(addresses),
            Err(problem) => last = problem,
        }
    }
    Err(last)
}

fn from_hosts(hosts: &str, name: &str) -> Vec<IpAddr> {
    hosts
        .lines()
        .filter_map(|line| {
            let mut words = line
                .split('#')
                .next()
                .unwrap_or_default()
                .split_whitespace();
            let address = words.next()?.parse().ok()?;
            words
                .any(|word| word.eq_ignore_ascii_case(name))
                .then_some(address)
        })
        .collect()
}

fn ask(server: IpAddr, name: &str) -> Result<Vec<IpAddr>, Problem> {
    let what = || format!("resolve {name} at {server}");
    let local: SocketAddr = if server.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(local).map_err(Problem::of(what()))?;
    socket
        .set_read_timeout(Some(TIMEOUT))
        .map_err(Problem::of(what()))?;
    socket.connect((server, 53)).map_err(Problem::of(what()))?;
    // Tells answers of an earlier question apart; the kernel has checked the sender.
    let id = (std::process::id() & 0xffff) as u16 ^ 0x5a5a;
    let question =
        question(id, name).ok_or_else(|| Problem::Usage(format!("{name:?} is no host name")))?;
    let mut answer = vec![0; MAX_ANSWER_BYTES];
    for _ in 0..2 {
        socket.send(&question).map_err(Problem::of(what()))?;
        match socket.recv(&mut answer) {
            Ok(length) => {
                return addresses(&answer[..length], id)
                    .ok_or_else(|| {
                        Problem::Failed(format!("{}: the answer makes no sense", what()))
                    })?
                    .map_err(|code| {
                        Problem::Failed(format!("{}: the server answers error {code}", what()))
                    });
            }
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) => {}
            Err(error) => return Err(Problem::of(what())(error)),
        }
    }
    Err(Problem::Failed(format!("{}: no answer", what())))
}

fn question(id: u16, name: &str) -> Option<Vec<u8>> {
    let mut packet = Vec::new();
    packet.extend_from_slice(&id.to_be_bytes());
    // Recursion desired; one question.
    packet.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len())
            .ok()
            .filter(|length| (1..=63).contains(length))?;
        packet.push(length);
        packet.extend_from_slice(label.as_bytes());
    }
    packet.extend_from_slice(&[0, 0, 1, 0, 1]);
    (packet.len() <= 271).then_some(packet)
}

/// The addresses in an answer, or the server's error code. No such name is no address.
fn addresses(packet: &[u8], id: u16) -> Option<Result<Vec<IpAddr>, u8>> {
    let word = |at: usize| Some(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]));
    if word(0)? != id || packet.get(2)? & 0x80 == 0 {
        return None;
    }
    match packet.get(3)? & 0x0f {
        0 => {}
        3 => return Some(Ok(Vec::new())),
        code => return Some(Err(code)),
    }
    let mut at = 12;
    for _ in 0..word(4)? {
        at = skip_name(packet, at)? + 4;
    }
    let mut found = Vec::new();
    for _ in 0..word(6)? {
        at = skip_name(packet, at)?;
        let length = usize::from(word(at + 8)?);
        if word(at)? == TYPE_A
            && let [a, b, c, d] = packet.get(at + 10..at + 10 + length)?
        {
            found.push(IpAddr::V4(Ipv4Addr::new(*a, *b, *c, *d)));
        }
        at += 10 + length;
    }
    Some(Ok(found))
}

fn skip_name(packet: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *packet.get(at)? {
            0 => return Some(at + 1),
            length if length & 0xc0 == 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_come_first() {
        let hosts = "127.0.0.1 localhost # me\n10.0.0.2 web web.local\n";
        assert_eq!(
            from_hosts(hosts, "WEB"),
            ["10.0.0.2".parse::<IpAddr>().unwrap()]
        );
        assert!(from_hosts(hosts, "me").is_empty());
    }

    #[test]
    fn an_answer_with_an_alias_and_an_address_is_read() {
        let mut packet = question(7, "a.b").unwrap();
        packet[2] |= 0x80;
        packet[7] = 2;
        packet.extend_from_slice(&[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 1, 0, 2, 0xc0, 12]);
        packet.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 10, 1, 2, 3]);
        assert_eq!(
            addresses(&packet, 7),
            Some(Ok(vec!["10.1.2.3".parse().unwrap()]))
        );
        assert_eq!(addresses(&packet, 8), None);
        for cut in 0..packet.len() {
            let _answer = addresses(&packet[..cut], 7);
        }
        packet[3] = 3;
        assert_eq!(addresses(&packet, 7), Some(Ok(vec![])));
        assert!(question(1, "a..b").is_none() && question(1, &"x".repeat(64)).is_none());
    }
}
