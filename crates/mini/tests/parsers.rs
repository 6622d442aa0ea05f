//! The bodies of the fuzz targets, run with the seeds of `fuzz/corpus` and what becomes of them by cutting, doubling and changing:
//! in each build, without a fuzzer. `make fuzz` looks further.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "tests")]
#![cfg(target_os = "linux")]

use proptest::prelude::*;
use proptest::sample::Index;

#[expect(unreachable_pub, reason = "the same file is a library's")]
#[path = "../../../fuzz/src/bodies.rs"]
mod bodies;

/// A change of a seed.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Cut(Index, u8),
    Double(Index, u8),
}

/// What means something to one parser or another.
const TOKENS: [&str; 24] = [
    "null",
    "-1",
    "0",
    "18446744073709551615",
    "4294967296",
    "9223372036854775808",
    "[]",
    "{}",
    "\"\"",
    "true",
    ",",
    ":",
    "-",
    "/",
    "..",
    "\n",
    " ",
    "\\040",
    "\0",
    "=",
    "*",
    "\u{fffd}",
    "1e999",
    "0x10",
];

fn change() -> impl Strategy<Value = Change> {
    let insert = prop_oneof![
        prop::sample::select(TOKENS.to_vec()).prop_map(|token| token.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 1..5),
    ];
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (any::<Index>(), insert).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, length)| Change::Cut(at, length)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, length)| Change::Double(at, length)),
    ]
}

fn apply(mut data: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        let at = |index: &Index| index.index(data.len() + 1);
        let end = |from: usize, length: u8| (from + usize::from(length)).min(data.len());
        match change {
            Change::Set(index, byte) => {
                let at = at(index);
                if let Some(place) = data.get_mut(at) {
                    *place = *byte;
                }
            }
            Change::Insert(index, bytes) => {
                let at = at(index);
                data.splice(at..at, bytes.iter().copied());
            }
            Change::Cut(index, length) => {
                let at = at(index);
                let end = end(at, *length);
                data.drain(at..end);
            }
            Change::Double(index, length) => {
                let at = at(index);
                let part = data[at..end(at, *length)].to_vec();
                data.splice(at..at, part);
            }
        }
    }
    data
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/");
    let mut paths: Vec<_> = std::fs::read_dir(format!("{directory}{target}"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

#[test]
fn every_target_takes_its_seeds() {
    for (target, body) in bodies::ALL {
        let seeds = seeds(target);
        assert!(!seeds.is_empty(), "{target}");
        for seed in &seeds {
            body(seed);
        }
        body(b"");
        // What is cut off anywhere.
        for seed in &seeds {
            for length in (0..seed.len()).step_by(1 + seed.len() / 200) {
                body(&seed[..length]);
            }
        }
    }
}

/// Seeds that are read to their end: were they refused at once, a body would find nothing.
#[test]
fn seeds_mean_something() {
    let read = |target: &str| seeds(target);
    for seed in read("config") {
        let spec: mini::spec::Spec = serde_json::from_slice(&seed).unwrap();
        mini::validate::validate(&spec).unwrap();
    }
    for seed in read("seccomp") {
        mini::seccomp::compile(&serde_json::from_slice(&seed).unwrap()).unwrap();
    }
    for seed in read("id_map") {
        let ranges = mini::process::id_map::parse(std::str::from_utf8(&seed).unwrap()).unwrap();
        mini::process::id_map::check("uidMappings", &ranges).unwrap();
    }
    for seed in read("device_rules") {
        let rules: Vec<mini::spec::DeviceAccess> = serde_json::from_slice(&seed).unwrap();
        mini::limits::device_rules(&rules).unwrap();
    }
    for line in read("shim_messages").concat().split(|byte| *byte == b'\n') {
        let request = serde_json::from_slice::<shim_protocol::Request>(line).is_ok();
        let message = serde_json::from_slice::<shim_protocol::Message>(line).is_ok();
        assert!(line.is_empty() || request || message, "{line:?}");
    }
    for seed in read("state") {
        serde_json::from_slice::<mini::state::State>(&seed).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_target_panics(
        target in 0..bodies::ALL.len(),
        seed in any::<Index>(),
        changes in prop::collection::vec(change(), 1..8),
        noise in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let (name, body) = bodies::ALL[target];
        let seeds = seeds(name);
        body(&apply(seeds[seed.index(seeds.len())].clone(), &changes));
        body(&noise);
    }
}
