//! libFuzzer's entry: any bytes against `properties::volume_file`.

#![no_main]

#[path = "../properties.rs"]
#[allow(dead_code, reason = "each target has its own property")]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::volume_file(bytes));
