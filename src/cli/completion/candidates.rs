//! What may stand where the cursor is, from the definition of the command line alone.
//!
//! Pure. In: clap's definition and the words so far, the last of which is being typed. Out: verbs, flags and values
//! that are known, and of what kind the others are.

use clap::{Arg, Command};

/// What stands in a place that no definition can list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Nothing more.
    Nothing,
    /// Names of files, or what nobody knows.
    Files,
    /// Runs.
    Runs(Runs),
    /// Images.
    Images,
}

/// Which runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runs {
    /// Those that live and have an owner, who can be asked.
    Owned,
    /// Those that live.
    Living,
    /// Those that have ended too, where something of them is kept.
    All,
}

impl Runs {
    /// Those that `verb` can do something with.
    fn of(verb: &Command) -> Self {
        match verb.get_name() {
            "logs" | "inspect" | "rm" | "wait" => Self::All,
            "stop" => Self::Living,
            _ => Self::Owned,
        }
    }
}

/// What may stand there.
#[derive(Debug, PartialEq, Eq)]
pub struct Candidates {
    /// Words, and what each is.
    pub found: Vec<(String, String)>,
    /// What else.
    pub wanted: Wanted,
    /// What each candidate begins with: the flag of `--flag=VALUE`.
    pub prefix: String,
    /// What is typed of it already.
    pub typed: String,
    /// The global flags that were typed, with their values.
    pub globals: Vec<String>,
}

/// Where the words have led to.
struct Place<'a> {
    command: &'a Command,
    /// A flag that waits for its value.
    flag: Option<&'a Arg>,
    /// How many arguments that are no flags were given.
    given: usize,
    globals: Vec<String>,
}

/// The candidates for the last of `words`, which has none of `airtight` itself.
pub fn of(mut command: Command, words: &[String]) -> Candidates {
    command.build();
    let (typed, before) = words
        .split_last()
        .map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
    let mut place = Place {
        command: &command,
        flag: None,
        given: 0,
        globals: Vec::new(),
    };
    before.iter().for_each(|word| place.go(word));
    place.candidates(typed)
}

impl<'a> Place<'a> {
    fn go(&mut self, word: &str) {
        if let Some(flag) = self.flag.take() {
            if flag.is_global_set() {
                self.globals.push(word.to_owned());
            }
            return;
        }
        if self.is_behind_all_flags() {
            self.given += 1;
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (long, None),
            };
            let flag = self.long(name);
            if flag.is_some_and(Arg::is_global_set) {
                self.globals.push(word.to_owned());
            }
            self.flag = flag.filter(|flag| value.is_none() && needs_value(flag));
        } else if let Some(letters) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            // The first letter that needs a value has what is behind it as its value.
            for (at, letter) in letters.char_indices() {
                if let Some(flag) = self.short(letter).filter(|flag| needs_value(flag)) {
                    let last = at + letter.len_utf8() == letters.len();
                    self.flag = Some(flag).filter(|_| last);
                    break;
                }
            }
        } else if let Some(verb) = self.command.find_subcommand(word) {
            self.command = verb;
        } else {
            self.given += 1;
        }
    }

    /// Behind the image, or the run, everything belongs to the command.
    fn is_behind_all_flags(&self) -> bool {
        let mut arguments = self.command.get_positionals();
        self.given > 0 && arguments.any(Arg::is_trailing_var_arg_set)
    }

    fn long(&self, name: &str) -> Option<&'a Arg> {
        let mut all = self.command.get_arguments();
        all.find(|arg| {
            arg.get_long_and_visible_aliases()
                .is_some_and(|names| names.contains(&name))
        })
    }

    fn short(&self, letter: char) -> Option<&'a Arg> {
        let mut all = self.command.get_arguments();
        all.find(|arg| arg.get_short() == Some(letter))
    }

    fn candidates(self, typed: &str) -> Candidates {
        let mut candidates = Candidates {
            found: Vec::new(),
            wanted: Wanted::Nothing,
            prefix: String::new(),
            typed: typed.to_owned(),
            globals: self.globals.clone(),
        };
        if let Some(flag) = self.flag {
            (candidates.found, candidates.wanted) = self.values(flag);
        } else if self.is_behind_all_flags() {
            candidates.wanted = Wanted::Files;
        } else if let Some((name, value)) =
            typed.split_once('=').filter(|_| typed.starts_with("--"))
        {
            if let Some(flag) = self.long(name.trim_start_matches('-')) {
                (candidates.found, candidates.wanted) = self.values(flag);
            }
            candidates.prefix = format!("{name}=");
            candidates.typed = value.to_owned();
        } else if typed.starts_with('-') {
            candidates.found = self.flags();
        } else if self.command.has_subcommands() {
            candidates.found = self.verbs();
        } else if let Some(argument) = self.argument() {
            (candidates.found, candidates.wanted) = self.values(argument);
        }
        candidates
    }

    fn flags(&self) -> Vec<(String, String)> {
        let shown = self
            .command
            .get_arguments()
            .filter(|arg| !arg.is_hide_set());
        shown
            .filter_map(|arg| Some((format!("--{}", arg.get_long()?), about(arg))))
            .collect()
    }

    fn verbs(&self) -> Vec<(String, String)> {
        let shown = self.command.get_subcommands();
        let shown = shown.filter(|verb| !verb.is_hide_set());
        let about = |verb: &Command| verb.get_about().map(ToString::to_string);
        shown
            .map(|verb| (verb.get_name().to_owned(), about(verb).unwrap_or_default()))
            .collect()
    }

    /// The argument that the next word is; the last one may take many.
    fn argument(&self) -> Option<&'a Arg> {
        let all: Vec<&Arg> = self.command.get_positionals().collect();
        let many = |arg: &&&Arg| arg.get_num_args().is_some_and(|n| n.max_values() > 1);
        let last = all.last().filter(many);
        all.get(self.given).or(last).copied()
    }

    /// Values that are known; others by what the help calls them.
    fn values(&self, arg: &Arg) -> (Vec<(String, String)>, Wanted) {
        let known = arg.get_possible_values();
        if !known.is_empty() {
            let words = known.iter().map(|value| value.get_name().to_owned());
            return (
                words.map(|word| (word, String::new())).collect(),
                Wanted::Nothing,
            );
        }
        let names = arg.get_value_names().unwrap_or_default();
        let wanted = match names.first().map(|name| name.as_str()) {
            Some("RUN") => Wanted::Runs(Runs::of(self.command)),
            Some("IMAGE") => Wanted::Images,
            Some("NAME") if arg.get_id() == "image" => Wanted::Images,
            _ => Wanted::Files,
        };
        (Vec::new(), wanted)
    }
}

fn needs_value(flag: &Arg) -> bool {
    let takes = flag.get_action().takes_values();
    let at_least = flag.get_num_args().map_or(1, |n| n.min_values());
    takes && at_least > 0 && !flag.is_require_equals_set()
}

/// The first line is enough.
fn about(arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    help.split([';', ':', '\n'])
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &str) -> Candidates {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        of(crate::cli::command(), &words)
    }

    fn words(line: &str) -> Vec<String> {
        let candidates = typed(line);
        let begins = |(word, _): &(String, String)| word.starts_with(&candidates.typed);
        let found = candidates.found.iter().filter(|found| begins(found));
        found.map(|(word, _)| word.clone()).collect()
    }

    #[test]
    fn verbs_come_first_and_none_that_is_hidden() {
        assert_eq!(words("sto"), ["stop"]);
        assert!(words("__").is_empty());
        assert_eq!(words("--address /x image p"), ["pull"]);
        assert_eq!(typed("--address /x stop ").globals, ["--address", "/x"]);
    }

    #[test]
    fn flags_are_those_of_the_verb() {
        assert_eq!(words("stop --ti"), ["--timeout"]);
        assert!(words("run --memory").contains(&"--memory".to_owned()));
        assert_eq!(words("doctor --format=j"), ["json"]);
        assert_eq!(words("doctor --format y"), ["yaml"]);
    }

    #[test]
    fn arguments_are_runs_images_or_files() {
        for (line, wanted) in [
            ("stop ", Wanted::Runs(Runs::Living)),
            ("stop -t 5 a ", Wanted::Runs(Runs::Living)),
            ("stop -t ", Wanted::Files),
            ("exec -it ", Wanted::Runs(Runs::Owned)),
            ("exec -itu root ", Wanted::Runs(Runs::Owned)),
            ("logs -f ", Wanted::Runs(Runs::All)),
            ("rm a ", Wanted::Runs(Runs::All)),
            ("exec web ", Wanted::Files),
            ("exec web ls -", Wanted::Files),
            ("run --rm -e A=b ", Wanted::Images),
            ("run busybox ", Wanted::Files),
            ("image rm a ", Wanted::Images),
            ("run --env-file ", Wanted::Files),
            ("completion bash ", Wanted::Nothing),
        ] {
            assert_eq!(typed(line).wanted, wanted, "{line:?}");
        }
    }
}
