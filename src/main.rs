//! Dispatch; the one place where an outcome becomes an exit code.

use std::fs::File;
use std::io;
use std::process::ExitCode;

use airtight::cli;

/// The runtime's own, which it takes for granted, and a few of ours.
const DESCRIPTORS: usize = 8;

fn main() -> ExitCode {
    // One thread: what runs at once are containerd calls, signals and timers, all of them waits.
    let runtime = match descriptors_are_left().and_then(|()| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
    }) {
        Ok(runtime) => runtime,
        Err(why) => {
            cli::out::tell(format_args!("cannot start: {why}"));
            return ExitCode::from(125);
        }
    };
    let outcome = runtime.block_on(cli::run(std::env::args_os()));
    // A thread may still be in a read of our stdin; it is not waited for.
    runtime.shutdown_background();
    match outcome {
        Ok(code) => code,
        Err(failed) => {
            cli::print_failure(&failed.failure);
            ExitCode::from(failed.exit_code())
        }
    }
}

/// The runtime panics where it finds none.
fn descriptors_are_left() -> io::Result<()> {
    let opened = (0..DESCRIPTORS).map(|_| File::open("/dev/null"));
    opened.collect::<io::Result<Vec<_>>>().map(drop)
}
