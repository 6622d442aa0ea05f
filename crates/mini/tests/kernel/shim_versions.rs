//! Engines and shims of different versions: each understands the other, or says that it does not.

use std::collections::HashMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;

use serde_json::Value;
use shim_protocol::{Call, FailureCode, Message, Reply, SHIM_CONFIG_FILE, VERSION};

use crate::bundle::{Bundle, DEADLINE};
use crate::shim_client::{Shim, end_input};

/// What an engine and a shim of version 0.1.0 said to each other, recorded.
const CONVERSATION: &str = include_str!("../conversations/v1.txt");

/// A line of JSON, byte by byte: a stream may follow.
fn line(mut stream: &UnixStream) -> Value {
    let mut line = Vec::new();
    let mut byte = [0];
    while byte != *b"\n" {
        match stream.read(&mut byte) {
            Ok(1) => line.extend(byte),
            Ok(_) => panic!("the connection ended after {line:?}"),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("nothing came from the shim: {error}"),
        }
    }
    serde_json::from_slice(&line).unwrap()
}

/// Everything an old engine reads is there, and means the same; what was added it passes over.
fn assert_says(told: &Value, recorded: &Value) {
    for (key, old) in recorded.as_object().unwrap() {
        let new = &told[key];
        let differs = [
            "pid",
            "shim_pid",
            "shim_start_ticks",
            "start_ticks",
            "started_at_unix_ns",
            "finished_at_unix_ns",
            "message",
            "hint",
        ];
        if differs.contains(&key.as_str()) {
            assert_eq!(
                (new.is_string(), new.is_number()),
                (old.is_string(), old.is_number()),
                "{key} in {told}"
            );
        } else if old != "old-conversation" {
            assert_eq!(new, old, "{key} in {told}");
        }
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend(before.bytes());
        rest = if let Some(rest) = after.strip_prefix('n') {
            bytes.push(b'\n');
            rest
        } else {
            bytes.push(u8::from_str_radix(&after[1..3], 16).unwrap());
            &after[3..]
        };
    }
    bytes.extend(rest.bytes());
    bytes
}

#[test]
fn kernel_an_engine_of_the_first_release_is_served() {
    let Some(bundle) = Bundle::shell("read line; echo got $line; read line; exit 3") else {
        return;
    };
    let mut lines = CONVERSATION.lines().filter(|line| !line.starts_with('#'));
    let config = lines.next().unwrap().strip_prefix("shim.json ").unwrap();
    let config = config
        .replace("BUNDLE", bundle.path().to_str().unwrap())
        .replace("old-conversation", &bundle.id);
    let (shim, _) = Shim::launch_with(&bundle, |path| {
        std::fs::write(path.join(SHIM_CONFIG_FILE), &config).unwrap();
    });
    let mut connections: HashMap<&str, UnixStream> = HashMap::new();
    connections.insert("control", shim.control.stream.try_clone().unwrap());
    let mut steps = 0;
    for step in lines {
        steps += 1;
        if let Some(record) = step.strip_prefix("exit.json ") {
            let told = serde_json::from_slice(&std::fs::read(bundle.exit_file()).unwrap()).unwrap();
            assert_says(&told, &serde_json::from_str(record).unwrap());
            continue;
        }
        let mut words = step.splitn(3, ' ');
        let (name, kind) = (words.next().unwrap(), words.next().unwrap());
        let text = words.next().unwrap_or_default();
        let mut stream = connections
            .entry(name)
            .or_insert_with(|| {
                let stream = UnixStream::connect(bundle.path().join("shim.sock")).unwrap();
                stream.set_read_timeout(Some(DEADLINE)).unwrap();
                stream
            })
            .try_clone()
            .unwrap();
        match kind {
            ">" => stream.write_all(format!("{text}\n").as_bytes()).unwrap(),
            "<" => assert_says(&line(&stream), &serde_json::from_str(text).unwrap()),
            ">>" => stream.write_all(&unescape(text)).unwrap(),
            "<<" => {
                let wanted = unescape(text);
                let mut bytes = vec![0; wanted.len()];
                stream.read_exact(&mut bytes).unwrap();
                assert_eq!(bytes, wanted);
            }
            "end" => assert_eq!(stream.read(&mut [0; 16]).unwrap(), 0),
            other => panic!("{other:?} in {step:?}"),
        }
    }
    assert!(steps > 20, "{steps}");
    connections.clear();
    shim.wait_for_end();
}

#[test]
fn kernel_a_hello_agrees_on_a_version_or_says_that_there_is_none() {
    let Some(bundle) = Bundle::shell("sleep 1000") else {
        return;
    };
    let (mut shim, _) = Shim::start(&bundle, |_| {});
    for newest_version in [VERSION, VERSION + 7] {
        let hello = Call::Hello {
            oldest_version: 1,
            newest_version,
        };
        match shim.control.ask(hello) {
            Reply::Hello {
                version,
                oldest_version,
                newest_version,
                ..
            } => assert_eq!(
                (version, oldest_version, newest_version),
                (VERSION, 1, VERSION)
            ),
            other => panic!("no hello: {other:?}"),
        }
    }
    let failure = shim.control.refused(Call::Hello {
        oldest_version: VERSION + 1,
        newest_version: VERSION + 2,
    });
    assert_eq!(failure.code, FailureCode::Unsupported);
    assert!(failure.message.contains("versions 2 to 3"), "{failure:?}");
    assert!(failure.hint.contains("start it again"), "{failure:?}");
    shim.signal(9);
    shim.finish();
}

#[test]
fn kernel_a_request_of_a_newer_engine_is_answered_and_fields_are_passed_over() {
    let Some(bundle) = Bundle::shell("sleep 1000") else {
        return;
    };
    let (mut shim, _) = Shim::start(&bundle, |_| {});
    let mut send = |text: &str| {
        let mut stream = &shim.control.stream;
        stream.write_all(text.as_bytes()).unwrap();
        stream.write_all(b"\n").unwrap();
        shim.control.message()
    };
    match send(r#"{"seq":41,"op":"checkpoint","path":"/x"}"#) {
        Some(Message::Reply {
            seq: 41,
            reply: Reply::Failed(failure),
        }) => {
            assert_eq!(failure.code, FailureCode::Unsupported);
            assert!(failure.message.contains("checkpoint"), "{failure:?}");
            assert!(failure.hint.contains("version 1"), "{failure:?}");
        }
        other => panic!("no answer: {other:?}"),
    }
    match send(r#"{"seq":42,"op":"resize","size":"large"}"#) {
        Some(Message::Reply {
            seq: 42,
            reply: Reply::Failed(failure),
        }) => assert_eq!(failure.code, FailureCode::Invalid),
        other => panic!("no answer: {other:?}"),
    }
    match send(r#"{"seq":43,"op":"state","verbose":true}"#) {
        Some(Message::Reply {
            seq: 43,
            reply: Reply::State(_),
        }) => {}
        other => panic!("no state: {other:?}"),
    }
    // What is no request has no number to answer to.
    let mut other = shim.connect();
    other.stream.write_all(b"{\"op\":\"state\"}\n").unwrap();
    end_input(&other.stream);
    assert!(other.message().is_none());
    shim.signal(9);
    shim.finish();
}

#[test]
fn kernel_a_config_of_a_newer_engine_that_we_understand_is_taken() {
    let Some(bundle) = Bundle::shell("exit 4") else {
        return;
    };
    let (shim, _) = Shim::start(&bundle, |config| {
        config.version = VERSION + 3;
        config.oldest_version = VERSION;
    });
    assert_eq!(shim.finish().exit_code, 4);
}
