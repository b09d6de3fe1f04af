//! Tokens to a filter, by recursive descent along the grammar in the module's documentation.

use super::lexer::{KEYWORDS, Kind, Token, tokens};
use super::{Comparison, Condition, Filter, FilterError, Literal, MAX_FILTER_DEPTH, Pattern};

pub(super) fn parse(text: &str) -> Result<Filter, FilterError> {
    let mut parser = Parser { text, tokens: tokens(text)?, next: 0 };
    if *parser.peek() == Kind::End {
        return Err(parser.error("the filter is empty, expected a condition such as label = shoe"));
    }
    let filter = parser.disjunction(0)?;
    match parser.peek() {
        Kind::End => Ok(filter),
        Kind::Close => Err(parser.error("this \")\" has no \"(\"")),
        found => Err(parser.error(format!("expected \"and\", \"or\" or the end, found {}", found.described()))),
    }
}

struct Parser<'a> {
    text: &'a str,
    /// Ends with [`Kind::End`].
    tokens: Vec<Token>,
    next: usize,
}

impl Parser<'_> {
    fn disjunction(&mut self, depth: usize) -> Result<Filter, FilterError> {
        let mut parts = vec![self.conjunction(depth)?];
        while self.take_keyword("or") {
            parts.push(self.conjunction(depth)?);
        }
        Ok(single_or(parts, Filter::Any))
    }

    fn conjunction(&mut self, depth: usize) -> Result<Filter, FilterError> {
        let mut parts = vec![self.negation(depth)?];
        while self.take_keyword("and") {
            parts.push(self.negation(depth)?);
        }
        Ok(single_or(parts, Filter::All))
    }

    fn negation(&mut self, depth: usize) -> Result<Filter, FilterError> {
        if depth > MAX_FILTER_DEPTH {
            return Err(self.error(format!("nested deeper than {MAX_FILTER_DEPTH} levels")));
        }
        if self.take_keyword("not") {
            return Ok(Filter::Not(Box::new(self.negation(depth + 1)?)));
        }
        if *self.peek() == Kind::Open {
            let opened = self.advance().start;
            let filter = self.disjunction(depth + 1)?;
            if *self.peek() != Kind::Close {
                let (place, found) = (self.tokens[self.next].start, self.peek().described());
                let opened = self.text[..opened].chars().count() + 1;
                let message = format!("expected \")\" for the \"(\" in column {opened}, found {found}");
                return Err(FilterError::new(self.text, place, message));
            }
            self.advance();
            return Ok(filter);
        }
        self.field()
    }

    fn field(&mut self) -> Result<Filter, FilterError> {
        let name = self.word("the name of a field")?;
        let field = |condition| Filter::Field { name: name.clone(), condition };
        let negated = |condition| Filter::Not(Box::new(field(condition)));
        if self.take_keyword("is") {
            let not = self.take_keyword("not");
            if !self.take_keyword("missing") {
                return Err(self.expected("\"missing\""));
            }
            return Ok(if not { negated(Condition::Missing) } else { field(Condition::Missing) });
        }
        if self.peek().is_keyword("not") {
            self.advance();
            if !self.peek().is_keyword("in") {
                return Err(self.expected("\"in\" after \"not\""));
            }
            return Ok(negated(self.list()?));
        }
        if self.peek().is_keyword("in") {
            return Ok(field(self.list()?));
        }
        let Kind::Sign(sign) = *self.peek() else {
            return Err(self.expected(format!("a comparison after {name:?}: =, !=, <, <=, >, >=, ~, in, is missing")));
        };
        self.advance();
        let value = Literal::new(self.word(&format!("a value after {sign}"))?);
        Ok(match sign {
            "=" => field(Condition::Compare(Comparison::Equal, value)),
            "!=" => negated(Condition::Compare(Comparison::Equal, value)),
            "<" => field(Condition::Compare(Comparison::Less, value)),
            "<=" => field(Condition::Compare(Comparison::LessOrEqual, value)),
            ">" => field(Condition::Compare(Comparison::Greater, value)),
            ">=" => field(Condition::Compare(Comparison::GreaterOrEqual, value)),
            "~" => field(Condition::Like(Pattern::new(value.text()))),
            _ => negated(Condition::Like(Pattern::new(value.text()))),
        })
    }

    /// `in (a, b, c)`
    fn list(&mut self) -> Result<Condition, FilterError> {
        self.advance();
        if *self.peek() != Kind::Open {
            return Err(self.expected("\"(\" after \"in\""));
        }
        self.advance();
        let mut values = vec![Literal::new(self.word("a value")?)];
        loop {
            match self.peek() {
                Kind::Comma => {
                    self.advance();
                    values.push(Literal::new(self.word("a value after \",\"")?));
                }
                Kind::Close => {
                    self.advance();
                    return Ok(Condition::In(values));
                }
                _ => return Err(self.expected("\",\" or \")\"")),
            }
        }
    }

    /// A word or quoted text.
    fn word(&mut self, expected: &str) -> Result<String, FilterError> {
        match self.peek() {
            Kind::Word(word) if KEYWORDS.iter().any(|keyword| word.eq_ignore_ascii_case(keyword)) => {
                Err(self.error(format!("expected {expected}, found the keyword {word:?}; quote it to use it as text")))
            }
            Kind::Word(text) | Kind::Quoted(text) => {
                let text = text.clone();
                self.advance();
                Ok(text)
            }
            _ => Err(self.expected(expected)),
        }
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        let found = self.peek().is_keyword(keyword);
        if found {
            self.advance();
        }
        found
    }

    fn peek(&self) -> &Kind {
        &self.tokens[self.next].kind
    }

    /// The token in hand; the end is never passed.
    fn advance(&mut self) -> &Token {
        let taken = self.next;
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        &self.tokens[taken]
    }

    fn expected(&self, expected: impl AsRef<str>) -> FilterError {
        self.error(format!("expected {}, found {}", expected.as_ref(), self.peek().described()))
    }

    fn error(&self, message: impl Into<String>) -> FilterError {
        FilterError::new(self.text, self.tokens[self.next].start, message)
    }
}

fn single_or(mut parts: Vec<Filter>, join: impl FnOnce(Vec<Filter>) -> Filter) -> Filter {
    if parts.len() == 1 { parts.remove(0) } else { join(parts) }
}
