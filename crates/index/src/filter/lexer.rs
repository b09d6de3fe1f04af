//! Cuts a filter's text into tokens, each with its place.

use std::fmt;

use super::{FilterError, MAX_FILTER_BYTES};

/// A token and the byte offset at which it starts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub start: usize,
    pub kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// A bare word: a name, a value, or a keyword.
    Word(String),
    /// A quoted text: never a keyword.
    Quoted(String),
    /// A comparison sign.
    Sign(&'static str),
    Open,
    Close,
    Comma,
    End,
}

impl Kind {
    /// For "found ..." in a message.
    pub fn described(&self) -> String {
        match self {
            Self::Word(text) => format!("{text:?}"),
            Self::Quoted(text) => format!("text {text:?}"),
            Self::Sign(sign) => format!("{sign:?}"),
            Self::Open => "\"(\"".to_owned(),
            Self::Close => "\")\"".to_owned(),
            Self::Comma => "\",\"".to_owned(),
            Self::End => "the end".to_owned(),
        }
    }

    /// Whether it is this keyword, in any case.
    pub fn is_keyword(&self, keyword: &str) -> bool {
        matches!(self, Self::Word(word) if word.eq_ignore_ascii_case(keyword))
    }
}

/// Longest first, so that `<=` is not read as `<` and `=`.
const SIGNS: [(&str, &str); 10] = [
    ("==", "="),
    ("!=", "!="),
    ("<>", "!="),
    ("<=", "<="),
    (">=", ">="),
    ("!~", "!~"),
    ("=", "="),
    ("<", "<"),
    (">", ">"),
    ("~", "~"),
];

/// Words that mean something; as a name or a value they must be quoted.
pub(super) const KEYWORDS: [&str; 5] = ["and", "or", "not", "in", "is"];

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, FilterError> {
    if text.len() > MAX_FILTER_BYTES {
        let message = format!("{} bytes long, expected at most {MAX_FILTER_BYTES}", text.len());
        return Err(FilterError::new(text, 0, message));
    }
    let mut found = Vec::new();
    let mut start = 0;
    while let Some(next) = text[start..].chars().next() {
        if next.is_whitespace() {
            start += next.len_utf8();
            continue;
        }
        let rest = &text[start..];
        let (kind, length) = if let Some((sign, meaning)) = SIGNS.iter().find(|(sign, _)| rest.starts_with(sign)) {
            (Kind::Sign(meaning), sign.len())
        } else if matches!(next, '\'' | '"') {
            quoted(text, start, next)?
        } else if is_word_character(next) {
            let length = rest.find(|c| !is_word_character(c)).unwrap_or(rest.len());
            (Kind::Word(rest[..length].to_owned()), length)
        } else {
            let kind = match next {
                '(' => Kind::Open,
                ')' => Kind::Close,
                ',' => Kind::Comma,
                _ => {
                    let message = format!("unexpected character {next:?}; quote values that contain it");
                    return Err(FilterError::new(text, start, message));
                }
            };
            (kind, 1)
        };
        found.push(Token { start, kind });
        start += length;
    }
    found.push(Token { start: text.len(), kind: Kind::End });
    Ok(found)
}

fn quoted(text: &str, start: usize, quote: char) -> Result<(Kind, usize), FilterError> {
    let mut content = String::new();
    let mut characters = text[start + 1..].char_indices();
    while let Some((offset, character)) = characters.next() {
        match character {
            _ if character == quote => return Ok((Kind::Quoted(content), offset + 2)),
            '\\' => match characters.next() {
                Some((_, escaped)) => content.push(escaped),
                None => break,
            },
            _ => content.push(character),
        }
    }
    Err(FilterError::new(text, start, format!("the quote {quote} is never closed")))
}

fn is_word_character(character: char) -> bool {
    character.is_alphanumeric() || "_-./:%+*?@#".contains(character)
}

/// Writes `text` so that it is read back as one name or value.
pub(super) fn write_word(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let bare = !text.is_empty()
        && text.chars().all(is_word_character)
        && !KEYWORDS.iter().any(|keyword| text.eq_ignore_ascii_case(keyword));
    if bare {
        return f.write_str(text);
    }
    f.write_str("'")?;
    for character in text.chars() {
        if matches!(character, '\'' | '\\') {
            f.write_str("\\")?;
        }
        write!(f, "{character}")?;
    }
    f.write_str("'")
}
