//! What one probe found.

use serde::Serialize;

/// How good or bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// Usable, with something to know.
    Warn,
    /// Not there, or not usable.
    Missing,
}

impl State {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Missing => "missing",
        }
    }
}

/// Whether airtight can do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Required,
    Optional,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at; programs may rely on these names.
    check: &'static str,
    state: State,
    /// What is there.
    found: String,
    /// What it means, and what to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
    #[serde(skip)]
    need: Need,
}

impl Finding {
    fn new(check: &'static str, state: State, found: impl Into<String>) -> Self {
        Self {
            check,
            state,
            found: found.into(),
            advice: None,
            need: Need::Optional,
        }
    }

    /// As it should be.
    pub fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self::new(check, State::Ok, found)
    }

    /// Usable, with something to know.
    pub fn warn(check: &'static str, found: impl Into<String>) -> Self {
        Self::new(check, State::Warn, found)
    }

    /// Not there, or not usable.
    pub fn missing(check: &'static str, found: impl Into<String>) -> Self {
        Self::new(check, State::Missing, found)
    }

    /// Adds what it means.
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Without it airtight can run nothing.
    pub fn required(mut self) -> Self {
        self.need = Need::Required;
        self
    }

    /// It is missing, and required.
    pub fn is_fatal(&self) -> bool {
        self.need == Need::Required && self.state == State::Missing
    }

    /// The cells of its line.
    pub fn cells(&self) -> [&str; 4] {
        let advice = self.advice.as_deref().unwrap_or("");
        [self.state.word(), self.check, &self.found, advice]
    }

    #[cfg(test)]
    pub fn state(&self) -> State {
        self.state
    }
}
