//! The profile as the runtime compiles it, tried call by call.

use mini::seccomp::{arch::Arch as Machine, compile};
use sys::seccomp::Instruction;

use super::*;

const ALLOW: u32 = 0x7fff_0000;
const fn errno(number: u32) -> u32 {
    0x0005_0000 | number
}

/// What the compiled profile says to a call.
struct Verdicts(Vec<Instruction>);

impl Verdicts {
    fn with(capabilities: &[&str]) -> Self {
        let capabilities = capabilities.iter().map(ToString::to_string).collect();
        let json = serde_json::to_value(default_profile(&capabilities)).unwrap();
        let spec = serde_json::from_value(json).unwrap();
        Self(compile(&spec).unwrap().program().to_vec())
    }

    fn of(&self, name: &str, arguments: &[u64]) -> u32 {
        let machine = Machine::NATIVE;
        let number = machine.number(name).unwrap_or_else(|| panic!("{name}"));
        self.on(machine, number, arguments)
    }

    fn on(&self, machine: Machine, number: u32, arguments: &[u64]) -> u32 {
        let mut data = [0_u8; 64];
        data[..4].copy_from_slice(&number.to_ne_bytes());
        data[4..8].copy_from_slice(&machine.audit().to_ne_bytes());
        for (place, argument) in data[16..].chunks_exact_mut(8).zip(arguments) {
            place.copy_from_slice(&argument.to_ne_bytes());
        }
        run(&self.0, &data)
    }
}

/// The few instructions that the compiler writes.
fn run(program: &[Instruction], data: &[u8; 64]) -> u32 {
    let (mut at, mut accumulator) = (0, 0_u32);
    loop {
        let instruction = &program[at];
        at += 1;
        let jump = |taken| {
            usize::from(if taken {
                instruction.jump_true
            } else {
                instruction.jump_false
            })
        };
        let operand = instruction.operand;
        match instruction.code {
            0x20 => {
                let offset = operand as usize;
                accumulator = u32::from_ne_bytes(data[offset..offset + 4].try_into().unwrap());
            }
            0x54 => accumulator &= operand,
            0x05 => at += operand as usize,
            0x15 => at += jump(accumulator == operand),
            0x25 => at += jump(accumulator > operand),
            0x35 => at += jump(accumulator >= operand),
            0x06 => return operand,
            other => panic!("instruction {other:#x}"),
        }
    }
}

#[test]
fn what_programs_need_goes_through() {
    let plain = Verdicts::with(&[]);
    for name in [
        "read",
        "openat",
        "execve",
        "exit_group",
        "mmap",
        "futex",
        "ptrace",
        "statx",
        "seccomp",
    ] {
        assert_eq!(plain.of(name, &[]), ALLOW, "{name}");
    }
}

#[test]
fn what_opens_the_kernel_is_refused() {
    let plain = Verdicts::with(&["CAP_CHOWN"]);
    for name in [
        "mount",
        "umount2",
        "unshare",
        "setns",
        "bpf",
        "keyctl",
        "add_key",
        "request_key",
        "io_uring_setup",
        "io_uring_enter",
        "userfaultfd",
        "kexec_load",
        "init_module",
        "perf_event_open",
        "open_by_handle_at",
        "reboot",
        "swapon",
        "syslog",
        "settimeofday",
        "pivot_root",
        "chroot",
        "open_tree",
        "move_mount",
        "fsopen",
        "nfsservctl",
    ] {
        assert_eq!(plain.of(name, &[]), errno(EPERM), "{name}");
    }
}

#[test]
fn capabilities_open_what_belongs_to_them() {
    for (capability, names) in ALLOWED_WITH {
        let without = Verdicts::with(&[]);
        let with = Verdicts::with(&[capability]);
        let here = |name: &&str| Machine::NATIVE.number(name).is_some();
        for name in names.split_whitespace().filter(here) {
            assert_eq!(
                with.of(name, &[u64::MAX; 6]),
                ALLOW,
                "{name} with {capability}"
            );
            let free = ["process_vm_readv", "process_vm_writev", "ptrace"].contains(&name);
            assert_eq!(without.of(name, &[u64::MAX; 6]) == ALLOW, free, "{name}");
        }
    }
}

#[test]
fn new_namespaces_need_a_capability() {
    let plain = Verdicts::with(&[]);
    let thread = 0x003d_0f00;
    assert_eq!(plain.of("clone", &[thread]), ALLOW);
    for namespace in [
        0x0002_0000,
        0x0200_0000,
        0x0400_0000,
        0x0800_0000,
        0x1000_0000,
        0x2000_0000,
        0x4000_0000,
    ] {
        assert_eq!(
            plain.of("clone", &[namespace | thread]),
            errno(EPERM),
            "{namespace:#x}"
        );
    }
    assert_eq!(plain.of("clone3", &[]), errno(ENOSYS));
    let admin = Verdicts::with(&["CAP_SYS_ADMIN"]);
    assert_eq!(admin.of("clone", &[0x1000_0000]), ALLOW);
    assert_eq!(admin.of("clone3", &[]), ALLOW);
}

#[test]
fn sockets_have_the_families_that_are_listed() {
    let plain = Verdicts::with(&[]);
    let refused = [12, 19, 20, 23, 25, 34, 37, 38, 40];
    for family in 1..=45 {
        let expected = if refused.contains(&family) {
            errno(EPERM)
        } else {
            ALLOW
        };
        assert_eq!(plain.of("socket", &[family]), expected, "{family}");
        // The kernel takes the lower half of the argument only.
        assert_eq!(
            plain.of("socket", &[family | 1 << 32]),
            errno(EPERM),
            "{family}"
        );
    }
    assert_eq!(plain.of("socket", &[46]), errno(EPERM));
}

#[test]
fn nobody_types_into_a_terminal() {
    let plain = Verdicts::with(&[]);
    for request in [TIOCSTI, TIOCSTI | 1 << 32, TIOCSTI | 0xffff_ffff << 32] {
        assert_eq!(plain.of("ioctl", &[0, request]), errno(EIO), "{request:#x}");
    }
    for request in [0x5401, 0x5411, 0x5413, u64::MAX] {
        assert_eq!(
            plain.of("ioctl", &[TIOCSTI, request]),
            ALLOW,
            "{request:#x}"
        );
    }
}

#[test]
fn few_personalities_can_be_taken() {
    let plain = Verdicts::with(&[]);
    assert_eq!(plain.of("personality", &[0]), ALLOW);
    assert_eq!(plain.of("personality", &[0xffff_ffff]), ALLOW);
    // ADDR_NO_RANDOMIZE
    assert_eq!(plain.of("personality", &[0x004_0000]), errno(EPERM));
}

#[test]
fn calls_of_the_future_do_not_exist() {
    assert_eq!(
        Verdicts::with(&[]).on(Machine::NATIVE, 5000, &[]),
        errno(ENOSYS)
    );
}

#[test]
#[cfg(target_arch = "x86_64")]
fn programs_of_32_bits_are_filtered_too() {
    let plain = Verdicts::with(&[]);
    for machine in [Machine::X86, Machine::X32] {
        let of = |name: &str, arguments: &[u64]| {
            plain.on(machine, machine.number(name).unwrap(), arguments)
        };
        assert_eq!(of("write", &[]), ALLOW);
        assert_eq!(of("mount", &[]), errno(EPERM));
        assert_eq!(of("socket", &[38]), errno(EPERM));
        assert_eq!(of("socket", &[2]), ALLOW);
    }
    assert_eq!(plain.on(Machine::Aarch64, 64, &[]), 0x8000_0000);
}

#[test]
fn every_name_is_a_call_somewhere() {
    let elsewhere = [
        "recv",
        "send",
        "fstatat64",
        "umount",
        "sync_file_range2",
        "uretprobe",
        "stime",
    ];
    let machines = [
        Machine::X86_64,
        Machine::X86,
        Machine::X32,
        Machine::Aarch64,
    ];
    let all = ALLOWED
        .iter()
        .copied()
        .chain(ALLOWED_WITH.iter().map(|(_, names)| *names));
    for name in all.flat_map(str::split_whitespace) {
        let known = machines
            .iter()
            .any(|machine| machine.number(name).is_some());
        assert!(known || elsewhere.contains(&name), "{name}");
    }
}
