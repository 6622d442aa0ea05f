// What the fuzz targets do with their bytes; `crates/mini/tests/parsers.rs` runs the same with its own bytes in `make test`.
// A body returns for everything that is refused; a panic is a finding.

use cgroups::devices::{self, DeviceList};
use mini::process::{id_map, number_list};
use mini::rootfs::options;
use mini::seccomp::arch::{Arch, X32_BIT};
use mini::seccomp::interpret::{Call, Fault, run};
use mini::seccomp::{self, Filter};
use mini::spec::{Process, Seccomp, Spec};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A target's body.
pub type Body = fn(&[u8]);

/// All targets by name; each has a directory of seeds in `corpus`.
pub const ALL: [(&str, Body); 14] = [
    ("config", config),
    ("process", process),
    ("state", state),
    ("id_map", id_map),
    ("mount_options", mount_options),
    ("mountinfo", mountinfo),
    ("cgroup_files", cgroup_files),
    ("seccomp", seccomp),
    ("seccomp_program", seccomp_program),
    ("shim_messages", shim_messages),
    ("capabilities", capabilities),
    ("device_rules", device_rules),
    ("resources", resources),
    ("number_list", number_list),
];

/// What was read, and again after it was written: the same JSON.
fn there_and_back<T: Serialize + DeserializeOwned>(data: &[u8]) -> Option<T> {
    let read: T = serde_json::from_slice(data).ok()?;
    let written = serde_json::to_value(&read).expect("what was read can be written");
    let again: T = serde_json::from_value(written.clone()).expect("what was written can be read");
    let twice = serde_json::to_value(&again).expect("what was read can be written");
    assert_eq!(written, twice);
    Some(read)
}

/// `config.json`, checked as before a start.
pub fn config(data: &[u8]) {
    let Some(spec) = there_and_back::<Spec>(data) else {
        return;
    };
    drop(mini::validate::validate(&spec));
    for mount in &spec.mounts {
        drop(options::parse(&mount.options));
    }
}

/// The process of `exec --process`.
pub fn process(data: &[u8]) {
    if let Some(process) = there_and_back::<Process>(data) {
        drop(mini::validate::validate_process(&process));
    }
}

/// The state file.
pub fn state(data: &[u8]) {
    there_and_back::<mini::state::State>(data);
}

/// `/proc/PID/uid_map`: what passes the check gives each id at most one place.
pub fn id_map(data: &[u8]) {
    let Some(ranges) = std::str::from_utf8(data).ok().and_then(id_map::parse) else {
        return;
    };
    assert_eq!(
        id_map::parse(&id_map::text(&ranges)).as_deref(),
        Some(ranges.as_slice())
    );
    if id_map::check("uidMappings", &ranges).is_err() {
        return;
    }
    for range in &ranges {
        assert_eq!(
            id_map::to_host(&ranges, range.container_id),
            Some(range.host_id)
        );
    }
    for id in [0, 1, u32::MAX] {
        id_map::to_host(&ranges, id);
    }
}

/// Options of a mount, and the propagation of the root.
pub fn mount_options(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let words: Vec<String> = text.split(',').map(str::to_owned).collect();
    drop(options::parse(&words));
    drop(options::rootfs_propagation(&text));
}

/// `/proc/PID/mountinfo`, as the cgroups and the mounts are found in it.
pub fn mountinfo(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for mount in cgroups::mountinfo::parse(&text) {
        mount.super_option("name");
    }
    cgroups::mountinfo::unescape(&text);
    mini::rootfs::mountinfo::parse(data);
}

/// Files of cgroups and of processes about them.
pub fn cgroup_files(data: &[u8]) {
    use cgroups::parse;
    let text = String::from_utf8_lossy(data);
    parse::memberships(&text);
    parse::flat_keyed(&text).for_each(drop);
    parse::flat_value(&text, "usage_usec");
    parse::nested_keyed(&text).for_each(drop);
    parse::limit(&text);
    parse::device(&text);
    parse::device_pattern(&text);
    parse::is_identity_map(&text);
    parse::pressure(&text);
    DeviceList::from_listing(&text);
}

/// A profile: its program is one that the kernel takes, for every call, and the same after its way to another process.
pub fn seccomp(data: &[u8]) {
    let Some(profile) = there_and_back::<Seccomp>(data) else {
        return;
    };
    for native in [Arch::X86_64, Arch::Aarch64] {
        let Ok(filter) = seccomp::compile_for(&profile, native) else {
            continue;
        };
        for arch in [Arch::X86_64, Arch::X86, Arch::Aarch64, Arch::Arm] {
            for number in (0..480)
                .step_by(7)
                .chain([X32_BIT, X32_BIT | 0x28, u32::MAX])
            {
                for argument in [0, 1, 40, u64::MAX] {
                    let call = Call {
                        arch: arch.audit(),
                        number,
                        arguments: [argument; 6],
                    };
                    let answer = run(filter.program(), call);
                    assert!(answer.is_ok(), "{answer:?}");
                }
            }
        }
        let decoded = Filter::decode(&filter.encode()).expect("what was encoded can be decoded");
        assert_eq!(decoded.program(), filter.program());
    }
}

/// A program from another process: the interpreter ends, and says what the kernel would not take.
pub fn seccomp_program(data: &[u8]) {
    let Some(filter) = Filter::decode(data) else {
        return;
    };
    let call = Call {
        arch: Arch::NATIVE.audit(),
        number: 59,
        arguments: [1; 6],
    };
    if let Err(Fault::Length(length)) = run(filter.program(), call) {
        assert!(length == 0 || length > 4096);
    }
    assert_eq!(filter.encode(), data);
}

/// Lines between the engine and a shim, and the files that they leave each other.
pub fn shim_messages(data: &[u8]) {
    for line in data.split(|byte| *byte == b'\n') {
        there_and_back::<shim_protocol::Request>(line);
        there_and_back::<shim_protocol::Message>(line);
        there_and_back::<shim_protocol::ShimConfig>(line);
        there_and_back::<shim_protocol::ShimState>(line);
        there_and_back::<shim_protocol::ExitRecord>(line);
    }
}

/// Names of capabilities, one a line.
pub fn capabilities(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let names: Vec<String> = text.lines().map(str::to_owned).collect();
    for name in &names {
        if let Some(bit) = mini::capabilities::bit_of(name) {
            assert!(
                bit.is_power_of_two() && name.to_ascii_uppercase().starts_with("CAP_"),
                "{name} {bit}"
            );
        }
    }
    let sets = mini::spec::Capabilities {
        bounding: names.clone(),
        ambient: names,
        ..Default::default()
    };
    std::hint::black_box(mini::capabilities::Sets::of(&sets));
}

/// Rules about devices: the list for v1, and the program for v2, in which every jump stays inside.
pub fn device_rules(data: &[u8]) {
    let Ok(rules) = serde_json::from_slice::<Vec<mini::spec::DeviceAccess>>(data) else {
        return;
    };
    let Ok(rules) = mini::limits::device_rules(&rules) else {
        return;
    };
    if let Ok(list) = DeviceList::from_rules(&rules)
        && let Ok(program) = devices::program(&list)
    {
        assert!(!program.is_empty());
    }
}

/// Resources of a container and of `update`.
pub fn resources(data: &[u8]) {
    if let Some(resources) = there_and_back::<mini::spec::Resources>(data) {
        drop(mini::limits::limits(&resources));
    }
}

/// Lists of CPUs and memory nodes: rising, without doubles, not larger than a machine can be.
pub fn number_list(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(numbers) = cgroups::parse::number_list(&text) {
        assert!(numbers.is_sorted_by(|a, b| a < b));
    }
    if let Ok(numbers) = number_list::parse(&text) {
        let bits: u32 = number_list::mask(&numbers)
            .iter()
            .map(|word| word.count_ones())
            .sum();
        assert!(usize::try_from(bits).expect("few") <= numbers.len());
    }
}
