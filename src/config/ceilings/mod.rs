//! What the author of a DAG may set in a metadata file, and up to where.
//!
//! The operator's consent is `[docker_runtime_ceilings]` in airflow.cfg:
//!
//! ```ini
//! ALLOWED_KEYS = devices, cap_add            ; keys that give power over the host
//! ALLOWED_IMAGES = registry.example/team/*   ; any image, when empty
//! ALLOWED_VOLUME_PREFIXES = /data, /mnt/in   ; no host path, when empty
//! MAX_MEMORY = 8g                            ; and MAX_ of every key that is a quantity
//! ```
//!
//! A refusal names the key, the file and line, and the setting that would allow it. Which rule a key
//! has is in `runtime-specs/keys.yaml`.

mod maxima;
mod mounts;
mod powers;
mod words;

use super::airflow_cfg::{AirflowConfig, Scope, Value};
use super::image::final_image;
use super::keys::{Author, Key, NAMES};
use super::layer::{Item, Layer, Merged, Said};
use super::nearest;
use super::pattern::matches;
use super::profile::Profile;
use super::values::{SecurityOption, truth};
use crate::failure::{Failure, Result};
use crate::image::Wanted;
use maxima::quantity;
pub use maxima::{maximum_name, quantities};
pub use mounts::Fences;
use mounts::HostPaths;
pub use words::rule;

/// The section of airflow.cfg.
pub const SECTION: &str = "docker_runtime_ceilings";

/// The ceilings that are lists.
const LISTS: [&str; 3] = ["ALLOWED_KEYS", "ALLOWED_IMAGES", "ALLOWED_VOLUME_PREFIXES"];

/// What the operator allows.
#[derive(Debug, Default)]
pub struct Ceilings {
    keys: Vec<String>,
    images: Vec<String>,
    host_paths: HostPaths,
    /// By the name of the key.
    maxima: Vec<(String, String)>,
}

impl Ceilings {
    /// Reads them; without the section nothing is allowed that needs consent. Only where there is no
    /// profile either, which is a person at a shell with a DAG file of theirs, any host path is.
    pub fn read(config: &AirflowConfig, profile: Option<Profile>) -> Result<Self> {
        let mut ceilings = Self::default();
        if profile.is_none() && !config.has(SECTION) {
            ceilings.host_paths = HostPaths::Any;
        }
        for (name, value) in config.section(SECTION) {
            let value = value?;
            let list = || Ok::<_, Failure>(value.parts(&[',', '\n'])?.into_iter());
            match name.as_str() {
                "allowed_keys" => {
                    ceilings.keys = list()?.map(str::to_lowercase).collect();
                    let is_unknown = |name: &&String| super::keys::find(name).is_none();
                    if let Some(name) = ceilings.keys.iter().find(is_unknown) {
                        return Err(unknown_key(&value, name));
                    }
                }
                "allowed_images" => ceilings.images = list()?.map(str::to_owned).collect(),
                "allowed_volume_prefixes" => {
                    ceilings.host_paths =
                        HostPaths::below(list()?).map_err(|why| value.refuse(&why))?;
                }
                other => match other.strip_prefix("max_").and_then(super::keys::find) {
                    Some(key) if key.author == Author::Maximum => {
                        let text = value.text.trim();
                        if !text.is_empty() {
                            quantity(key, text).map_err(|why| value.refuse(&why))?;
                            ceilings.maxima.push((key.name.to_owned(), text.to_owned()));
                        }
                    }
                    // A ceiling with a mistake in its name would be none.
                    _ if value.scope == Scope::Own => return Err(unknown(&value)),
                    _ => {}
                },
            }
        }
        Ok(ceilings)
    }

    /// Everything in `author` that is beyond the ceilings.
    pub fn refusals(&self, author: &Layer, operator: &Merged) -> Vec<Failure> {
        let refused = author.said().iter().filter_map(|said| {
            let (Said::Value(item) | Said::Clear(item) | Said::Remove(item)) = said;
            if self.consents_to(item.key) {
                return None;
            }
            match said {
                Said::Value(item) => self.check_value(item, operator).err(),
                Said::Clear(item) | Said::Remove(item) => self.check_clear(item, operator).err(),
            }
        });
        refused.collect()
    }

    fn check_value(&self, item: &Item, operator: &Merged) -> Result<()> {
        let text = item.text.trim();
        // What is neither is refused when it is parsed.
        let on = truth(text) != Ok(false);
        let fine = match item.key.author {
            Author::Free | Author::Image => true,
            Author::User => return self.check_user(item, operator),
            Author::Consent => false,
            Author::OnIsFree => on,
            Author::OffIsFree => !on,
            Author::PrivateMode => matches!(text, "" | "none" | "private"),
            Author::Maximum => return self.check_maximum(item),
            Author::HostPaths | Author::Targets => return self.check_mount(item),
            Author::Capabilities => {
                item.key.name == "cap_drop" || powers::is_harmless_capability(text, operator)
            }
            Author::Ulimits => !powers::is_priority(text),
            Author::Labels => !powers::is_acted_upon(text),
            Author::SecurityOptions => {
                matches!(text.parse(), Ok(SecurityOption::NoNewPrivileges(true)))
            }
            Author::Variables => text.contains('='),
        };
        if fine {
            Ok(())
        } else {
            Err(self.needs_consent(item))
        }
    }

    /// Clearing takes a restriction of the operator's away where the key is one.
    fn check_clear(&self, item: &Item, operator: &Merged) -> Result<()> {
        let name = item.key.name;
        let set = operator.one(name).is_some();
        let on = |item: Option<&Item>| item.is_some_and(|item| truth(&item.text) != Ok(false));
        let restriction = match item.key.author {
            Author::OnIsFree => on(operator.one(name)) && !on(operator.unwritten(name)),
            Author::Maximum => self.maximum(item.key).is_some(),
            Author::Capabilities | Author::SecurityOptions | Author::Consent => set,
            _ => false,
        };
        if restriction {
            Err(self.needs_consent(item))
        } else {
            Ok(())
        }
    }

    /// Refuses a final image that no pattern of the operator's allows; the author can name one in more
    /// than one key.
    pub fn check_image(&self, merged: &Merged) -> Result<()> {
        let consented = self.keys.iter().any(|name| name == "image");
        let Some((image, item)) = final_image(merged) else {
            return Ok(());
        };
        if self.images.is_empty() || consented {
            return Ok(());
        }
        let names = image.parse::<Wanted>().ok();
        let reference = names.as_ref().and_then(Wanted::reference);
        // An id names no repository, so no pattern can allow it.
        let spellings = reference
            .map(|name| [name.to_string(), name.familiar()])
            .unwrap_or_default();
        let allowed = self
            .images
            .iter()
            .any(|pattern| spellings.iter().any(|name| matches(pattern, name)));
        if allowed {
            return Ok(());
        }
        Err(item
            .refuse("no pattern of the operator's allows this image")
            .hint(format!(
                "the operator can add one to ALLOWED_IMAGES in [{SECTION}] of airflow.cfg"
            )))
    }

    /// Whether a payload of this author's must not be root: the operator chose another user. Whether a
    /// name is root's is known only once the image can be read.
    pub fn forbid_root(&self, operator: &Merged) -> bool {
        let consented = self.keys.iter().any(|name| name == "run_as_user");
        let chosen = operator.one("run_as_user").map(|item| item.text.as_str());
        !consented && chosen.is_some_and(|user| !is_root(user))
    }

    /// Where the operator chose a user, the author's is not root, and has no group but its own in the
    /// image: group 0 may use what belongs to root's group, such as containerd's socket.
    fn check_user(&self, item: &Item, operator: &Merged) -> Result<()> {
        if !self.forbid_root(operator) || !(is_root(&item.text) || item.text.contains(':')) {
            return Ok(());
        }
        Err(item
            .refuse(
                "where the operator sets RUN_AS_USER, root or a group of one's own needs consent",
            )
            .hint(self.hint(item.key)))
    }

    fn consents_to(&self, key: &Key) -> bool {
        self.keys.iter().any(|name| name == key.name)
    }

    fn needs_consent(&self, item: &Item) -> Failure {
        item.refuse("a metadata file may set it only with the operator's consent")
            .hint(self.hint(item.key))
    }

    fn hint(&self, key: &Key) -> String {
        format!(
            "the operator can add {} to ALLOWED_KEYS in [{SECTION}] of airflow.cfg",
            key.name
        )
    }
}

/// The failure for a name in ALLOWED_KEYS that is no key.
fn unknown_key(value: &Value, name: &str) -> Failure {
    let failure = value.failure(format!("{value} names {name:?}, which is no runtime key"));
    match nearest(name, NAMES.iter().copied()) {
        Some(near) => failure.hint(format!("did you mean {near}?")),
        None => failure.hint("`airtight config keys` lists the keys"),
    }
}

/// As far as the text says it; an image may call root anything.
fn is_root(user: &str) -> bool {
    let name = user.split(':').next().unwrap_or_default();
    name == "root" || name.parse() == Ok(0)
}

/// The failure for a name that is no ceiling.
fn unknown(value: &Value) -> Failure {
    let failure = value.failure(format!("{value} is no ceiling"));
    let maxima: Vec<String> = quantities().map(maximum_name).collect();
    let known = LISTS.into_iter().chain(maxima.iter().map(String::as_str));
    match nearest(&value.key.to_uppercase(), known) {
        Some(near) => failure.hint(format!("did you mean {near}?")),
        None => failure.hint("known are ALLOWED_KEYS, ALLOWED_IMAGES, ALLOWED_VOLUME_PREFIXES, and MAX_ with a key that is a quantity"),
    }
}

#[cfg(test)]
mod tests;
