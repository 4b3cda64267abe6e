//! Names of files that others wrote, as messages quote them.

/// A name of the file's, cut to what fits into a message, on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Short(String);

impl Short {
    /// Far more than any setting's name.
    const LENGTH: usize = 60;

    pub(super) fn new(name: &str) -> Self {
        let one_line = |c: char| {
            if c.is_whitespace() || c.is_control() {
                ' '
            } else {
                c
            }
        };
        let mut rest = name.chars();
        let mut short: String = rest.by_ref().take(Self::LENGTH).map(one_line).collect();
        if rest.next().is_some() {
            short.push('…');
        }
        Self(short)
    }
}

impl std::fmt::Display for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_and_stays_on_one_line() {
        let short = Short::new(&format!("a\n\x1b{}", "é".repeat(100))).to_string();
        assert!(
            short.starts_with("a  é") && short.ends_with("é…"),
            "{short}"
        );
        assert_eq!(short.chars().count(), 61);
    }
}
