//! `--log-opt`: docker's way to say how much of a log is kept. Each option is a runtime key.

use clap::{Arg, ArgAction, ArgMatches};

use crate::config::{Key, keys};

/// The flag, and its name among clap's.
const NAME: &str = "log-opt";

/// The flag, in the group of `key`.
pub fn flag(key: &'static Key) -> Arg {
    Arg::new(NAME)
        .long(NAME)
        .action(ArgAction::Append)
        .value_name("NAME=VALUE")
        .value_parser(parse)
        .help_heading(key.group)
        .help("max-size=BYTES is --log-max-size, max-file=N is --log-max-file")
}

fn parse(text: &str) -> Result<(&'static Key, String), String> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let key = match name {
        "max-size" => keys::find("log_max_size"),
        "max-file" => keys::find("log_max_file"),
        _ => None,
    };
    let key = key.ok_or("of docker's options there are max-size and max-file")?;
    Ok((key, value.to_owned()))
}

/// What is said, in its order.
pub fn given(matches: &ArgMatches) -> impl Iterator<Item = &(&'static Key, String)> {
    matches.get_many(NAME).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_s_options_are_keys() {
        let (key, value) = parse("max-size=5m").unwrap();
        assert_eq!((key.name, value.as_str()), ("log_max_size", "5m"));
        assert!(parse("compress=true").is_err());
    }
}
