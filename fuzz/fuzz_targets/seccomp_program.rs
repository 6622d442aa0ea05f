#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::seccomp_program(data));
