//! Dispatch; the one place where an outcome becomes an exit code.
fn main() {}
