//! The fields of a form, and how they become a type: its names, its numbers, its lists.

use serde::de::value::{MapAccessDeserializer, SeqDeserializer, StringDeserializer};
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::{Failure, MAX_FIELD_BYTES, MAX_FIELDS};

/// Fields by name, in order of first appearance, each with all its values.
#[derive(Default)]
pub(super) struct Fields {
    named: Vec<(String, Vec<Value>)>,
    texts: usize,
}

enum Value {
    Text(String),
    /// The number of a picture.
    Picture(u64),
}

impl Fields {
    /// Adds a text.
    pub fn text(&mut self, name: String, text: String) -> Result<(), Failure> {
        if text.len() > MAX_FIELD_BYTES || name.len() > MAX_FIELD_BYTES {
            let name: String = name.chars().take(64).collect();
            return Err(Failure::too_large(&format!("the field {name:?}"), MAX_FIELD_BYTES));
        }
        if self.texts == MAX_FIELDS {
            return Err(Failure::bad_request("too_many_fields", format!("more than {MAX_FIELDS} fields")));
        }
        self.texts += 1;
        self.push(&name, Value::Text(text));
        Ok(())
    }

    /// Adds a picture by its number.
    pub fn picture(&mut self, name: &str, number: usize) {
        self.push(name, Value::Picture(number as u64));
    }

    fn push(&mut self, name: &str, value: Value) {
        match self.named.iter_mut().find(|(known, _)| known == name) {
            Some((_, values)) => values.push(value),
            None => self.named.push((name.to_owned(), vec![value])),
        }
    }

    /// All of them as `T`.
    pub fn read<T: DeserializeOwned>(self) -> Result<T, Failure> {
        let named = Named { rest: self.named.into_iter(), current: None };
        T::deserialize(MapAccessDeserializer::new(named)).map_err(|misfit| misfit.0)
    }
}

/// A picture's field that holds text.
pub(super) fn sent_as_text(name: &str) -> Failure {
    Failure::bad_request("no_picture", format!("{name} is sent as a text field, expected a file"))
        .hint("give the part a filename or an image/* type; the server opens no path or URL")
}

/// Why fields are not a `T`.
#[derive(Debug)]
struct Misfit(Failure);

impl std::fmt::Display for Misfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl std::error::Error for Misfit {}

impl serde::de::Error for Misfit {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(Failure::bad_request("bad_field", message.to_string()))
    }

    fn missing_field(field: &'static str) -> Self {
        let code = if field == "image" { "no_picture" } else { "bad_field" };
        Self(Failure::bad_request(code, format!("{field} is missing")))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let field: String = field.chars().take(64).collect();
        let message = format!("unknown field {field:?}, expected {}", expected.join(", "));
        Self(Failure::bad_request("unknown_field", message))
    }
}

fn bad(name: &str, found: &str, expected: &str) -> Misfit {
    let found: String = found.chars().take(100).collect();
    Misfit(Failure::bad_request("bad_field", format!("{name} is {found:?}, expected {expected}")))
}

struct Named {
    rest: std::vec::IntoIter<(String, Vec<Value>)>,
    current: Option<(String, Vec<Value>)>,
}

impl<'de> MapAccess<'de> for Named {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        let Some((name, values)) = self.rest.next() else { return Ok(None) };
        let key: StringDeserializer<Misfit> = name.clone().into_deserializer();
        let read = seed.deserialize(key).map_err(|misfit| match values.first() {
            // A picture under a name that is not known is the picture that the client meant.
            Some(Value::Picture(_)) => {
                let name: String = name.chars().take(64).collect();
                let message = format!("no picture can be sent as {name:?}, expected one called image");
                Misfit(Failure::bad_request("no_picture", message))
            }
            _ => misfit,
        })?;
        self.current = Some((name, values));
        Ok(Some(read))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        let (name, values) = self.current.take().unwrap_or_default();
        seed.deserialize(Values { name, values })
    }
}

/// All values of one field.
struct Values {
    name: String,
    values: Vec<Value>,
}

impl Values {
    fn one(mut self) -> Result<One, Misfit> {
        match (self.values.pop(), self.values.len()) {
            (Some(value), 0) => Ok(One { name: self.name, value }),
            (_, others) => Err(Misfit(Failure::bad_request(
                "bad_field",
                format!("{} is given {} times, expected once", self.name, others + 1),
            ))),
        }
    }

    /// Fields of a page's form that were left empty are as good as not there.
    fn without_blank(mut self) -> Self {
        self.values.retain(|value| !matches!(value, Value::Text(text) if text.trim().is_empty()));
        self
    }
}

macro_rules! of_one {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            self.one()?.$method(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Values {
    type Error = Misfit;

    of_one!(deserialize_any deserialize_string deserialize_u64 deserialize_u32 deserialize_f32 deserialize_bytes);

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let given = self.without_blank();
        if given.values.is_empty() { visitor.visit_none() } else { visitor.visit_some(given) }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let Self { name, values } = self.without_blank();
        let each = values.into_iter().map(|value| One { name: name.clone(), value });
        visitor.visit_seq(SeqDeserializer::new(each))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.one()?.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u128 f64 char str byte_buf unit unit_struct newtype_struct tuple tuple_struct map
        struct identifier ignored_any
    }
}

/// One value of a field.
struct One {
    name: String,
    value: Value,
}

impl One {
    fn text(self) -> Result<(String, String), Misfit> {
        match self.value {
            Value::Text(text) => Ok((self.name, text)),
            Value::Picture(_) => Err(bad(&self.name, "a file", "a text")),
        }
    }

    fn number<T: std::str::FromStr>(self, expected: &str) -> Result<T, Misfit> {
        let (name, text) = self.text()?;
        text.trim().parse().map_err(|_| bad(&name, &text, expected))
    }
}

impl<'de> IntoDeserializer<'de, Misfit> for One {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for One {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_string(self.text()?.1)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_u64(self.number("a whole number")?)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_u32(self.number("a whole number")?)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_f32(self.number("a number")?)
    }

    /// A picture, by its number.
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.value {
            Value::Picture(number) => visitor.visit_u64(number),
            Value::Text(_) => Err(Misfit(sent_as_text(&self.name))),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let (name, text) = self.text()?;
        if !variants.contains(&text.as_str()) {
            return Err(bad(&name, &text, &variants.join(" or ")));
        }
        visitor.visit_enum(IntoDeserializer::<Misfit>::into_deserializer(text))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u128 f64 char str string byte_buf option unit unit_struct newtype_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}
