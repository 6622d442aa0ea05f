//! Writes the compiled filter of a `config.json` to standard output, for the floor that compiles none: four bytes of flags, then
//! the instructions as the kernel takes them.
#![expect(
    clippy::unwrap_used,
    reason = "a measuring program stops at the first surprise"
)]

use std::io::Write as _;

fn main() {
    let path = std::env::args().nth(1).unwrap();
    let json = std::fs::read(path).unwrap();
    let spec: mini::spec::Spec = serde_json::from_slice(&json).unwrap();
    let rules = spec.linux.unwrap().seccomp.unwrap();
    let filter = mini::seccomp::compile(&rules).unwrap();
    std::io::stdout().write_all(&filter.encode()).unwrap();
}
