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
