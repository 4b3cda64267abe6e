//! Airflow's configuration file, as a container gets it.
//!
//! In: a plan. Out: the file of the host that its Airflow will read, which is for `run` to be sure of:
//! Airflow that cannot read the file which `AIRFLOW_CONFIG` names goes on with its defaults, with another
//! database and another key, and says nothing. What the image brings along is its own affair.

use crate::plan::{MountKind, Plan};
use crate::run::MustRead;

const VARIABLE: &str = "AIRFLOW_CONFIG=";

/// The file, if it is the host's.
pub fn of(plan: &Plan) -> Option<MustRead<'_>> {
    let mut environment = plan.process.environment.iter();
    let inside = environment.find_map(|variable| variable.strip_prefix(VARIABLE))?;
    let file = plan.mounts.iter().find_map(|mount| match &mount.kind {
        MountKind::Bind { host, .. } if mount.target == inside => Some(host),
        _ => None,
    })?;
    Some(MustRead {
        what: "Airflow's configuration",
        file,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture;
    use crate::survey::Source;

    #[test]
    fn a_file_that_is_mounted_where_the_variable_says_is_airflow_s() {
        let of_variable = |value: &str| {
            let mut survey = fixture::survey();
            survey.sources.insert("/h/a.cfg".into(), Source::Present);
            let variable = format!("AIRFLOW_CONFIG={value}");
            let mount = "type=bind,source=/h/a.cfg,target=/c/a.cfg,readonly";
            let flags = [("mounts", mount), ("environments", variable.as_str())];
            let plan = fixture::plan_on(&survey, &flags).unwrap();
            of(&plan).map(|needed| needed.file.to_owned())
        };
        assert_eq!(of_variable("/c/a.cfg"), Some("/h/a.cfg".into()));
        assert_eq!(of_variable("/c/other.cfg"), None);
    }
}
