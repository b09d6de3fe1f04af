//! Whether a payload passes a filter.

use super::{Comparison, Condition, Filter, Literal};
use crate::payload::{Payload, Value};

impl Filter {
    /// Whether it holds for `payload`.
    pub fn matches(&self, payload: &Payload) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(payload)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(payload)),
            Self::Not(inner) => !inner.matches(payload),
            Self::Field { name, condition } => condition.holds(payload.get(name)),
        }
    }
}

impl Condition {
    /// Whether it holds for a field, `None` being a missing one.
    pub fn holds(&self, field: Option<&Value>) -> bool {
        let Some(field) = field else { return *self == Self::Missing };
        match self {
            Self::Missing => false,
            Self::In(values) => values.iter().any(|value| equal(field, value)),
            Self::Like(pattern) => match field {
                Value::Text(text) => pattern.matches(text),
                Value::Number(_) => pattern.matches(&field.text()),
            },
            Self::Compare(Comparison::Equal, value) => equal(field, value),
            Self::Compare(comparison, value) => {
                let order = match (field, value.number()) {
                    (Value::Number(field), Some(number)) => field.partial_cmp(&number),
                    (Value::Text(field), _) => Some(field.as_str().cmp(value.text())),
                    (Value::Number(_), None) => None,
                };
                order.is_some_and(|order| match comparison {
                    Comparison::Less => order.is_lt(),
                    Comparison::LessOrEqual => order.is_le(),
                    Comparison::Greater => order.is_gt(),
                    Comparison::GreaterOrEqual => order.is_ge(),
                    Comparison::Equal => order.is_eq(),
                })
            }
        }
    }
}

fn equal(field: &Value, value: &Literal) -> bool {
    match (field, value.number()) {
        (Value::Number(field), Some(number)) => *field == number,
        (Value::Number(_), None) => false,
        (Value::Text(field), _) => field == value.text(),
    }
}
