//! BPF written from its end to its beginning: a jump goes forward only, so its target stands already when it is written,
//! and every distance is known.

use std::collections::HashMap;

use sys::seccomp::Instruction;

use super::rules::Action;

const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
const RETURN: u16 = 0x06;

/// A place in the program, counted from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(usize);

/// A test of the accumulator against a constant.
#[derive(Clone, Copy, Debug)]
pub(super) enum Test {
    Equal,
    Greater,
    GreaterOrEqual,
}

/// The program so far, last instruction first.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    reversed: Vec<Instruction>,
    returns: HashMap<u32, usize>,
}

impl Assembler {
    fn push(&mut self, code: u16, jump_true: u8, jump_false: u8, operand: u32) -> Place {
        self.reversed.push(Instruction {
            code,
            jump_true,
            jump_false,
            operand,
        });
        Place(self.reversed.len() - 1)
    }

    /// Distance of a jump that would be written now, if it fits in a conditional jump.
    fn near(&self, target: Place) -> Option<u8> {
        u8::try_from(self.reversed.len() - target.0 - 1).ok()
    }

    /// A target near enough for a conditional jump after `slack` more instructions; a stepping stone if need be.
    fn reachable(&mut self, target: Place, slack: usize) -> Place {
        let distance = self.reversed.len() - target.0 - 1;
        if u8::try_from(distance + slack).is_ok() {
            return target;
        }
        // The distance of a plain jump has 32 bits; a program has at most 4096 instructions.
        self.push(JUMP, 0, 0, u32::try_from(distance).unwrap_or(u32::MAX))
    }

    /// The end of the program with this action, one already written if it is near.
    pub(super) fn end_with(&mut self, action: Action) -> Place {
        if let Some(&place) = self.returns.get(&action.0)
            && self.reversed.len() - place < 200
        {
            return Place(place);
        }
        let place = self.push(RETURN, 0, 0, action.0);
        self.returns.insert(action.0, place.0);
        place
    }

    /// Goes to `yes` or `no` by a test.
    pub(super) fn branch(&mut self, test: Test, constant: u32, yes: Place, no: Place) -> Place {
        // Each stone may be written after the other was found near, hence the slack.
        let yes = self.reachable(yes, 2);
        let no = self.reachable(no, 1);
        let code = match test {
            Test::Equal => JUMP_EQUAL,
            Test::Greater => JUMP_GREATER,
            Test::GreaterOrEqual => JUMP_GREATER_OR_EQUAL,
        };
        let (jump_true, jump_false) = (self.near(yes), self.near(no));
        // `reachable` has made both fit.
        self.push(
            code,
            jump_true.unwrap_or(u8::MAX),
            jump_false.unwrap_or(u8::MAX),
            constant,
        )
    }

    /// Loads a word of `seccomp_data` and goes on at `next`, which must be the instruction written last.
    pub(super) fn load(&mut self, offset: u32, next: Place) -> Place {
        self.follow(next);
        self.push(LOAD, 0, 0, offset)
    }

    /// Masks the accumulator and goes on at `next`.
    pub(super) fn and(&mut self, mask: u32, next: Place) -> Place {
        self.follow(next);
        self.push(AND, 0, 0, mask)
    }

    /// Makes the next instruction to be written fall through to `next`.
    fn follow(&mut self, next: Place) {
        if next.0 + 1 != self.reversed.len() {
            let distance = self.reversed.len() - next.0 - 1;
            self.push(JUMP, 0, 0, u32::try_from(distance).unwrap_or(u32::MAX));
        }
    }

    /// The finished program, which begins at `entry`.
    pub(super) fn finish(mut self, entry: Place) -> Vec<Instruction> {
        self.follow(entry);
        self.reversed.reverse();
        self.reversed
    }
}
