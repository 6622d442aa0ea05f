//! Terminals: given to a console socket, or served in the foreground.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::process::Stdio;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};
use serde_json::json;

use crate::bundle::{Bundle, DEADLINE, finish};

/// Reads a terminal's master until a text has come or nobody is at the other end.
#[track_caller]
pub(crate) fn read_until(master: &mut std::fs::File, wanted: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(wanted) {
        let mut ready = [PollFd::new(&*master, PollFlags::IN)];
        let limit = Timespec::try_from(DEADLINE).unwrap();
        assert_eq!(
            poll(&mut ready, Some(&limit)),
            Ok(1),
            "{wanted:?} does not come behind {text:?}"
        );
        match master.read(&mut buffer) {
            Ok(count) if count > 0 => text.push_str(&String::from_utf8_lossy(&buffer[..count])),
            _ => break,
        }
    }
    text
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

pub(crate) fn receive_master(listener: &UnixListener) -> std::fs::File {
    let (socket, _) = listener.accept().unwrap();
    let mut buffer = [0; 64];
    let (_, master) = sys::socket::receive_descriptor(socket.as_fd(), &mut buffer).unwrap();
    std::fs::File::from(master.unwrap())
}

#[test]
fn kernel_a_console_socket_receives_the_terminal() {
    let Some(mut bundle) = Bundle::shell(
        "tty; ls -l /dev/console | cut -c1; [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo all; read line; echo \"got $line\"; stty -a | head -1; echo end",
    ) else {
        return;
    };
    bundle.config["process"]["terminal"] = json!(true);
    bundle.config["process"]["consoleSize"] = json!({"height": 33, "width": 111});
    let socket = bundle.path().join("console.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    bundle.write();
    let path = bundle.path().to_str().unwrap().to_owned();
    bundle
        .create_with(&[
            "--bundle",
            &path,
            "--console-socket",
            socket.to_str().unwrap(),
        ])
        .success();
    let mut master = receive_master(&listener);
    bundle.verb("start", &[], &[]).success();
    let text = read_until(&mut master, "all");
    assert!(
        text.contains("/dev/pts/0") && text.contains("\r\nc\r\n"),
        "{text:?}"
    );
    master.write_all(b"hello\n").unwrap();
    let text = read_until(&mut master, "end");
    assert!(text.contains("got hello"), "{text:?}");
    assert!(
        text.contains("rows 33; columns 111") || text.contains("rows 33"),
        "{text:?}"
    );
    bundle.delete();
}

#[test]
fn kernel_a_terminal_without_anybody_to_serve_it_is_refused() {
    let Some(mut bundle) = Bundle::shell("true") else {
        return;
    };
    bundle.config["process"]["terminal"] = json!(true);
    bundle
        .create()
        .assert_error(1, "without setting console socket");
    bundle.assert_nothing_left();
}

/// A terminal for `mini` itself, as a person has one.
fn own_terminal() -> (std::fs::File, OwnedFd) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    tcsetwinsize(&master, size(44, 122)).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let slave = rustix::fs::open(
        name.as_c_str(),
        OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .unwrap();
    (std::fs::File::from(master), slave)
}

#[test]
fn kernel_run_serves_a_terminal_in_the_foreground() {
    let Some(mut bundle) =
        Bundle::shell("stty -a | head -1; read line; echo \"got $line\"; exit 6")
    else {
        return;
    };
    bundle.config["process"]["terminal"] = json!(true);
    bundle.write();
    let (mut master, slave) = own_terminal();
    let before = tcgetattr(&slave).unwrap();
    let path = bundle.path().to_str().unwrap();
    let mut command = bundle.mini(&["run", "--bundle", path, &bundle.id]);
    command
        .stdin(Stdio::from(slave.try_clone().unwrap()))
        .stdout(Stdio::from(slave.try_clone().unwrap()));
    let child = command.spawn().unwrap();
    let text = read_until(&mut master, "columns 122");
    assert!(text.contains("rows 44"), "{text:?}");
    master.write_all(b"keys\r").unwrap();
    let text = read_until(&mut master, "got keys");
    assert!(text.contains("got keys"), "{text:?}");
    drop(command);
    assert_eq!(finish(child).status, 6);
    bundle.assert_nothing_left();
    // Our own terminal is as it was.
    let after = tcgetattr(&slave).unwrap();
    assert_eq!(
        (before.local_modes, before.input_modes, before.output_modes),
        (after.local_modes, after.input_modes, after.output_modes)
    );
}

#[test]
fn kernel_exec_serves_a_terminal_in_the_foreground() {
    let Some(bundle) = Bundle::shell("sleep 1000") else {
        return;
    };
    bundle.start_detached();
    let (mut master, slave) = own_terminal();
    let mut command = bundle.mini(&["exec", "--tty", &bundle.id, "sh", "-c", "tty; exit 4"]);
    command
        .stdin(Stdio::from(slave.try_clone().unwrap()))
        .stdout(Stdio::from(slave.try_clone().unwrap()));
    let child = command.spawn().unwrap();
    let text = read_until(&mut master, "/dev/pts/0");
    assert!(text.contains("/dev/pts/0"), "{text:?}");
    drop((command, slave));
    assert_eq!(finish(child).status, 4);
    bundle.delete();
}
