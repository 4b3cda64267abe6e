//! Prepares what the binary embeds: the static table of runtime keys and the init program.

#[path = "build/init.rs"]
mod init;

fn main() {
    init::build();
}
