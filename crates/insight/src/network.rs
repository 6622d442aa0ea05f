//! What an interface or a socket of a container means.

use observe::inside::{Interface, Socket};

/// What an interface means, in one sentence.
pub fn interface_sentence(interface: &Interface) -> String {
    if interface.addresses.is_empty() {
        return "An interface without an address: nothing can be reached through it.".into();
    }
    format!(
        "The container's end of a cable into its network; it is reached there as {}.",
        interface.addresses.join(" and ")
    )
}

/// What a listening socket means, in one sentence.
pub fn socket_sentence(socket: &Socket) -> String {
    let packets = socket.protocol.starts_with("udp");
    let waits = if packets { "packets" } else { "connections" };
    let name_service = socket.address == "127.0.0.11";
    if name_service {
        return "The engine's own name service for this container.".into();
    }
    let loopback = socket.address.starts_with("127.") || socket.address == "::1";
    if loopback {
        return format!(
            "Waits for {waits} from inside the container only; publishing port {} does not make it reachable. To change that, \
             let the program listen on 0.0.0.0.",
            socket.port
        );
    }
    format!(
        "Waits for {waits} from its network; from outside of the machine only if port {} is published.",
        socket.port
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_listener_is_told_apart() {
        let socket = |address: &str| Socket {
            protocol: "tcp".into(),
            address: address.into(),
            port: 80,
        };
        assert!(socket_sentence(&socket("127.0.0.1")).contains("does not make it reachable"));
        assert!(socket_sentence(&socket("0.0.0.0")).contains("published"));
        assert!(socket_sentence(&socket("127.0.0.11")).contains("name service"));
    }
}
