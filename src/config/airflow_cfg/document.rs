//! An airflow.cfg as sections and settings, before any reference is followed.
//!
//! The names are those that Python compares: sections as written, keys in lower case.

use std::collections::HashMap;
use std::sync::Arc;

use super::problem::Broken;

/// The section that all others inherit from.
pub(super) const DEFAULT: &str = "DEFAULT";

/// One setting.
#[derive(Debug)]
pub(super) struct Setting {
    /// In lower case.
    pub key: String,
    /// As it is written.
    pub spelling: String,
    /// The line of its key.
    pub line: usize,
    /// Before interpolation.
    pub raw: Arc<str>,
}

/// The settings of one `[section]`.
#[derive(Debug, Default)]
pub(super) struct Section {
    settings: Vec<Setting>,
    by_key: HashMap<String, Place>,
}

/// Where a key is in [`Section::settings`], and where it is again in other letters: Airflow keeps
/// the case of keys, so the file is valid, but the value of a key in any case is not.
#[derive(Debug)]
struct Place {
    first: usize,
    twin: Option<usize>,
}

impl Section {
    /// The setting of a key in lower case.
    pub(super) fn find(&self, key: &str) -> Result<Option<&Setting>, Broken> {
        let Some(place) = self.by_key.get(key) else {
            return Ok(None);
        };
        let line = |at: usize| self.settings.get(at).map_or(0, |setting| setting.line);
        match place.twin {
            Some(twin) => Err(Broken::Twins {
                first: line(place.first),
                second: line(twin),
            }),
            None => Ok(self.settings.get(place.first)),
        }
    }

    /// All settings in the order of the file, each key once.
    pub(super) fn settings(&self) -> impl Iterator<Item = &Setting> {
        let is_first = |at: usize, setting: &Setting| {
            let place = self.by_key.get(&setting.key);
            place.is_some_and(|place| place.first == at)
        };
        let numbered = self.settings.iter().enumerate();
        numbered.filter_map(move |(at, setting)| is_first(at, setting).then_some(setting))
    }

    /// Adds a setting, whose exact spelling is new.
    pub(super) fn add(&mut self, setting: Setting) {
        let at = self.settings.len();
        let place = self.by_key.entry(setting.key.clone());
        place
            .and_modify(|place| place.twin = place.twin.or(Some(at)))
            .or_insert(Place {
                first: at,
                twin: None,
            });
        self.settings.push(setting);
    }
}

/// A whole file.
#[derive(Debug, Default)]
pub(super) struct Document {
    defaults: Section,
    sections: Vec<(String, usize, Section)>,
    by_name: HashMap<String, usize>,
}

impl Document {
    /// Names and lines of all sections but `[DEFAULT]`, in the order of the file.
    pub(super) fn sections(&self) -> impl Iterator<Item = (&str, usize)> {
        self.sections
            .iter()
            .map(|(name, line, _)| (name.as_str(), *line))
    }

    /// One section, without what it inherits.
    pub(super) fn section(&self, name: &str) -> Option<&Section> {
        if name == DEFAULT {
            return Some(&self.defaults);
        }
        let (_, _, section) = self.sections.get(*self.by_name.get(name)?)?;
        Some(section)
    }

    /// `[DEFAULT]`.
    pub(super) fn defaults(&self) -> &Section {
        &self.defaults
    }

    /// Begins a section; `Err` is the line of the one with that name.
    pub(super) fn begin(&mut self, name: &str, line: usize) -> Result<usize, usize> {
        if let Some((_, first, _)) = self.by_name.get(name).and_then(|at| self.sections.get(*at)) {
            return Err(*first);
        }
        let at = self.sections.len();
        self.by_name.insert(name.to_owned(), at);
        self.sections
            .push((name.to_owned(), line, Section::default()));
        Ok(at)
    }

    /// The section of a number from [`Document::begin`]; `[DEFAULT]` for none.
    pub(super) fn numbered(&mut self, number: Option<usize>) -> Option<&mut Section> {
        match number {
            Some(at) => self.sections.get_mut(at).map(|(_, _, section)| section),
            None => Some(&mut self.defaults),
        }
    }
}
