//! The payload's environment, put together as docker does.

use crate::config::Settings;
use crate::image::Image;

/// docker's own default.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// PATH, HOSTNAME and TERM, over them the image's ENV, over it what the user set. HOME is added when
/// the user is known.
pub(super) fn plan(settings: &Settings, image: &Image, hostname: Option<&str>) -> Vec<String> {
    let mut variables = Variables::default();
    variables.set("PATH", PATH);
    if let Some(hostname) = hostname {
        variables.set("HOSTNAME", hostname);
    }
    if settings.tty {
        variables.set("TERM", "xterm");
    }
    for (name, value) in image.environment() {
        variables.set(name, value);
    }
    for (name, value) in &settings.environment {
        match value {
            Some(value) => variables.set(name, value),
            None => variables.unset(name),
        }
    }
    variables
        .0
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

/// In the order in which they were first set.
#[derive(Default)]
struct Variables(Vec<(String, String)>);

impl Variables {
    fn set(&mut self, name: &str, value: &str) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
    }

    fn unset(&mut self, name: &str) {
        self.0.retain(|(known, _)| known != name);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixture::{image, plan, plan_of};

    const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

    #[test]
    fn there_are_a_path_a_host_name_and_with_a_terminal_its_type() {
        let environment = |flags: &[(&str, &str)]| plan(flags).process.environment;
        assert_eq!(environment(&[]), [PATH, "HOSTNAME=0123456789ab"]);
        assert_eq!(environment(&[("uts_mode", "host")]), [PATH]);
        assert_eq!(
            environment(&[("tty", "true"), ("environments", "PATH=/mine")]),
            ["PATH=/mine", "HOSTNAME=0123456789ab", "TERM=xterm"]
        );
    }

    #[test]
    fn the_user_s_variables_win_over_the_image_s_and_a_bare_name_takes_one_away() {
        let image = image(json!({"Env": ["A=image", "B=image", "PATH=/image"]}));
        let flags = [("environments", "A=user"), ("environments", "B")];
        assert_eq!(
            plan_of(&image, &flags).unwrap().process.environment,
            ["PATH=/image", "HOSTNAME=0123456789ab", "A=user"]
        );
    }
}
