//! The `mini` OCI runtime.

fn main() {}
