//! Notices that a client is gone.
//!
//! With half-open connections allowed, the HTTP server learns of a closed one only when it next has something to send: a
//! stalled pull or a quiet `logs --follow` would go on for nobody.

use std::{
    io,
    os::{fd::OwnedFd, unix::net},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use tokio::{io::Interest, net::UnixStream};

/// How often a client that has shut down its sending side is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Ends when the other end of `socket` has closed it in both directions, or never when that cannot be found out.
pub(super) async fn gone(socket: OwnedFd) {
    if let Err(error) = watch(socket).await {
        tracing::debug!(%error, "watch a client");
        std::future::pending::<()>().await;
    }
}

async fn watch(socket: OwnedFd) -> io::Result<()> {
    let socket = UnixStream::from_std(net::UnixStream::from(socket))?;
    loop {
        socket.readable().await?;
        let seen = state(&socket)?;
        if seen.contains(PollFlags::HUP) {
            return Ok(());
        }
        if seen.contains(PollFlags::RDHUP) {
            // From here on the socket always counts as readable.
            tokio::time::sleep(LOOK_AGAIN).await;
        } else {
            // Nothing is read here: this only makes the next call wait for news.
            let wait = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
            drop(socket.try_io(Interest::READABLE, wait));
        }
    }
}

fn state(socket: &UnixStream) -> Result<PollFlags, Errno> {
    let mut fds = [PollFd::new(socket, PollFlags::RDHUP)];
    loop {
        match poll(&mut fds, Some(&Timespec::default())) {
            Ok(_) => return Ok(fds[0].revents()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Shutdown, os::unix::net::UnixStream};

    use super::{Duration, gone};

    #[tokio::test]
    async fn a_client_is_gone_when_it_closes_not_when_it_stops_sending() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut gone = Box::pin(gone(ours.try_clone().unwrap().into()));
        let a_while = Duration::from_millis(20);
        std::io::Write::write_all(&mut &theirs, b"request").unwrap();
        assert!(tokio::time::timeout(a_while, &mut gone).await.is_err());
        theirs.shutdown(Shutdown::Write).unwrap();
        assert!(tokio::time::timeout(a_while, &mut gone).await.is_err());
        drop(theirs);
        tokio::time::timeout(Duration::from_secs(5), gone)
            .await
            .unwrap();
    }
}
