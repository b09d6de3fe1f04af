//! Text from users on its way into HTML.
//!
//! A class name is whatever somebody called a folder. [`Text`] makes any string safe both between tags and inside a
//! double-quoted attribute, the only two places where the report puts one; strings never go into scripts, styles,
//! URLs or identifiers.

use std::fmt::{self, Display, Formatter, Write};

/// Displays a string as HTML text.
///
/// Besides the five characters with a meaning in HTML it replaces control characters, which HTML forbids, and the
/// bidirectional overrides, with which a name could change how the text around it reads.
#[derive(Clone, Copy)]
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => f.write_char(character)?,
                _ if character.is_control() || is_bidi_control(character) => f.write_char('\u{fffd}')?,
                _ => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

fn is_bidi_control(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::Text;

    fn check(raw: &str, expected: &str) {
        assert_eq!(Text(raw).to_string(), expected);
    }

    #[test]
    fn markup_becomes_text() {
        check("<b onclick=\"x('1')\">&amp;", "&lt;b onclick=&quot;x(&#39;1&#39;)&quot;&gt;&amp;amp;");
    }

    #[test]
    fn control_and_direction_characters_are_replaced() {
        check("a\0b\u{1b}c\u{85}d\r\n", "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}\n");
        check("cat\u{202e}gpj.exe\u{2066}", "cat\u{fffd}gpj.exe\u{fffd}");
    }

    #[test]
    fn other_scripts_and_emoji_are_kept() {
        check("Zürich 東京 שלום 👩‍🔬", "Zürich 東京 שלום 👩‍🔬");
    }
}
