//! `%%` and `%(name)s`, as `configparser.BasicInterpolation` does them.
//!
//! In: a raw value and a way to look up names. Out: the text. A value is bounded however its
//! references multiply.

use std::sync::Arc;

use super::super::short::Short;
use super::problem::Broken;

/// `configparser.MAX_INTERPOLATION_DEPTH`.
const MAX_DEPTH: usize = 10;

/// What references may add, in bytes; Python sets no limit, and ten lines can fill any memory.
const MAX_ADDED: usize = 64 << 10;

/// A reference costs this much more than its text, so that empty ones come to an end too.
const COST_OF_REFERENCE: usize = 16;

/// What references may still add; shared by the values that are read together.
#[derive(Debug)]
pub(super) struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(MAX_ADDED)
    }
}

impl Budget {
    fn spend(&mut self, text: &str) -> Result<(), Broken> {
        let cost = text.len() + COST_OF_REFERENCE;
        self.0 = self
            .0
            .checked_sub(cost)
            .ok_or(Broken::TooLong { limit: MAX_ADDED })?;
        Ok(())
    }
}

/// The text of `raw`, with references looked up in lower case.
pub(super) fn interpolate<F>(
    raw: &Arc<str>,
    look_up: F,
    budget: &mut Budget,
) -> Result<Arc<str>, Broken>
where
    F: Fn(&str) -> Result<Option<Arc<str>>, Broken>,
{
    if !raw.contains('%') {
        return Ok(raw.clone());
    }
    let mut work = Work {
        look_up,
        budget,
        text: String::new(),
    };
    work.add(raw, 1)?;
    Ok(work.text.into())
}

struct Work<'a, F> {
    look_up: F,
    budget: &'a mut Budget,
    text: String,
}

impl<F> Work<'_, F>
where
    F: Fn(&str) -> Result<Option<Arc<str>>, Broken>,
{
    fn add(&mut self, raw: &str, depth: usize) -> Result<(), Broken> {
        if depth > MAX_DEPTH {
            return Err(Broken::TooDeep { limit: MAX_DEPTH });
        }
        let mut rest = raw;
        while let Some((before, after)) = rest.split_once('%') {
            self.text.push_str(before);
            rest = match (after.strip_prefix('%'), after.strip_prefix('(')) {
                (Some(after), _) => {
                    self.text.push('%');
                    after
                }
                (_, Some(after)) => self.reference(after, depth)?,
                _ => return Err(Broken::LonePercent),
            };
        }
        self.text.push_str(rest);
        Ok(())
    }

    /// Takes `name)s` from the front of `text`; what follows it is returned.
    fn reference<'t>(&mut self, text: &'t str, depth: usize) -> Result<&'t str, Broken> {
        let (name, after) = text.split_once(')').ok_or(Broken::BadReference)?;
        let after = after.strip_prefix('s').ok_or(Broken::BadReference)?;
        if name.is_empty() {
            return Err(Broken::BadReference);
        }
        self.budget.spend(name)?;
        let found = (self.look_up)(&name.to_lowercase())?;
        let found = found.ok_or_else(|| Broken::NoSuchOption {
            name: Short::new(name),
        })?;
        self.budget.spend(&found)?;
        match found.contains('%') {
            true => self.add(&found, depth + 1)?,
            false => self.text.push_str(&found),
        }
        Ok(after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(raw: &str, values: &[(&str, &str)]) -> Result<String, Broken> {
        let look_up = |name: &str| {
            let found = values.iter().find(|(key, _)| *key == name);
            Ok(found.map(|(_, value)| Arc::from(*value)))
        };
        let text = interpolate(&Arc::from(raw), look_up, &mut Budget::default())?;
        Ok(text.to_string())
    }

    #[test]
    fn a_reference_is_replaced_whatever_its_case() {
        let found = text("%(Base)s/x%%", &[("base", "%(root)s/b"), ("root", "/r")]);
        assert_eq!(found.unwrap(), "/r/b/x%");
    }

    #[test]
    fn a_percent_sign_alone_is_refused_with_the_remedy() {
        let why = text("100%", &[]).unwrap_err().to_string();
        assert!(why.contains("write %%"), "{why}");
        assert_eq!(text("%(a", &[]).unwrap_err(), Broken::BadReference);
    }

    #[test]
    fn a_circle_is_refused() {
        let why = text("%(a)s", &[("a", "%(b)s"), ("b", "%(a)s")]);
        assert_eq!(why.unwrap_err(), Broken::TooDeep { limit: 10 });
    }

    #[test]
    fn a_bomb_is_refused_even_if_it_makes_nothing() {
        let many = |name: &str| format!("%({name})s").repeat(30);
        let bomb = [many("b"), many("c"), many("d"), many("e"), String::new()];
        let values: Vec<_> = ["a", "b", "c", "d", "e"]
            .into_iter()
            .zip(bomb.iter().map(String::as_str))
            .collect();
        let limit = MAX_ADDED;
        assert_eq!(
            text("%(a)s", &values).unwrap_err(),
            Broken::TooLong { limit }
        );
    }
}
