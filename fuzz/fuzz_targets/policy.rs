//! See `portcullis_fuzz`.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    portcullis_fuzz::run("policy", input);
});
