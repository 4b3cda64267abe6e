//! What of an image's configuration applies to a container (image-spec, config.md): nothing else of it
//! does, and its labels are never copied.

use super::Image;
use crate::failure::{Failure, Kind};

impl Image {
    /// ENV, in its order; entries without `=` mean nothing and are left out.
    pub fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        let config = self.config.config().as_ref();
        let entries = config.and_then(|config| config.env().as_ref());
        entries
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.split_once('='))
            .filter(|(name, _)| !name.is_empty())
    }

    /// ENTRYPOINT.
    pub fn entrypoint(&self) -> &[String] {
        self.config
            .config()
            .as_ref()
            .and_then(|config| config.entrypoint().as_deref())
            .unwrap_or_default()
    }

    /// CMD.
    pub fn cmd(&self) -> &[String] {
        self.config
            .config()
            .as_ref()
            .and_then(|config| config.cmd().as_deref())
            .unwrap_or_default()
    }

    /// USER.
    pub fn user(&self) -> Option<&str> {
        said(self.config.config().as_ref()?.user().as_deref())
    }

    /// WORKDIR.
    pub fn working_dir(&self) -> Option<&str> {
        said(self.config.config().as_ref()?.working_dir().as_deref())
    }

    /// STOPSIGNAL.
    pub fn stop_signal(&self) -> Option<&str> {
        said(self.config.config().as_ref()?.stop_signal().as_deref())
    }

    /// VOLUME.
    pub fn volumes(&self) -> &[String] {
        self.config
            .config()
            .as_ref()
            .and_then(|config| config.volumes().as_deref())
            .unwrap_or_default()
    }

    /// A failure that blames this image's configuration for `what`.
    pub fn refuse(&self, what: String) -> Failure {
        Failure::new(
            Kind::Image,
            format!("image {} cannot be run: its {what} is unusable", self.name),
        )
    }
}

fn said(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}
