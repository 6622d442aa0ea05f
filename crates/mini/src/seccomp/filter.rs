//! A compiled filter, on its way from the parent that compiles it to the child that it is for.

use std::os::fd::OwnedFd;

use sys::seccomp::Instruction;

use super::compile::compile;
use super::supervisor::Supervisor;
use crate::error::{Error, Result};
use crate::spec::{Seccomp, Spec};

/// A compiled filter.
#[derive(Clone, Debug)]
pub struct Filter {
    program: Vec<Instruction>,
    flags: u32,
    supervisor: Option<Box<Supervisor>>,
}

impl Filter {
    pub(super) fn new(program: Vec<Instruction>, flags: u32) -> Self {
        Self {
            program,
            flags,
            supervisor: None,
        }
    }

    /// The filter of a container; [`None`] when its spec has none.
    ///
    /// # Errors
    /// `Invalid`, `Unsupported` for what is in the profile.
    pub fn of_container(spec: &Spec, id: &str, bundle: &std::path::Path) -> Result<Option<Self>> {
        let profile = spec.linux.as_ref().and_then(|linux| linux.seccomp.as_ref());
        // As runc: nothing said is no filter.
        let Some(profile) = profile.filter(|profile| !Seccomp::is_blank(profile)) else {
            return Ok(None);
        };
        let mut filter = compile(profile)?;
        if filter.has_listener() {
            filter.supervisor = Some(Box::new(Supervisor::of(profile, spec, id, bundle)));
        }
        Ok(Some(filter))
    }

    /// Puts this process under the filter; its listener, when some call is to ask the supervisor.
    ///
    /// # Errors
    /// `Sys`.
    pub fn load(&self) -> Result<Option<OwnedFd>> {
        sys::seccomp::load(&self.program, self.flags).map_err(|error| {
            let error = Error::sys("load", "the seccomp filter", error);
            if self.flags & sys::seccomp::FLAG_WAIT_KILLABLE_RECV == 0 {
                return error;
            }
            error.with_hint("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs Linux 5.19")
        })
    }

    /// Whether some call asks the supervisor.
    pub fn has_listener(&self) -> bool {
        self.flags & sys::seccomp::FLAG_NEW_LISTENER != 0
    }

    /// Who gets the listener. Known to the parent only.
    pub fn supervisor(&self) -> Option<&Supervisor> {
        self.supervisor.as_deref()
    }

    /// The kernel's flags.
    pub fn flags(&self) -> u32 {
        self.flags
    }

    /// The filter as bytes, for [`Filter::decode`] in a process of the same machine.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(4 + 8 * self.program.len());
        bytes.extend(self.flags.to_ne_bytes());
        for instruction in &self.program {
            bytes.extend(instruction.code.to_ne_bytes());
            bytes.extend([instruction.jump_true, instruction.jump_false]);
            bytes.extend(instruction.operand.to_ne_bytes());
        }
        bytes
    }

    /// The filter that was encoded; [`None`] for bytes that are none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (flags, rest) = bytes.split_first_chunk()?;
        let instructions = rest.chunks_exact(8);
        if !instructions.remainder().is_empty() {
            return None;
        }
        let program = instructions
            .map(|chunk| {
                let (code, rest) = chunk.split_first_chunk()?;
                let ([jump_true, jump_false], operand) = rest.split_first_chunk()?;
                Some(Instruction {
                    code: u16::from_ne_bytes(*code),
                    jump_true: *jump_true,
                    jump_false: *jump_false,
                    operand: u32::from_ne_bytes(operand.try_into().ok()?),
                })
            })
            .collect::<Option<_>>()?;
        Some(Self::new(program, u32::from_ne_bytes(*flags)))
    }

    /// The instructions.
    pub fn program(&self) -> &[Instruction] {
        &self.program
    }

    /// A few words about it.
    pub fn describe(&self) -> String {
        format!("{} instructions", self.program.len())
    }
}
