//! The init of a container.
fn main() {}
