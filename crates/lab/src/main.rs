//! The workload of the starter image.

fn main() {}
