//! `linux.personality`: the execution domain, which tells a program on a 64-bit kernel that it runs on a 32-bit one.
//!
//! The runtime-spec names no flags yet, and leaves the field for them; here they are the kernel's own.
//!
//! Source: runtime-spec config-linux.md, personality; `man 2 personality`.

use crate::error::{Error, Result};
use crate::process::scheduler::value_of;
use crate::spec::Personality;

const DOMAINS: [(&str, u32); 2] = [("LINUX", 0), ("LINUX32", 0x0008)];

const FLAGS: [(&str, u32); 10] = [
    ("UNAME26", 0x002_0000),
    ("ADDR_NO_RANDOMIZE", 0x004_0000),
    ("FDPIC_FUNCPTRS", 0x008_0000),
    ("MMAP_PAGE_ZERO", 0x010_0000),
    ("ADDR_COMPAT_LAYOUT", 0x020_0000),
    ("READ_IMPLIES_EXEC", 0x040_0000),
    ("ADDR_LIMIT_32BIT", 0x080_0000),
    ("SHORT_INODE", 0x100_0000),
    ("WHOLE_SECONDS", 0x200_0000),
    ("STICKY_TIMEOUTS", 0x400_0000),
];

/// Reads a domain and its flags.
///
/// # Errors
/// `Invalid` for an unknown word.
pub fn parse(personality: &Personality) -> Result<u32> {
    let mut persona = value_of(&DOMAINS, &personality.domain).ok_or_else(|| {
        Error::invalid(format!(
            "linux.personality: unknown domain {:?}, not LINUX or LINUX32",
            personality.domain
        ))
    })?;
    for flag in &personality.flags {
        persona |= value_of(&FLAGS, flag).ok_or_else(|| {
            Error::invalid(format!("linux.personality: unknown flag {flag:?}"))
                .with_hint("the runtime-spec has none: leave linux.personality.flags out")
        })?;
    }
    Ok(persona)
}

/// Gives this process and what it becomes the domain.
///
/// # Errors
/// As [`parse`]; `Sys`.
pub fn apply(personality: &Personality) -> Result<()> {
    sys::process::set_personality(parse(personality)?)
        .map(drop)
        .map_err(|error| Error::sys("set the personality", &personality.domain, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_and_flags_are_the_kernels() {
        let read = |domain: &str, flags: &[&str]| {
            parse(&Personality {
                domain: domain.into(),
                flags: flags.iter().map(ToString::to_string).collect(),
            })
        };
        assert_eq!(read("LINUX", &[]).unwrap(), 0);
        assert_eq!(
            read("LINUX32", &["ADDR_NO_RANDOMIZE"]).unwrap(),
            0x8 | 0x4_0000
        );
        assert!(read("BSD", &[]).is_err());
        assert!(read("LINUX", &["FLY"]).is_err());
    }
}
