//! Clients at the container's own streams.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use serde_json::json;
use shim_protocol::{AttachStreams, Call, ConsoleSize, FailureCode, Reply, SLOW_CLIENT_PATIENCE};

use crate::bundle::{Bundle, DEADLINE, becomes};
use crate::shim_client::{
    ALL, OUTPUT, Shim, end_input, eventually_logged, frames, frames_until, log_lines,
};

#[test]
fn kernel_a_client_from_the_start_misses_no_byte() {
    let Some(bundle) = Bundle::shell("echo first; echo problem >&2; exit 2") else {
        return;
    };
    let (shim, mut streams) = Shim::start(&bundle, |config| {
        config.attached = vec![
            OUTPUT,
            AttachStreams {
                stdin: false,
                stdout: false,
                stderr: true,
            },
        ];
    });
    assert_eq!(
        frames(&mut streams[0]),
        ("first\n".into(), "problem\n".into())
    );
    assert_eq!(frames(&mut streams[1]), (String::new(), "problem\n".into()));
    assert_eq!(shim.finish().exit_code, 2);
}

#[test]
fn kernel_two_clients_see_the_same_and_both_may_type() {
    let Some(bundle) = Bundle::shell("while read line; do echo \"got $line\"; done") else {
        return;
    };
    let (shim, streams) = Shim::start(&bundle, |config| {
        config.stdin_open = true;
        config.attached = vec![ALL];
    });
    let mut one = streams.into_iter().next().unwrap();
    let mut two = shim.attach(ALL);
    one.write_all(b"from one\n").unwrap();
    for client in [&mut one, &mut two] {
        assert_eq!(frames_until(client, "one\n"), "got from one\n");
    }
    two.write_all(b"from two\n").unwrap();
    for client in [&mut one, &mut two] {
        assert_eq!(frames_until(client, "two\n"), "got from two\n");
    }
    // Without `stdin_once` the end of one client's input is not the program's.
    end_input(&one);
    two.write_all(b"still there\n").unwrap();
    for client in [&mut one, &mut two] {
        assert_eq!(frames_until(client, "there\n"), "got still there\n");
    }
    // A client that goes away is missed by nobody.
    drop(one);
    two.write_all(b"alone\n").unwrap();
    assert_eq!(frames_until(&mut two, "alone\n"), "got alone\n");
    let mut shim = shim;
    shim.signal(9);
    shim.finish();
}

#[test]
fn kernel_the_end_of_input_ends_the_program_and_its_output_still_comes() {
    let Some(bundle) = Bundle::shell("sort; echo sorted") else {
        return;
    };
    let (shim, streams) = Shim::start(&bundle, |config| {
        config.stdin_open = true;
        config.stdin_once = true;
        config.attached = vec![ALL];
    });
    let mut client = streams.into_iter().next().unwrap();
    // Much more than all buffers on the way hold: it comes back only when all was read.
    let lines: Vec<String> = (0..60_000)
        .rev()
        .map(|number| format!("{number:06}\n"))
        .collect();
    client.write_all(lines.concat().as_bytes()).unwrap();
    end_input(&client);
    let (out, err) = frames(&mut client);
    let mut expected: Vec<String> = lines;
    expected.sort();
    expected.push("sorted\n".into());
    assert!(out == expected.concat(), "{} bytes came back", out.len());
    assert_eq!(err, "");
    assert_eq!(shim.finish().exit_code, 0);
}

#[test]
fn kernel_a_client_that_vanishes_ends_the_input_too_with_stdin_once() {
    let Some(bundle) = Bundle::shell("cat; echo over") else {
        return;
    };
    let (shim, streams) = Shim::start(&bundle, |config| {
        config.stdin_open = true;
        config.stdin_once = true;
        config.attached = vec![ALL];
    });
    let mut client = streams.into_iter().next().unwrap();
    client.write_all(b"typed\n").unwrap();
    assert_eq!(frames_until(&mut client, "typed\n"), "typed\n");
    drop(client);
    shim.finish();
    assert_eq!(log_lines(&bundle.log_file()).last().unwrap().2, "over");
}

#[test]
fn kernel_without_open_input_the_program_reads_nothing() {
    let Some(bundle) = Bundle::shell("cat; echo over") else {
        return;
    };
    let (shim, streams) = Shim::start(&bundle, |config| config.attached = vec![ALL]);
    let mut client = streams.into_iter().next().unwrap();
    // It may be gone before this arrives.
    client.write_all(b"dropped\n").ok();
    assert_eq!(frames(&mut client).0, "over\n");
    shim.finish();
}

#[test]
fn kernel_a_terminal_is_raw_resized_and_hung_up() {
    let Some(mut bundle) = Bundle::shell(
        "trap 'stty -a | head -1; echo resized' WINCH; stty -a | head -1; echo ready; while :; do read -t 1 line && echo \"line:$line\"; done",
    ) else {
        return;
    };
    bundle.config["process"]["terminal"] = json!(true);
    let (mut shim, streams) = Shim::start(&bundle, |config| {
        config.console_size = Some(ConsoleSize {
            height: 30,
            width: 90,
        });
        config.stdin_open = true;
        config.attached = vec![ALL];
    });
    let mut client = streams.into_iter().next().unwrap();
    let mut read_until = |wanted: &str| {
        let mut text = String::new();
        let mut buffer = [0; 4096];
        while !text.contains(wanted) {
            let count = client.read(&mut buffer).unwrap();
            assert!(count > 0, "ended with {text:?}");
            text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        }
        text
    };
    // No frames, and the terminal's line ends.
    let text = read_until("ready\r\n");
    assert!(text.contains("rows 30; columns 90"), "{text:?}");
    let size = ConsoleSize {
        height: 41,
        width: 123,
    };
    shim.control.done(Call::Resize {
        size,
        exec_id: None,
    });
    let text = read_until("resized\r\n");
    assert!(text.contains("rows 41; columns 123"), "{text:?}");
    // The terminal echoes what is typed.
    let mut second = shim.attach(AttachStreams {
        stdin: true,
        stdout: false,
        stderr: false,
    });
    second.write_all(b"hello\n").unwrap();
    read_until("line:hello\r\n");
    shim.signal(9);
    shim.finish();
    let logged = std::fs::read_to_string(bundle.log_file()).unwrap();
    assert!(logged.contains(" stdout F ready\r\n"), "{logged:?}");
}

#[test]
fn kernel_a_container_without_a_terminal_has_no_size() {
    let Some(bundle) = Bundle::shell("sleep 1000") else {
        return;
    };
    let (mut shim, _) = Shim::start(&bundle, |_| {});
    let size = ConsoleSize {
        height: 1,
        width: 1,
    };
    assert_eq!(
        shim.control
            .refused(Call::Resize {
                size,
                exec_id: None
            })
            .code,
        FailureCode::Invalid
    );
    shim.signal(9);
    shim.finish();
}

/// The policy of the protocol: the program waits for a slow client, but not for ever, and the log gets everything.
#[test]
fn kernel_a_client_that_reads_nothing_is_let_go_and_the_log_is_whole() {
    let Some(mut bundle) = Bundle::new() else {
        return;
    };
    bundle.config["process"]["args"] = json!(["seq", "200000"]);
    let (shim, streams) = Shim::start(&bundle, |config| config.attached = vec![OUTPUT]);
    let started = Instant::now();
    // Longer than the patience, which is what is waited for.
    shim.control
        .stream
        .set_read_timeout(Some(SLOW_CLIENT_PATIENCE + DEADLINE))
        .unwrap();
    assert_eq!(shim.finish().exit_code, 0);
    assert!(
        started.elapsed() >= SLOW_CLIENT_PATIENCE,
        "it was not waited for"
    );
    assert_eq!(log_lines(&bundle.log_file()).len(), 200_000);
    assert!(
        bundle
            .shim_messages()
            .contains("a client that takes nothing is let go"),
        "{}",
        bundle.shim_messages()
    );
    drop(streams);
}

#[test]
fn kernel_a_slow_client_gets_everything() {
    let Some(mut bundle) = Bundle::new() else {
        return;
    };
    bundle.config["process"]["args"] = json!(["seq", "150000"]);
    let (shim, streams) = Shim::start(&bundle, |config| config.attached = vec![OUTPUT]);
    let mut client = streams.into_iter().next().unwrap();
    // All that can be buffered is, before the first byte is read.
    let mut size = 0;
    becomes(Duration::from_secs(5), || {
        let now = std::fs::metadata(bundle.log_file()).map_or(0, |log| log.len());
        std::thread::sleep(Duration::from_millis(100));
        std::mem::replace(&mut size, now) == now && now > 0
    });
    let (out, _) = frames(&mut client);
    let expected = (1..=150_000)
        .map(|number| number.to_string() + "\n")
        .collect::<Vec<_>>()
        .concat();
    assert!(out == expected, "{} of {} bytes", out.len(), expected.len());
    shim.finish();
}

#[test]
fn kernel_attaching_to_what_has_ended_is_refused() {
    let Some(bundle) = Bundle::shell("echo ready; read line") else {
        return;
    };
    let (mut shim, _) = Shim::start(&bundle, |config| config.stdin_open = true);
    eventually_logged(&bundle, "ready");
    let client = shim.attach(ALL);
    shim.signal(9);
    // Everybody's connection ends with the container.
    let mut client = client;
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    assert_eq!(frames(&mut client), (String::new(), String::new()));
    shim.finish();
    assert!(std::os::unix::net::UnixStream::connect(bundle.path().join("shim.sock")).is_err());
}

#[test]
fn kernel_nonsense_ends_the_connection_and_nothing_else() {
    let Some(bundle) = Bundle::shell("sleep 1000") else {
        return;
    };
    let (mut shim, _) = Shim::start(&bundle, |_| {});
    for nonsense in [&b"GET / HTTP/1.1\r\n"[..], b"\n", &[0xff; 10_000]] {
        let mut other = shim.connect();
        other.stream.write_all(nonsense).ok();
        end_input(&other.stream);
        assert!(other.message().is_none());
    }
    // More than the longest line, without its end.
    let mut other = shim.connect();
    let written = other
        .stream
        .write_all(&vec![b'x'; 3 * shim_protocol::MAX_LINE_BYTES]);
    assert!(written.is_err() || other.message().is_none());
    let Reply::State(state) = shim.control.ask(Call::State) else {
        panic!("no state")
    };
    assert!(state.exit.is_none());
    shim.signal(9);
    shim.finish();
}

/// With others at the same output a client that does not read costs them little, and once.
#[test]
fn kernel_a_client_that_reads_nothing_does_not_hold_up_others() {
    let Some(mut bundle) = Bundle::new() else {
        return;
    };
    bundle.config["process"]["args"] = json!(["seq", "200000"]);
    let (shim, mut streams) = Shim::start(&bundle, |config| config.attached = vec![OUTPUT; 20]);
    let started = Instant::now();
    let asleep = streams.split_off(10);
    let readers: Vec<_> = streams
        .into_iter()
        .map(|mut stream| std::thread::spawn(move || frames(&mut stream).0))
        .collect();
    let expected = (1..=200_000)
        .map(|number| number.to_string() + "\n")
        .collect::<Vec<_>>()
        .concat();
    for reader in readers {
        assert!(reader.join().unwrap() == expected, "output is missing");
    }
    assert!(
        started.elapsed() < SLOW_CLIENT_PATIENCE,
        "they were held up"
    );
    assert_eq!(shim.finish().exit_code, 0);
    assert_eq!(log_lines(&bundle.log_file()).len(), 200_000);
    let messages = bundle.shim_messages();
    assert_eq!(
        messages.matches("slower than others is let go").count(),
        asleep.len(),
        "{messages}"
    );
}
