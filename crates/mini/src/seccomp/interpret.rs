//! Runs a filter's program as the kernel does: for tests of this compiler, and of its agreement with others.
//!
//! Source: kernel Documentation/networking/filter.rst and kernel/seccomp.c, `seccomp_check_filter`.

use sys::seccomp::Instruction;

/// A system call as a filter sees it.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// `AUDIT_ARCH_*`.
    pub arch: u32,
    /// Its number.
    pub number: u32,
    /// Its arguments.
    pub arguments: [u64; 6],
}

/// Why the kernel would have refused the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Longer than `BPF_MAXINSNS`, or empty.
    Length(usize),
    /// A jump out of the program, or an end without a return.
    Outside(usize),
    /// A load that is not of one of the call's words.
    Load(u32),
    /// An operation that filters of system calls may not have.
    Operation(u16),
    /// A shift by more than the width, or a word of memory that is not there.
    Operand(u32),
}

impl Call {
    fn word(&self, offset: u32) -> Result<u32, Fault> {
        let half = |value: u64, high: bool| {
            let bits = if high { value >> 32 } else { value };
            u32::try_from(bits & u64::from(u32::MAX)).map_err(|_| Fault::Load(offset))
        };
        if !offset.is_multiple_of(4) {
            return Err(Fault::Load(offset));
        }
        let second = (offset / 4) % 2 == 1;
        let high = second == cfg!(target_endian = "little");
        match offset {
            0 => Ok(self.number),
            4 => Ok(self.arch),
            // Where the call was made: nothing here depends on it.
            8 | 12 => Ok(0),
            16..64 => {
                let index = usize::try_from((offset - 16) / 8).map_err(|_| Fault::Load(offset))?;
                let argument = self.arguments.get(index).ok_or(Fault::Load(offset))?;
                half(*argument, high)
            }
            _ => Err(Fault::Load(offset)),
        }
    }
}

/// What the program says about a call: the value that it returns.
///
/// # Errors
/// Where the kernel would have refused to load the program.
pub fn run(program: &[Instruction], call: Call) -> Result<u32, Fault> {
    if program.is_empty() || program.len() > super::compile::MAX_INSTRUCTIONS {
        return Err(Fault::Length(program.len()));
    }
    let mut memory = [0u32; 16];
    let (mut position, mut accumulator, mut index) = (0usize, 0u32, 0u32);
    // Jumps go forward only, so this ends.
    loop {
        let instruction = program.get(position).ok_or(Fault::Outside(position))?;
        position += 1;
        let operand = instruction.operand;
        let branch = |holds: bool| {
            usize::from(if holds {
                instruction.jump_true
            } else {
                instruction.jump_false
            })
        };
        let cell = usize::try_from(operand).map_err(|_| Fault::Operand(operand));
        match instruction.code {
            // Loads: a word of the call, a constant, a word of memory; into the index register likewise.
            0x20 => accumulator = call.word(operand)?,
            0x00 => accumulator = operand,
            0x60 => accumulator = *memory.get(cell?).ok_or(Fault::Operand(operand))?,
            0x01 => index = operand,
            0x61 => index = *memory.get(cell?).ok_or(Fault::Operand(operand))?,
            0x02 => *memory.get_mut(cell?).ok_or(Fault::Operand(operand))? = accumulator,
            0x03 => *memory.get_mut(cell?).ok_or(Fault::Operand(operand))? = index,
            0x07 => index = accumulator,
            0x87 => accumulator = index,
            0x54 => accumulator &= operand,
            0x5c => accumulator &= index,
            0x44 => accumulator |= operand,
            0x74 => {
                accumulator = accumulator
                    .checked_shr(operand)
                    .ok_or(Fault::Operand(operand))?;
            }
            0x05 => {
                position = position.saturating_add(cell?);
            }
            0x15 => position += branch(accumulator == operand),
            0x25 => position += branch(accumulator > operand),
            0x35 => position += branch(accumulator >= operand),
            0x45 => position += branch(accumulator & operand != 0),
            0x06 => return Ok(operand),
            0x16 => return Ok(accumulator),
            other => return Err(Fault::Operation(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Call = Call {
        arch: 0xc000_003e,
        number: 7,
        arguments: [0x1_0000_0002, 0, 0, 0, 0, u64::MAX],
    };

    fn instruction(code: u16, jump_true: u8, jump_false: u8, operand: u32) -> Instruction {
        Instruction {
            code,
            jump_true,
            jump_false,
            operand,
        }
    }

    #[test]
    fn words_of_a_call_are_where_the_kernel_puts_them() {
        let low = u32::from(cfg!(target_endian = "big")) * 4 + 16;
        for (offset, word) in [
            (0, 7),
            (4, 0xc000_003e),
            (low, 2),
            (low ^ 4, 1),
            (60, u32::MAX),
        ] {
            let program = [instruction(0x20, 0, 0, offset), instruction(0x16, 0, 0, 0)];
            assert_eq!(run(&program, CALL), Ok(word), "{offset}");
        }
        for offset in [2, 64, u32::MAX] {
            let program = [instruction(0x20, 0, 0, offset), instruction(0x16, 0, 0, 0)];
            assert_eq!(run(&program, CALL), Err(Fault::Load(offset)));
        }
    }

    #[test]
    fn programs_that_the_kernel_refuses_are_faults() {
        assert_eq!(run(&[], CALL), Err(Fault::Length(0)));
        assert_eq!(
            run(&[instruction(0x05, 0, 0, u32::MAX)], CALL),
            Err(Fault::Outside(usize::try_from(u32::MAX).unwrap() + 1))
        );
        assert_eq!(
            run(&[instruction(0x15, 9, 9, 0)], CALL),
            Err(Fault::Outside(10))
        );
        assert_eq!(
            run(&[instruction(0x28, 0, 0, 0)], CALL),
            Err(Fault::Operation(0x28))
        );
        let long = vec![instruction(0x06, 0, 0, 0); 4097];
        assert_eq!(run(&long, CALL), Err(Fault::Length(4097)));
    }
}
