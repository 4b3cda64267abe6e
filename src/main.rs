//! Dispatch; the one place where an outcome becomes an exit code.

use std::process::ExitCode;

use airtight::cli;

fn main() -> ExitCode {
    // One thread: what runs at once are containerd calls, signals and timers, all of them waits.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
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
