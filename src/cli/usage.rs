//! A command line that clap refuses, as a [`Failure`] in our own words.
//!
//! In: clap's error and the arguments. Out: help and version stay what they are; a mistake becomes one
//! line that says what is wrong, and hints. Nothing here prints or decides an exit code.

use std::ffi::{OsStr, OsString};

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

use super::{docker_flags, globals};
use crate::config::nearest;
use crate::failure::Failure;

/// What a command line that is no run of a verb comes to.
pub enum Refusal {
    /// Help or the version was asked for: a success.
    Asked,
    /// No verb was named, so the help says which there are.
    NoVerb(StyledStr),
    /// It is wrong.
    Wrong(Failure),
}

/// Sorts out `error`, which `command` made of `args`.
pub fn refusal(error: &Error, command: &mut Command, args: &[OsString]) -> Refusal {
    let mut verb = named_verb(command, args);
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Refusal::Asked,
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Refusal::NoVerb(verb.render_help())
        }
        ErrorKind::InvalidSubcommand => {
            let verbs = verb.get_subcommands().map(Command::get_name);
            let unknown = text(error, ContextKind::InvalidSubcommand);
            let failure = Failure::usage(format!("there is no verb {unknown:?}"));
            let failure = did_you_mean(failure, nearest(&unknown, verbs).unwrap_or_default());
            Refusal::Wrong(failure.hint(format!("{} --help lists the verbs", name(&verb))))
        }
        ErrorKind::UnknownArgument | ErrorKind::MissingRequiredArgument => {
            let failure = wrong(error, &verb, args);
            Refusal::Wrong(match failure.hints() {
                [] => failure.hint(format!("{} --help lists the flags", name(&verb))),
                _ => failure,
            })
        }
        _ => Refusal::Wrong(wrong(error, &verb, args)),
    }
}

fn name(verb: &Command) -> &str {
    verb.get_bin_name().unwrap_or("airtight")
}

/// The deepest subcommand that `args` names, with its full name, as `build` makes it.
fn named_verb(command: &mut Command, args: &[OsString]) -> Command {
    command.build();
    let mut at = command.clone();
    let mut words = args.iter().skip(1);
    while let Some(word) = words.next() {
        if let Some(found) = at.find_subcommand(word).cloned() {
            at = found;
            continue;
        }
        match word.to_string_lossy() {
            // Flags in front of a verb are global and have values.
            flag if flag.starts_with("--") && !flag.contains('=') => drop(words.next()),
            flag if flag.starts_with('-') => {}
            _ => break,
        }
    }
    at
}

fn wrong(error: &Error, verb: &Command, args: &[OsString]) -> Failure {
    let get = |kind| text(error, kind);
    let arg = spelled(&get(ContextKind::InvalidArg));
    match error.kind() {
        ErrorKind::UnknownArgument => unknown_argument(error, verb, &arg),
        ErrorKind::InvalidValue if get(ContextKind::InvalidValue).is_empty() => {
            let failure = Failure::usage(format!("{arg} needs a value"));
            if arg == "--hostname" {
                failure.hint("-h is docker's --hostname; --help prints the help")
            } else {
                failure
            }
        }
        ErrorKind::InvalidValue => {
            let value = get(ContextKind::InvalidValue);
            let failure = Failure::usage(format!("invalid value {value:?} for {arg}")).because(
                format!("it must be one of {}", get(ContextKind::ValidValue)),
            );
            did_you_mean(failure, &get(ContextKind::SuggestedValue))
        }
        ErrorKind::ValueValidation => {
            let value = get(ContextKind::InvalidValue);
            let what = format!("invalid value {value:?} for {arg}");
            match std::error::Error::source(error) {
                Some(why) => Failure::usage(what).because(why.to_string()),
                None => Failure::usage(what),
            }
        }
        ErrorKind::ArgumentConflict => Failure::usage(format!(
            "{arg} cannot be combined with {}",
            spelled(&get(ContextKind::PriorArg))
        )),
        ErrorKind::MissingRequiredArgument => Failure::usage(format!("{arg} is missing")),
        ErrorKind::InvalidUtf8 => not_utf8(args),
        _ => Failure::usage(error.to_string()),
    }
}

/// `--init` of `--init[=<BOOL>]`, `FILE` of `<FILE>...` and of `[FILE]...`.
fn spelled(arg: &str) -> String {
    let name = arg.split([' ', '[']).find(|part| !part.is_empty());
    let name = name.unwrap_or(arg);
    // A value's own dots are its own: only clap's `...` behind `<FILE>` goes.
    name.strip_suffix("...")
        .unwrap_or(name)
        .trim_matches(['<', '>', ']'])
        .to_owned()
}

fn unknown_argument(error: &Error, verb: &Command, arg: &str) -> Failure {
    let failure = Failure::usage(format!("there is no flag {arg}"));
    if !arg.starts_with('-') {
        return Failure::usage(format!("{arg:?} is one argument too many"));
    }
    let of_docker_run = matches!(verb.get_name(), "run" | "bundle");
    match docker_flags::advice(arg).filter(|_| of_docker_run) {
        Some(advice) => Failure::usage(format!("docker's flag {arg} is not here")).hint(advice),
        None => did_you_mean(failure, &text(error, ContextKind::SuggestedArg)),
    }
}

fn did_you_mean(failure: Failure, nearest: &str) -> Failure {
    match nearest {
        "" => failure,
        nearest => failure.hint(format!("did you mean {nearest}?")),
    }
}

/// The spec is JSON, and so are record and verdict.
fn not_utf8(args: &[OsString]) -> Failure {
    let bad = |text: &OsStr| text.to_str().is_none();
    let found = args.iter().find(|arg| bad(arg));
    let why = "airtight writes it into JSON, which holds nothing else";
    if let Some(arg) = found {
        return argument_not_utf8(arg).because(why);
    }
    let name = globals::bad_variable(bad).unwrap_or("a variable");
    Failure::usage(format!("the value of {name} is not UTF-8")).because(why)
}

/// Without what is behind the first `=` of the argument, which may be a secret.
pub(super) fn argument_not_utf8(arg: &OsStr) -> Failure {
    let shown = format!("{arg:?}");
    let shown = match shown.split_once('=') {
        Some((name, _)) => format!("{name}=…\""),
        None => shown,
    };
    Failure::usage(format!("the argument {shown} is not UTF-8"))
}

/// What clap says about `kind`, without its styles; several values are joined.
fn text(error: &Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        Some(ContextValue::StyledStr(text)) => text.to_string(),
        Some(ContextValue::StyledStrs(texts)) => {
            let texts: Vec<String> = texts.iter().map(StyledStr::to_string).collect();
            texts.join(", ")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::ffi::OsStringExt;

    fn refused(args: &[&str]) -> Failure {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let mut command = crate::cli::command();
        let error = command.try_get_matches_from_mut(&args).unwrap_err();
        match refusal(&error, &mut command, &args) {
            Refusal::Wrong(failure) => failure,
            Refusal::Asked | Refusal::NoVerb(_) => panic!("{error}"),
        }
    }

    #[test]
    fn an_unknown_flag_suggests_the_nearest() {
        let failure = refused(&["airtight", "run", "--memry", "5m", "image"]);
        assert_eq!(failure.to_string(), "there is no flag --memry");
        assert_eq!(failure.hints(), ["did you mean --memory?"]);
    }

    #[test]
    fn an_unknown_verb_suggests_the_nearest() {
        let failure = refused(&["airtight", "rnu", "image"]);
        assert_eq!(failure.to_string(), "there is no verb \"rnu\"");
        assert_eq!(failure.hints()[0], "did you mean run?");
    }

    #[test]
    fn a_flag_of_docker_s_says_what_to_do_instead() {
        for args in [
            &["airtight", "run", "-P", "image"][..],
            &["airtight", "run", "-itP", "image"],
            &["airtight", "run", "--publish=80", "image"],
        ] {
            let failure = refused(args);
            assert!(failure.to_string().contains("docker's flag -"), "{failure}");
            assert!(failure.hints()[0].contains("--network host"), "{failure:?}");
        }
    }

    #[test]
    fn an_argument_that_is_not_utf_8_is_named() {
        let args = ["airtight", "run", "-e"].map(OsString::from);
        let args = [&args[..], &[OsString::from_vec(b"A=\xff".to_vec())]].concat();
        let mut command = crate::cli::command();
        let error = command.try_get_matches_from_mut(&args).unwrap_err();
        let Refusal::Wrong(failure) = refusal(&error, &mut command, &args) else {
            panic!("{error}")
        };
        assert!(failure.to_string().contains("\"A=…\""), "{failure}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_bytes_are_a_command_line_or_refused(
            words in proptest::collection::vec(proptest::collection::vec(1u8.., 0..12), 0..6)
        ) {
            let verbs = ["airtight", "run"].map(OsString::from);
            let args: Vec<OsString> =
                verbs.into_iter().chain(words.into_iter().map(OsString::from_vec)).collect();
            let mut command = crate::cli::command();
            if let Err(error) = command.try_get_matches_from_mut(&args) {
                let _ = refusal(&error, &mut command, &args);
            }
        }
    }
}
