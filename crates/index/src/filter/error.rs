//! What is wrong with a filter, and where.

use std::fmt;

/// A filter that cannot be understood; shown with the place marked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct FilterError {
    /// The filter as given.
    pub text: String,
    /// Byte offset of the offending place, at a character boundary; the text's length for its end.
    pub position: usize,
    /// What is wrong there, and what was expected.
    pub message: String,
}

impl FilterError {
    pub(super) fn new(text: &str, position: usize, message: impl Into<String>) -> Self {
        Self { text: text.to_owned(), position: position.min(text.len()), message: message.into() }
    }

    /// Number of the offending character, from 1.
    pub fn column(&self) -> usize {
        self.text.get(..self.position).map_or(1, |before| before.chars().count() + 1)
    }
}

/// ```text
/// filter, column 25: expected a value after >, found the end
///   label = shoe and width >
///                           ^
/// ```
impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = self.column();
        write!(f, "filter, column {column}: {}", self.message)?;
        if self.text.chars().count() <= SHOWN && !self.text.contains(|c: char| c.is_control()) {
            write!(f, "\n  {}\n  {:indent$}^", self.text, "", indent = column - 1)?;
        }
        Ok(())
    }
}

/// A longer filter is not repeated in its error.
const SHOWN: usize = 160;
