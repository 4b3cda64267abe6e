//! libFuzzer's entry: any bytes against `properties::airflow_cfg`.

#![no_main]

#[path = "../properties.rs"]
#[allow(dead_code, reason = "each target has its own property")]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::airflow_cfg(bytes));
