//! Prepares what the binary embeds: the static table of runtime keys and the init program.

#[path = "build/init.rs"]
mod init;
#[path = "build/keys.rs"]
mod keys;

fn main() {
    init::build();
    keys::generate();
}
