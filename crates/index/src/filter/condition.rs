//! One condition on one payload field.

use std::fmt;

use super::lexer::write_word;

/// What a filter asks of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// The field compared with a value.
    Compare(Comparison, Literal),
    /// The text matches a pattern of `*` and `?`, blind to case.
    Like(Pattern),
    /// The field equals one of these.
    In(Vec<Literal>),
    /// The payload has no such field.
    Missing,
}

/// `=`, `<`, `<=`, `>`, `>=`; `!=` is a negated `=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// A value as written in a filter: always text, and a number too where it reads as one.
#[derive(Clone, Debug, PartialEq)]
pub struct Literal {
    text: String,
    number: Option<f64>,
}

impl Literal {
    /// The value written as `text`.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let number = crate::payload::plain_number(&text);
        Self { text, number }
    }

    /// As written, without quotes.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The number it reads as.
    pub fn number(&self) -> Option<f64> {
        self.number
    }
}

/// A text in which `*` stands for any characters and `?` for one, compared without regard to case.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    text: String,
    /// Lower-cased once, not for each value that it is compared with.
    characters: Vec<char>,
}

impl Pattern {
    /// The pattern written as `text`.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let characters = text.chars().flat_map(char::to_lowercase).collect();
        Self { text, characters }
    }

    /// As written, without quotes.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether all of `text` fits it.
    ///
    /// Greedy with one place to fall back to, so the time is at most the product of the lengths, whatever the pattern.
    pub fn matches(&self, text: &str) -> bool {
        let mut rest = text.chars().flat_map(char::to_lowercase);
        let (mut place, mut fall_back) = (0, None);
        loop {
            let mut after = rest.clone();
            let Some(character) = after.next() else {
                return self.characters[place..].iter().all(|&character| character == '*');
            };
            match self.characters.get(place) {
                Some('*') => {
                    place += 1;
                    fall_back = Some((place, rest.clone()));
                }
                Some(&expected) if expected == '?' || expected == character => {
                    place += 1;
                    rest = after;
                }
                _ => {
                    let Some((after_star, from)) = &mut fall_back else { return false };
                    from.next();
                    (place, rest) = (*after_star, from.clone());
                }
            }
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compare(comparison, value) => {
                write!(f, "{comparison} ")?;
                write_word(f, value.text())
            }
            Self::Like(pattern) => {
                f.write_str("~ ")?;
                write_word(f, pattern.text())
            }
            Self::In(values) => {
                f.write_str("in (")?;
                for (i, value) in values.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    write_word(f, value.text())?;
                }
                f.write_str(")")
            }
            Self::Missing => f.write_str("is missing"),
        }
    }
}
