//! What is put right while the engine runs: rules that other programs remove or set against us, links that do not go
//! away with their container. Nothing wakes up while nothing happens.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::RecvFlags;
use tokio::io::unix::AsyncFd;
use tokio_util::sync::CancellationToken;

use super::elements;
use super::networks::Networks;
use crate::blocking;

/// The group `NFNLGRP_NFTABLES` (7), include/uapi/linux/netfilter/nfnetlink.h: every change of nftables rules is told here.
const CHANGES_OF_RULES: u32 = 1 << (7 - 1);
/// Larger announcements are cut, which loses no more than names of tables at their end.
const MAX_PACKET_BYTES: usize = 64 * 1024;
/// Other programs change many rules at once; they are looked at when that is over.
const RULES_PAUSE: Duration = Duration::from_millis(300);
/// The kernel takes links away within this time when nothing holds them.
const LINKS_PAUSE: Duration = Duration::from_secs(2);

impl Networks {
    /// Puts right what is needed until `shutdown`.
    pub(crate) async fn maintain(self: Arc<Self>, shutdown: CancellationToken) {
        let both = async {
            tokio::join!(self.watch_rules(), self.sweep_links());
        };
        shutdown.run_until_cancelled(both).await;
    }

    async fn sweep_links(self: &Arc<Self>) {
        loop {
            self.released.notified().await;
            tokio::time::sleep(LINKS_PAUSE).await;
            let networks = Arc::clone(self);
            if let Err(error) = blocking::run(move || networks.remove_stray_links()).await {
                tracing::warn!(%error, "remove links that were left");
            }
        }
    }

    async fn watch_rules(self: &Arc<Self>) {
        let socket = match subscribe() {
            Ok(socket) => socket,
            Err(error) => {
                tracing::warn!(%error, "watch changes of firewall rules; what other programs do to ours is seen at the next start only");
                return;
            }
        };
        loop {
            let changed = self.next_foreign_change(&socket).await;
            if let Err(error) = changed {
                tracing::warn!(%error, "read changes of firewall rules");
            }
            tokio::time::sleep(RULES_PAUSE).await;
            let networks = Arc::clone(self);
            if let Err(error) = blocking::run(move || networks.verify()).await {
                tracing::warn!(%error, "put firewall rules right");
            }
        }
    }

    /// Waits until another program has changed rules.
    async fn next_foreign_change(&self, socket: &AsyncFd<OwnedFd>) -> std::io::Result<()> {
        let mut buffer = vec![0; MAX_PACKET_BYTES];
        loop {
            let mut ready = socket.readable().await?;
            let received = ready.try_io(|socket| {
                let (length, _) =
                    rustix::net::recv(socket, buffer.as_mut_slice(), RecvFlags::empty())?;
                Ok(length)
            });
            match received {
                Ok(Ok(length)) => {
                    let packet = buffer.get(..length).unwrap_or_default();
                    if elements::concerns_others(packet, self.firewall.table()) {
                        return Ok(());
                    }
                }
                // There was more than the socket holds.
                Ok(Err(error)) if error.raw_os_error() == Some(Errno::NOBUFS.raw_os_error()) => {
                    return Ok(());
                }
                Ok(Err(error)) => return Err(error),
                Err(_would_block) => {}
            }
        }
    }
}

fn subscribe() -> std::io::Result<AsyncFd<OwnedFd>> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, netlink, socket_with};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        flags,
        Some(netlink::NETFILTER),
    )?;
    bind(
        &socket,
        &netlink::SocketAddrNetlink::new(0, CHANGES_OF_RULES),
    )?;
    #[expect(
        deprecated,
        reason = "the newer call is unsafe: it asks for a descriptor that stays open, which an OwnedFd does"
    )]
    AsyncFd::new(socket)
}
