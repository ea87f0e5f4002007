#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| flowdask::fuzzing::runs(bytes));
