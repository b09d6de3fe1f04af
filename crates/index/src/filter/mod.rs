//! The filter language: which of the indexed images a search may return.
//!
//! It exists so that a command line, a URL and a web page can all say the same thing in one line of text. It is a language
//! of conditions alone: no arithmetic, no functions, no joins.
//!
//! ```text
//! filter     = conjunction { "or" conjunction }
//! conjunction= negation { "and" negation }
//! negation   = "not" negation | "(" filter ")" | condition
//! condition  = field comparison value
//!            | field [ "not" ] "in" "(" value { "," value } ")"
//!            | field "is" [ "not" ] "missing"
//! comparison = "=" | "!=" | "<" | "<=" | ">" | ">=" | "~" | "!~"
//! field      = word | quoted            the name of a payload field: label, path, width, a CSV column
//! value      = word | quoted
//! word       = letters, digits and any of _ - . / : % + * ? @ #
//! quoted     = '...' or "...", in which \ makes the next character literal
//! ```
//!
//! Keywords are case-blind; `not` binds tighter than `and`, `and` tighter than `or`. What a condition means:
//!
//! - A field holds a number or text. `<`, `<=`, `>`, `>=` compare numbers with numbers and text with text by its bytes; a
//!   number and a text have no order, so such a comparison is false.
//! - `=` compares numbers as numbers where both sides are numbers, and the text otherwise.
//! - `~` matches the whole text against a pattern in which `*` stands for any characters and `?` for one, blind to case.
//! - A condition on a field that is missing is false; `!=`, `!~` and `not in` are the negations of `=`, `~` and `in`, so
//!   they are true there. `is missing` asks for just that.

mod condition;
mod error;
mod evaluate;
mod lexer;
mod parser;

use std::fmt;
use std::str::FromStr;

pub use condition::{Comparison, Condition, Literal, Pattern};
pub use error::FilterError;

/// Longest text that is parsed, in bytes.
pub const MAX_FILTER_BYTES: usize = 16 << 10;

/// Deepest nesting of parentheses and `not`.
pub const MAX_FILTER_DEPTH: usize = 64;

/// A parsed filter.
///
/// # Example
/// ```
/// use kinsight_index::{Filter, Payload, Value};
///
/// let filter: Filter = "label = shoe and (width > 500 or not color in (red, 'dark blue'))".parse()?;
/// let mut payload = Payload::new();
/// payload.insert("label".into(), Value::from("shoe"));
/// payload.insert("width".into(), Value::from(640.0));
/// assert!(filter.matches(&payload));
///
/// let error = "label = shoe and width >".parse::<Filter>().unwrap_err();
/// assert_eq!(error.position, 24);
/// # Ok::<(), kinsight_index::FilterError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// All of them hold; true when empty.
    All(Vec<Filter>),
    /// At least one of them holds; false when empty.
    Any(Vec<Filter>),
    /// It does not hold.
    Not(Box<Filter>),
    /// One condition on one field.
    Field {
        /// The payload field.
        name: String,
        /// What is asked of it.
        condition: Condition,
    },
}

impl Filter {
    /// The field `name` equals `text`.
    pub fn equals(name: impl Into<String>, text: impl Into<String>) -> Self {
        let condition = Condition::Compare(Comparison::Equal, Literal::new(text));
        Self::Field { name: name.into(), condition }
    }

    /// Both hold.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match self {
            Self::All(mut all) => {
                all.push(other);
                Self::All(all)
            }
            single => Self::All(vec![single, other]),
        }
    }

    /// Names of the fields it asks about, each once, in byte order.
    pub fn fields(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.collect_fields(&mut names);
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Values that it looks at among `rows` rows: the number of its conditions times the rows. An equality counts a hundredth,
    /// because it is looked up.
    pub fn cost(&self, rows: usize) -> u64 {
        let rows = rows as u64;
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().map(|part| part.cost(rows as usize)).sum(),
            Self::Not(inner) => inner.cost(rows as usize),
            Self::Field { condition, .. } => match condition {
                Condition::Compare(Comparison::Equal, _) => rows.div_ceil(100),
                Condition::In(values) => values.len() as u64 * rows.div_ceil(100),
                Condition::Compare(..) | Condition::Like(_) | Condition::Missing => rows,
            },
        }
    }

    fn collect_fields<'a>(&'a self, names: &mut Vec<&'a str>) {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.collect_fields(names)),
            Self::Not(inner) => inner.collect_fields(names),
            Self::Field { name, .. } => names.push(name),
        }
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        parser::parse(text)
    }
}

/// Writes a text that parses to the same filter.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The grammar has no empty conjunction: one that is always true, and one that never is.
            Self::All(parts) if parts.is_empty() => f.write_str("not (path is missing and path is not missing)"),
            Self::Any(parts) if parts.is_empty() => f.write_str("path is missing and path is not missing"),
            Self::All(parts) => write_joined(f, parts, " and "),
            Self::Any(parts) => write_joined(f, parts, " or "),
            Self::Not(inner) => write!(f, "not ({inner})"),
            Self::Field { name, condition } => {
                lexer::write_word(f, name)?;
                write!(f, " {condition}")
            }
        }
    }
}

fn write_joined(f: &mut fmt::Formatter<'_>, parts: &[Filter], separator: &str) -> fmt::Result {
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            f.write_str(separator)?;
        }
        match part {
            Filter::Field { .. } => write!(f, "{part}")?,
            _ => write!(f, "({part})")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
