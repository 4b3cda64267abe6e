//! The OCI process of a command beside the payload: the run's own, with what was asked for in its place.
//!
//! Pure. In: the process of the container's spec, what is wanted, the container's accounts. Out: a process with
//! the run's limits and, unless more is wanted, its powers.

use std::path::PathBuf;

use oci_spec::runtime::{Capabilities, Process, User};

use crate::failure::Result;
use crate::spec::capabilities;
use crate::spec::user::{self, Accounts, NameOrId, UserSpec};

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The command and its arguments.
    pub args: Vec<String>,
    /// Over the run's own variables, in this order.
    pub environment: Vec<(String, String)>,
    /// In place of the run's user.
    pub user: Option<UserSpec>,
    /// In place of the run's working directory.
    pub working_dir: Option<String>,
    /// All of these, in place of the run's capabilities.
    pub powers: Option<Capabilities>,
    /// A terminal of its own.
    pub terminal: bool,
}

/// What the terminal of a process is called; docker's default.
const TERM: &str = "xterm";

/// The process. `accounts` are the container's; they are needed where a user is wanted.
pub fn process(of_run: &Process, wish: &Wish, accounts: &Accounts) -> Result<Process> {
    let mut process = of_run.clone();
    let mut environment = of_run.env().clone().unwrap_or_default();
    if wish.terminal && value(&environment, "TERM").is_none() {
        environment.push(format!("TERM={TERM}"));
    }
    if let Some(wanted) = &wish.user {
        let found = user::resolve(wanted, &[], accounts)?;
        // The run's HOME is its user's, unless somebody has chosen it.
        let before = UserSpec {
            user: NameOrId::Id(of_run.user().uid()),
            group: None,
        };
        let before = user::resolve(&before, &[], accounts)?.home;
        if value(&environment, "HOME").is_none_or(|home| home == before) {
            set(&mut environment, "HOME", &found.home);
        }
        let mut user = User::default();
        user.set_uid(found.uid)
            .set_gid(found.gid)
            .set_additional_gids(Some(found.groups));
        process.set_user(user);
    }
    for (name, value) in &wish.environment {
        set(&mut environment, name, value);
    }
    let bounding = of_run.capabilities().as_ref();
    let bounding = bounding.and_then(|sets| sets.bounding().clone());
    let powers = wish.powers.clone().or(bounding).unwrap_or_default();
    let uid = process.user().uid();
    process
        .set_capabilities(Some(capabilities::for_uid(powers, uid)))
        .set_args(Some(wish.args.clone()))
        .set_env(Some(environment))
        .set_terminal(Some(wish.terminal));
    if wish.powers.is_some() {
        process.set_no_new_privileges(Some(false));
    }
    if let Some(dir) = &wish.working_dir {
        process.set_cwd(PathBuf::from(dir));
    }
    Ok(process)
}

fn value<'a>(environment: &'a [String], name: &str) -> Option<&'a str> {
    let pairs = environment.iter().filter_map(|pair| pair.split_once('='));
    pairs
        .filter(|(known, _)| *known == name)
        .map(|(_, value)| value)
        .next()
}

fn set(environment: &mut Vec<String>, name: &str, value: &str) {
    environment.retain(|pair| pair.split('=').next() != Some(name));
    environment.push(format!("{name}={value}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::Capability;

    fn of_run() -> Process {
        let mut process = Process::default();
        process
            .set_args(Some(vec!["/.airtight/init".into(), "sleep".into()]))
            .set_env(Some(vec!["PATH=/bin".into(), "HOME=/root".into()]))
            .set_cwd("/work".into())
            .set_capabilities(Some(capabilities::for_uid([Capability::Chown].into(), 0)));
        process
    }

    fn wish() -> Wish {
        Wish {
            args: vec!["id".into()],
            environment: Vec::new(),
            user: None,
            working_dir: None,
            powers: None,
            terminal: false,
        }
    }

    fn accounts() -> Accounts {
        Accounts {
            passwd: Some("root:x:0:0::/root:\nalice:x:1000:1000::/home/alice:\n".into()),
            group: Some("disk:x:6:alice\n".into()),
        }
    }

    fn made(wish: &Wish) -> Process {
        process(&of_run(), wish, &accounts()).unwrap()
    }

    #[test]
    fn without_wishes_it_is_the_run_s_own_with_another_command() {
        let made = made(&wish());
        assert_eq!(made.args().clone().unwrap(), ["id"]);
        assert_eq!(made.env(), of_run().env());
        assert_eq!(made.cwd(), of_run().cwd());
        assert_eq!(made.capabilities(), of_run().capabilities());
    }

    #[test]
    fn another_user_has_its_own_groups_and_home_and_holds_no_capabilities() {
        let made = made(&Wish {
            user: Some("alice".parse().unwrap()),
            ..wish()
        });
        let user = made.user();
        assert_eq!((user.uid(), user.gid()), (1000, 1000));
        assert_eq!(user.additional_gids().clone().unwrap(), [1000, 6]);
        assert_eq!(
            made.env().clone().unwrap(),
            ["PATH=/bin", "HOME=/home/alice"]
        );
        let sets = made.capabilities().clone().unwrap();
        assert_eq!(sets.effective().clone().unwrap(), Capabilities::new());
        assert_eq!(sets.bounding().clone().unwrap().len(), 1);
    }

    #[test]
    fn variables_and_a_home_that_somebody_chose_win() {
        let mut chosen = of_run();
        chosen.set_env(Some(vec!["HOME=/mine".into(), "A=1".into()]));
        let wish = Wish {
            user: Some("alice".parse().unwrap()),
            environment: vec![("A".into(), "2".into())],
            ..wish()
        };
        let made = process(&chosen, &wish, &accounts()).unwrap();
        assert_eq!(made.env().clone().unwrap(), ["HOME=/mine", "A=2"]);
    }

    #[test]
    fn a_terminal_has_a_name() {
        let made = made(&Wish {
            terminal: true,
            ..wish()
        });
        assert!(made.env().clone().unwrap().contains(&"TERM=xterm".into()));
        assert_eq!(made.terminal(), Some(true));
    }

    #[test]
    fn powers_are_given_whatever_the_run_has() {
        let all: Capabilities = [Capability::SysAdmin, Capability::Chown].into();
        let made = made(&Wish {
            powers: Some(all.clone()),
            ..wish()
        });
        let sets = made.capabilities().clone().unwrap();
        assert_eq!(sets.effective().clone().unwrap(), all);
    }
}
