//! A JSON object of texts, numbers and lists of these, read value by value: what is not kept takes no memory.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::fields::Fields;
use super::{Failure, malformed};

/// The fields of a body.
pub(super) fn parse(bytes: &[u8]) -> Result<Fields, Failure> {
    let (mut fields, mut fault) = (Fields::default(), None);
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let read = json.deserialize_map(Object { fields: &mut fields, fault: &mut fault }).and_then(|()| json.end());
    match (fault, read) {
        (Some(fault), _) => Err(fault),
        (None, Err(error)) => Err(malformed("JSON", &error.to_string())),
        (None, Ok(())) => Ok(fields),
    }
}

/// Puts the members of an object into `fields`; the first that is over a limit ends it.
struct Object<'a> {
    fields: &'a mut Fields,
    fault: &'a mut Option<Failure>,
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            members.next_value_seed(Member { name: &name, fields: &mut *self.fields, fault: &mut *self.fault })?;
        }
        Ok(())
    }
}

/// Puts one value, or each of a list, into `fields`.
struct Member<'a> {
    name: &'a str,
    fields: &'a mut Fields,
    fault: &'a mut Option<Failure>,
}

impl Member<'_> {
    fn put<E: Error>(self, text: String) -> Result<(), E> {
        self.fields.text(self.name.to_owned(), text).map_err(|fault| {
            *self.fault = Some(fault);
            E::custom("over a limit")
        })
    }
}

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a text or a number as {:?}", self.name)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.put(text.to_owned())
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<(), E> {
        self.put(flag.to_string())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.put(number.to_string())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.put(number.to_string())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.put(number.to_string())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        let Self { name, fields, fault } = self;
        while values.next_element_seed(Member { name, fields: &mut *fields, fault: &mut *fault })?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{MAX_FIELD_BYTES, MAX_FIELDS};
    use super::*;

    #[test]
    fn a_long_list_ends_at_the_limit_and_a_long_text_is_refused() {
        let list = format!("{{\"id\": [{}0]}}", "0,".repeat(4_000_000));
        let fault = format!("{:?}", parse(list.as_bytes()).err());
        assert!(fault.contains("too_many_fields") && fault.contains(&MAX_FIELDS.to_string()), "{fault}");
        let text = format!("{{\"where\": \"{}\"}}", "x".repeat(MAX_FIELD_BYTES + 1));
        assert!(format!("{:?}", parse(text.as_bytes()).err()).contains("too_large"));
        let nested = "[".repeat(100_000);
        assert!(format!("{:?}", parse(format!("{{\"id\": {nested}").as_bytes()).err()).contains("malformed_json"));
    }
}
