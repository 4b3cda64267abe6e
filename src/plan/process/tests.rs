//! What runs.

use oci_spec::runtime::PosixRlimitType;
use serde_json::json;

use super::super::fixture::{image, plan, plan_of, plan_on, refusal, settings, survey};
use super::*;
use crate::plan::Plan;

fn command_of(
    config: serde_json::Value,
    flags: &[(&str, &str)],
    command: &[&str],
) -> Result<Vec<String>> {
    let mut settings = settings(flags);
    settings.command = command.iter().map(|word| (*word).to_owned()).collect();
    let id = "x".parse()?;
    Plan::make(&settings, &survey(), &image(config), id).map(|plan| plan.process.args)
}

#[test]
fn the_entry_point_stands_before_the_command_and_a_new_one_drops_the_image_s() {
    let both = || json!({"Entrypoint": ["/entry", "-x"], "Cmd": ["image"]});
    for (flags, command, expected) in [
        (&[][..], &[][..], &["/entry", "-x", "image"][..]),
        (&[], &["mine"], &["/entry", "-x", "mine"]),
        (&[("entrypoint", "/new")], &[], &["/new"]),
        (&[("entrypoint", "/new")], &["mine"], &["/new", "mine"]),
        (&[("entrypoint", "")], &["mine"], &["mine"]),
    ] {
        assert_eq!(command_of(both(), flags, command).unwrap(), expected);
    }
    for (config, flags) in [(both(), &[("entrypoint", "")][..]), (json!({}), &[])] {
        let refused = command_of(config, flags, &[]).unwrap_err().to_string();
        assert!(refused.contains("no command"), "{refused}");
    }
    assert!(command_of(json!({}), &[], &[""]).is_err());
}

#[test]
fn the_working_directory_is_the_user_s_the_image_s_or_the_root() {
    let at = image(json!({"WorkingDir": "/image//dir/"}));
    assert_eq!(plan_of(&at, &[]).unwrap().process.working_dir, "/image/dir");
    assert_eq!(
        plan_of(&at, &[("working_dir", "/mine")])
            .unwrap()
            .process
            .working_dir,
        "/mine"
    );
    assert_eq!(plan(&[]).process.working_dir, "/");
    for bad in ["/proc/self/fd/7", "relative", "/a/../b"] {
        let refused = plan_of(&image(json!({"WorkingDir": bad})), &[])
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("WORKDIR") && refused.contains(bad),
            "{refused}"
        );
    }
}

#[test]
fn an_image_s_user_that_makes_no_sense_is_refused_unless_another_is_given() {
    let odd = image(json!({"User": "0:0:0"}));
    let refused = plan_of(&odd, &[]).unwrap_err().to_string();
    assert!(refused.contains("USER \"0:0:0\""), "{refused}");
    assert!(plan_of(&odd, &[("run_as_user", "1000")]).is_ok());
}

fn limit(plan: &Plan, kind: PosixRlimitType) -> (u64, u64) {
    let limits: Vec<_> = plan
        .process
        .rlimits
        .iter()
        .filter(|limit| limit.typ() == kind)
        .collect();
    assert_eq!(limits.len(), 1, "{kind}");
    (limits[0].soft(), limits[0].hard())
}

#[test]
fn all_sixteen_limits_are_set_and_the_user_s_win() {
    assert_eq!(plan(&[]).process.rlimits.len(), 16);
    let plan = plan(&[("ulimits", "nofile=10:20")]);
    assert_eq!(plan.process.rlimits.len(), 16);
    assert_eq!(limit(&plan, PosixRlimitType::RlimitNofile), (10, 20));
}

#[test]
fn a_default_limit_yields_to_what_the_host_can_set_and_one_asked_for_does_not() {
    let mut host = survey();
    host.highest_rlimits = vec![(PosixRlimitType::RlimitNofile, 100)];
    let plan = plan_on(&host, &[]).unwrap();
    assert_eq!(limit(&plan, PosixRlimitType::RlimitNofile), (100, 100));
    assert!(plan_on(&host, &[("ulimits", "nofile=50:100")]).is_ok());
    let refused = plan_on(&host, &[("ulimits", "nofile=50:101")])
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("--ulimit") && refused.contains("100"),
        "{refused}"
    );
}

#[test]
fn an_oom_score_below_0_needs_a_capability_of_the_host() {
    assert_eq!(
        plan(&[("oom_score_adj", "-500")]).process.oom_score_adj,
        -500
    );
    let mut host = survey();
    host.capabilities.remove(&Capability::SysResource);
    assert!(plan_on(&host, &[("oom_score_adj", "500")]).is_ok());
    let refused = plan_on(&host, &[("oom_score_adj", "-1")])
        .unwrap_err()
        .to_string();
    assert!(refused.contains("CAP_SYS_RESOURCE"), "{refused}");
}

#[test]
fn what_the_kernel_could_not_execute_is_refused_before_anything_exists() {
    let long = "x".repeat(MAX_STRING);
    let refused = refusal(&[("environments", &format!("A={long}"))]);
    assert!(
        refused.contains("128 KiB") && refused.ends_with("\"A\"…"),
        "{refused}"
    );
    assert!(command_of(json!({}), &[], &["echo", &long]).is_err());
    let many = vec!["x".repeat(1000); 2200];
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let refused = command_of(json!({}), &[], &many).unwrap_err().to_string();
    assert!(refused.contains("2 MiB"), "{refused}");
    assert!(command_of(json!({}), &[], &["a\0b"]).is_err());
}

#[test]
fn descriptors_are_passed_when_they_are_open_and_of_a_harmless_kind() {
    let mut host = survey();
    host.descriptors.extend([
        (5, Descriptor::Passable),
        (6, Descriptor::File),
        (7, Descriptor::Terminal),
        (8, Descriptor::Refused("it is a directory")),
    ]);
    let plan = plan_on(&host, &[("pass_fd", "5"), ("pass_fd", "6")]).unwrap();
    assert_eq!(plan.process.pass_fds, [5, 6]);
    for (flags, words) in [
        (&[("pass_fd", "7")][..], "terminal"),
        (&[("pass_fd", "8")], "it is a directory"),
        (&[("pass_fd", "9")], "not open"),
        (&[("pass_fd", "5"), ("init", "false")], "--no-init"),
    ] {
        let refused = plan_on(&host, flags).unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
    }
}
