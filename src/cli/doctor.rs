//! stub
use super::Globals;
use clap::{ArgMatches, Command};
use std::process::ExitCode;
pub fn command() -> Command {
    Command::new("doctor")
}
pub async fn run(_: &ArgMatches, _: &Globals) -> crate::failure::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
