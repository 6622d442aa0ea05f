//! The BPF program that decides over device access in v2.

use sys::bpf::Instruction;

use super::{DeviceAccess, DeviceList, DeviceType, rule_text};
use crate::Error;

/// The program that decides in v2: the access in, 1 (allowed) or 0 out.
///
/// The context is `struct bpf_cgroup_dev_ctx`: `access << 16 | type`, major, minor, each 32 bits.
///
/// # Errors
/// [`Error::Invalid`] for a device number that no device can have.
///
/// Source: kernel `include/uapi/linux/bpf.h`, `security/device_cgroup.c`.
pub fn program(list: &DeviceList) -> Result<Vec<Instruction>, Error> {
    const LOAD_WORD: u8 = 0x61;
    const MOVE: u8 = 0xbf;
    const MOVE_IMMEDIATE: u8 = 0xb7;
    const AND: u8 = 0x57;
    const SHIFT_RIGHT: u8 = 0x77;
    const JUMP_IF_EQUAL: u8 = 0x15;
    const JUMP_UNLESS_EQUAL: u8 = 0x55;
    const EXIT: u8 = 0x95;
    let instruction = |code, destination: u8, source: u8, offset, immediate| Instruction {
        code,
        registers: source << 4 | destination,
        offset,
        immediate,
    };
    // r2 access, r3 type, r4 major, r5 minor; r1 is scratch afterwards.
    let mut code = vec![
        instruction(LOAD_WORD, 2, 1, 0, 0),
        instruction(MOVE, 3, 2, 0, 0),
        instruction(AND, 3, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT, 2, 0, 0, 16),
        instruction(LOAD_WORD, 4, 1, 4, 0),
        instruction(LOAD_WORD, 5, 1, 8, 0),
    ];
    for exception in &list.exceptions {
        let kind = match exception.kind {
            DeviceType::Block => 1,
            DeviceType::Char | DeviceType::All => 2,
        };
        let bits = exception.access.bits();
        // Each test jumps behind the verdict if it does not hold; filled in once the length is known.
        let mut tests = vec![instruction(JUMP_UNLESS_EQUAL, 3, 0, 0, kind)];
        tests.push(instruction(MOVE, 1, 2, 0, 0));
        if list.allow_by_default {
            // Denied if any of the wanted accesses is.
            tests.push(instruction(AND, 1, 0, 0, bits));
            tests.push(instruction(JUMP_IF_EQUAL, 1, 0, 0, 0));
        } else {
            // Allowed if all of the wanted accesses are.
            tests.push(instruction(AND, 1, 0, 0, DeviceAccess::ALL.bits() & !bits));
            tests.push(instruction(JUMP_UNLESS_EQUAL, 1, 0, 0, 0));
        }
        for (register, number) in [(4, exception.major), (5, exception.minor)] {
            if let Some(number) = number {
                let number = i32::try_from(number).map_err(|_too_large| Error::Invalid {
                    what: "devices".into(),
                    value: rule_text(exception),
                    reason: "no device has such a number".into(),
                })?;
                tests.push(instruction(JUMP_UNLESS_EQUAL, register, 0, 0, number));
            }
        }
        let length = tests.len();
        for (at, test) in tests.iter_mut().enumerate() {
            if matches!(test.code, JUMP_IF_EQUAL | JUMP_UNLESS_EQUAL) {
                // Over the tests that follow and the two instructions of the verdict.
                test.offset = i16::try_from(length - at - 1 + 2).unwrap_or(i16::MAX);
            }
        }
        code.extend(tests);
        code.push(instruction(
            MOVE_IMMEDIATE,
            0,
            0,
            0,
            i32::from(exception.allow),
        ));
        code.push(instruction(EXIT, 0, 0, 0, 0));
    }
    code.push(instruction(
        MOVE_IMMEDIATE,
        0,
        0,
        0,
        i32::from(list.allow_by_default),
    ));
    code.push(instruction(EXIT, 0, 0, 0, 0));
    Ok(code)
}
