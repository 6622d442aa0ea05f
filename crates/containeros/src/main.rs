//! The `containeros` command.

fn main() {}
