//! What is put right while the engine runs: rules that other programs remove or set against us, links that do not go
//! away with their container. Nothing wakes up while nothing happens.

use std::sync::Arc;
use std::time::Duration;

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use tokio::io::unix::AsyncFd;
use tokio_util::sync::CancellationToken;

use super::elements;
use super::networks::Networks;
use crate::blocking;

/// `NFNLGRP_NFTABLES`, include/uapi/linux/netfilter/nfnetlink.h: every change of nftables rules is told here.
const CHANGES_OF_RULES: u32 = 7;
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
    async fn next_foreign_change(&self, socket: &AsyncFd<Socket>) -> std::io::Result<()> {
        loop {
            let mut ready = socket.readable().await?;
            match ready.try_io(|socket| socket.get_ref().recv_from_full()) {
                Ok(Ok((packet, _)))
                    if !elements::concerns_others(&packet, self.firewall.table()) => {}
                // ENOBUFS: there was more than the socket holds.
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error))
                    if error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error()) =>
                {
                    return Ok(());
                }
                Ok(Err(error)) => return Err(error),
                Err(_would_block) => {}
            }
        }
    }
}

fn subscribe() -> std::io::Result<AsyncFd<Socket>> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind(&SocketAddr::new(0, 0))?;
    socket.add_membership(CHANGES_OF_RULES)?;
    socket.set_non_blocking(true)?;
    AsyncFd::new(socket)
}
