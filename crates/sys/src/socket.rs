//! Descriptors over sockets, and addresses of sockets whose path is too long for an address.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Sends a descriptor with a payload of at least one byte.
///
/// # Errors
/// The errno of `sendmsg`; `EPIPE` without a signal.
pub fn send_descriptor(
    socket: BorrowedFd<'_>,
    payload: &[u8],
    descriptor: BorrowedFd<'_>,
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor];
    if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    sendmsg(
        socket,
        &[IoSlice::new(payload)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

/// Receives at most `buffer.len()` bytes and one descriptor: the number of bytes (0 at the end) and the descriptor.
///
/// # Errors
/// The errno of `recvmsg`.
pub fn receive_descriptor(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        socket,
        &mut [IoSliceMut::new(buffer)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let descriptor = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    Ok((received.bytes, descriptor))
}

/// A short path to `name` in an open directory, good for as long as `directory` is open: socket addresses end at
/// 108 bytes.
pub fn path_in(directory: impl AsFd, name: &str) -> PathBuf {
    Path::new("/proc/self/fd")
        .join(directory.as_fd().as_raw_fd().to_string())
        .join(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn a_descriptor_arrives_with_its_payload() {
        let (a, b) = UnixStream::pair().unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        send_descriptor(a.as_fd(), b"pipe", writer.as_fd()).unwrap();
        drop(writer);
        let mut buffer = [0; 16];
        let (length, descriptor) = receive_descriptor(b.as_fd(), &mut buffer).unwrap();
        assert_eq!(buffer.get(..length).unwrap(), b"pipe");
        let mut writer = std::fs::File::from(descriptor.unwrap());
        writer.write_all(b"through").unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
    }

    #[test]
    fn a_socket_in_a_very_deep_directory_can_be_reached() {
        let temporary = tempfile::tempdir().unwrap();
        let deep = temporary.path().join("d".repeat(200));
        std::fs::create_dir(&deep).unwrap();
        let directory = std::fs::File::open(&deep).unwrap();
        let _listener = UnixListener::bind(path_in(&directory, "s.sock")).unwrap();
        UnixStream::connect(path_in(&directory, "s.sock")).unwrap();
        assert!(deep.join("s.sock").exists());
    }
}
