//! The init of a container: holds the leash, starts the payload, reaps zombies, and takes
//! everything inside with it when the payload ends or the leash breaks.
//!
//! In: the payload's command line as its own arguments, the payload's environment, working
//! directory, ids and capabilities as its own, and the leash as the socket `leash` in the
//! directory it was itself started from. Out: messages on the leash, and an exit code: the
//! payload's, 128 + n for signal n, 126 or 127 for a command that cannot be started, 125 for its
//! own failures. It prints nothing, allocates nothing, reads no file of the image but the payload,
//! and must never outlive its owner.
//!
//! `main` is C's: Rust's would open descriptors, set up signal handlers and ignore SIGPIPE before
//! a line of ours runs, and makes the program several times larger.

#![no_main]

use std::ffi::{CStr, c_char, c_int};

#[allow(dead_code, reason = "the owner uses the other half")]
#[path = "../../leash/codec.rs"]
mod codec;
#[allow(dead_code, reason = "the owner uses the other half")]
#[path = "../../leash/packet.rs"]
mod packet;
#[allow(dead_code, reason = "the owner uses the other half")]
#[path = "../../leash/protocol.rs"]
mod protocol;

mod command;
mod descriptors;
mod family;
mod leash;
mod payload;
mod signals;
mod supervisor;
mod sys;
mod terminal;

use command::Command;
use family::Family;
use leash::Leash;
use signals::Signals;
use supervisor::Supervisor;

/// The exit code of our own failures.
const FAILED: u8 = 125;

#[unsafe(no_mangle)]
extern "C" fn main(
    _count: c_int,
    arguments: *const *const c_char,
    environment: *const *const c_char,
) -> c_int {
    // SAFETY: the kernel and the C library end both arrays with a null pointer (execve(2)); they
    // and their strings stay where they are as long as the process lives.
    let own_path = unsafe {
        match *arguments {
            // Started without even a name: nobody's container.
            path if path.is_null() => return FAILED.into(),
            path => CStr::from_ptr(path),
        }
    };
    // SAFETY: as above; there is a first argument, so there is an end after it.
    let command = unsafe { Command::new(arguments.add(1), environment) };
    run(own_path, command).unwrap_or(FAILED).into()
}

fn run(own_path: &'static CStr, command: Command) -> Result<u8, sys::Errno> {
    signals::take_over();
    sys::hide();
    descriptors::close_inherited();
    let family = Family::take_over()?;
    let signals = Signals::open()?;
    let leash = Leash::connect(own_path)?;
    leash.greet()?;

    let mut supervisor = Supervisor::new(&leash, &signals, command);
    let end = supervisor.run();
    end.tell(&leash);
    family.kill(supervisor.unreaped_payload(), &signals);
    Ok(end.exit_code())
}
