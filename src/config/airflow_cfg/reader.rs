//! From the text of an airflow.cfg to its [`Document`], line by line.
//!
//! In: text. Out: the document, or what Python's `configparser` would raise first. It does what
//! `RawConfigParser._read` of Python 3.11 does with `strict` and `empty_lines_in_values` on, which
//! is how Airflow 2 and 3 use it. Python 3.10 to 3.13 agree; 3.9 ends a header at its first `]`.

use std::collections::HashMap;

use super::super::short::Short;
use super::document::{DEFAULT, Document, Setting};
use super::problem::{Misread, Problem};
use super::python;

/// Sections, settings, and the further lines of settings, which may be values of their own. Airflow's
/// own file has 360; with the limit a hostile one costs neither memory nor a second.
const MAX_ITEMS: usize = 5000;

/// Reads the text of a file, which may end its lines in any way.
pub(super) fn parse(text: &str) -> Result<Document, Misread> {
    let mut reader = Reader::default();
    for (index, line) in python::lines(text).enumerate() {
        let number = index + 1;
        reader.line(line, number).map_err(|problem| Misread {
            line: number,
            problem,
        })?;
    }
    reader.end()
}

/// What is known between two lines.
#[derive(Default)]
struct Reader {
    document: Document,
    items: usize,
    indent: usize,
    /// `None` before the first header; then the section's number, or `None` for `[DEFAULT]`.
    section: Option<Option<usize>>,
    setting: Option<Open>,
    /// Exact spellings, for duplicates: Airflow's parser tells `a` from `A`.
    seen: HashMap<(Option<usize>, String), usize>,
    /// Python goes on after a line that is no setting, and reports it if nothing worse follows.
    bogus: Option<Misread>,
}

/// A setting that may still grow by continuation lines.
struct Open {
    spelling: String,
    line: usize,
    value: String,
}

impl Reader {
    fn line(&mut self, line: &str, number: usize) -> Result<(), Problem> {
        let text = python::strip(line);
        if text.starts_with(['#', ';']) {
            return Ok(());
        }
        if text.is_empty() {
            if let Some(setting) = &mut self.setting {
                setting.value.push('\n');
            }
            return Ok(());
        }
        let indent = line.chars().take_while(|c| python::is_space(*c)).count();
        if indent > self.indent
            && let Some(setting) = &mut self.setting
        {
            setting.value.push('\n');
            setting.value.push_str(text);
            return self.count_item();
        }
        self.indent = indent;
        if let Some(name) = header(text) {
            return self.begin_section(name, number);
        }
        if self.section.is_none() {
            return Err(match line.starts_with('\u{feff}') && number == 1 {
                true => Problem::ByteOrderMark,
                false => Problem::NoHeader,
            });
        }
        self.begin_setting(text, number)
    }

    fn begin_section(&mut self, name: &str, line: usize) -> Result<(), Problem> {
        self.finish_setting();
        if name == DEFAULT {
            self.section = Some(None);
            return Ok(());
        }
        self.count_item()?;
        let at = self.document.begin(name, line);
        let at = at.map_err(|first| Problem::SectionTwice {
            name: Short::new(name),
            first,
        })?;
        self.section = Some(Some(at));
        Ok(())
    }

    fn begin_setting(&mut self, text: &str, line: usize) -> Result<(), Problem> {
        let Some((key, value)) = text.split_once(['=', ':']) else {
            self.note_bogus(line, Problem::NoDelimiter);
            return Ok(());
        };
        let key = python::strip_end(key);
        if key.is_empty() {
            self.note_bogus(line, Problem::NoKey);
        }
        self.count_item()?;
        let exact = (self.section.flatten(), key.to_owned());
        if let Some(first) = self.seen.insert(exact, line) {
            let key = Short::new(key);
            return Err(Problem::KeyTwice { key, first });
        }
        self.finish_setting();
        // An empty key takes no continuation lines.
        self.setting = (!key.is_empty()).then(|| Open {
            spelling: key.to_owned(),
            line,
            value: python::strip(value).to_owned(),
        });
        Ok(())
    }

    fn note_bogus(&mut self, line: usize, problem: Problem) {
        self.bogus.get_or_insert(Misread { line, problem });
    }

    fn count_item(&mut self) -> Result<(), Problem> {
        self.items += 1;
        match self.items > MAX_ITEMS {
            true => Err(Problem::TooMany { limit: MAX_ITEMS }),
            false => Ok(()),
        }
    }

    fn finish_setting(&mut self) {
        let Some(open) = self.setting.take() else {
            return;
        };
        if let Some(section) = self.document.numbered(self.section.flatten()) {
            section.add(Setting {
                key: open.spelling.to_lowercase(),
                spelling: open.spelling,
                line: open.line,
                raw: python::strip_end(&open.value).into(),
            });
        }
    }

    fn end(mut self) -> Result<Document, Misread> {
        self.finish_setting();
        match self.bogus {
            Some(misread) => Err(misread),
            None => Ok(self.document),
        }
    }
}

/// `[name]`: up to the last `]` of the line; what follows it is ignored.
fn header(text: &str) -> Option<&str> {
    let (name, _) = text.strip_prefix('[')?.rsplit_once(']')?;
    Some(name).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::problem::Broken;
    use super::*;

    fn parse(text: &str) -> Result<Document, (usize, Problem)> {
        super::parse(text).map_err(|misread| (misread.line, misread.problem))
    }

    #[test]
    fn a_setting_keeps_the_line_of_its_key() {
        let document = parse("# c\n[s]\n\nKey = a\n  b\n\nNext: c\n").unwrap();
        assert_eq!(document.sections().collect::<Vec<_>>(), [("s", 2)]);
        let section = document.section("s").unwrap();
        let key = section.find("key").unwrap().unwrap();
        assert_eq!((key.line, &*key.raw), (4, "a\nb"));
        assert_eq!(section.find("next").unwrap().unwrap().line, 7);
    }

    #[test]
    fn a_comment_after_a_header_counts_as_none_unless_it_has_a_bracket() {
        assert_eq!(header("[a] # b"), Some("a"));
        assert_eq!(header("[a] # [b]"), Some("a] # [b"));
        assert_eq!(header("[]"), None);
    }

    #[test]
    fn a_key_in_two_spellings_spoils_that_key_only() {
        let document = parse("[s]\na = 1\nA = 2\nb = 3\n").unwrap();
        let section = document.section("s").unwrap();
        assert_eq!(
            section.find("a").unwrap_err(),
            Broken::Twins {
                first: 2,
                second: 3
            }
        );
        assert_eq!(&*section.find("b").unwrap().unwrap().raw, "3");
        assert_eq!(section.settings().count(), 2);
    }

    #[test]
    fn duplicates_name_both_lines() {
        let (line, problem) = parse("[s]\na = 1\n\na = 2\n").unwrap_err();
        assert_eq!(
            (line, problem.to_string().as_str()),
            (4, "a is there already, at line 2")
        );
        let (line, problem) = parse("[s]\n[t]\n[s]\n").unwrap_err();
        let expected = "section [s] is there already, at line 1";
        assert_eq!((line, problem.to_string().as_str()), (3, expected));
    }

    #[test]
    fn too_many_settings_are_refused() {
        let mut text = String::from("[s]\n");
        (0..MAX_ITEMS).for_each(|n| text.push_str(&format!("k{n}=\n")));
        assert_eq!(
            parse(&text).unwrap_err(),
            (MAX_ITEMS + 1, Problem::TooMany { limit: MAX_ITEMS })
        );
        let lines = format!("[s]\nk =\n{}", " x\n".repeat(MAX_ITEMS));
        assert_eq!(
            parse(&lines).unwrap_err(),
            (MAX_ITEMS + 1, Problem::TooMany { limit: MAX_ITEMS })
        );
    }
}
