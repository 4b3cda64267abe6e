//! The ceilings in words: what a metadata file may set.

use super::super::keys::{Author, Key};
use super::{Ceilings, maximum_name};

/// What an author may set under `key`, and which ceiling allows more.
pub fn rule(key: &Key) -> String {
    match key.author {
        Author::Free => "anything".to_owned(),
        Author::Consent => "nothing (consent: ALLOWED_KEYS)".to_owned(),
        Author::OnIsFree => "true (false: ALLOWED_KEYS)".to_owned(),
        Author::OffIsFree => "false (true: ALLOWED_KEYS)".to_owned(),
        Author::PrivateMode => "its own (host: ALLOWED_KEYS)".to_owned(),
        Author::Maximum => format!("up to {}", maximum_name(key)),
        Author::Image => "images in ALLOWED_IMAGES".to_owned(),
        Author::HostPaths => "paths in ALLOWED_VOLUME_PREFIXES".to_owned(),
        Author::Capabilities if key.name == "cap_drop" => "anything".to_owned(),
        Author::Capabilities => "default ones (others: ALLOWED_KEYS)".to_owned(),
        Author::Targets => "outside /proc, /sys, /dev (ALLOWED_KEYS)".to_owned(),
        Author::Ulimits => "all but rtprio, nice (ALLOWED_KEYS)".to_owned(),
        Author::Labels => "plain ones (containerd's: ALLOWED_KEYS)".to_owned(),
        Author::SecurityOptions => "no-new-privileges (ALLOWED_KEYS)".to_owned(),
        Author::User => "any but root if RUN_AS_USER is set".to_owned(),
        Author::Variables => "values (the host's: ALLOWED_KEYS)".to_owned(),
    }
}

impl Ceilings {
    /// The same with what this operator's ceilings say.
    pub fn rule_here(&self, key: &Key) -> String {
        if self.keys.iter().any(|name| name == key.name) {
            return "anything (listed in ALLOWED_KEYS)".to_owned();
        }
        match key.author {
            Author::Maximum => match self.maximum(key) {
                Some(maximum) => format!("{} = {maximum}", rule(key)),
                None => format!("anything ({} is not set)", maximum_name(key)),
            },
            Author::Image if self.images.is_empty() => {
                "any image (ALLOWED_IMAGES is not set)".to_owned()
            }
            Author::Image => format!("{} = {}", rule(key), self.images.join(", ")),
            Author::HostPaths => match self.host_paths.prefixes() {
                Some([]) => "no host path (no ALLOWED_VOLUME_PREFIXES)".to_owned(),
                Some(prefixes) => {
                    let prefixes = prefixes.iter().map(|prefix| prefix.display().to_string());
                    format!(
                        "{} = {}",
                        rule(key),
                        prefixes.collect::<Vec<_>>().join(", ")
                    )
                }
                None => "any path".to_owned(),
            },
            _ => rule(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::keys::find;
    use super::*;

    #[test]
    fn a_ceiling_is_named_with_what_the_operator_set() {
        let ceilings = Ceilings {
            keys: vec!["devices".to_owned()],
            images: vec!["team/*".to_owned(), "busybox".to_owned()],
            maxima: vec![("memory".to_owned(), "8g".to_owned())],
            ..Ceilings::default()
        };
        for (name, words) in [
            ("memory", "up to MAX_MEMORY = 8g"),
            ("cpus", "anything (MAX_CPUS is not set)"),
            ("image", "images in ALLOWED_IMAGES = team/*, busybox"),
            ("devices", "anything (listed in ALLOWED_KEYS)"),
            ("pass_fd", "nothing (consent: ALLOWED_KEYS)"),
            ("volumes", "no host path (no ALLOWED_VOLUME_PREFIXES)"),
        ] {
            assert_eq!(ceilings.rule_here(find(name).unwrap()), words, "{name}");
        }
    }
}
