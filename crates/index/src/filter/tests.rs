use proptest::prelude::*;

use super::*;
use crate::payload::{Payload, Value};

fn payload() -> Payload {
    [
        ("label", Value::from("shoe")),
        ("width", Value::from(640.0)),
        ("note", Value::from("a 'b' \\ c")),
        ("code", Value::from("007")),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

#[track_caller]
fn assert_matches(text: &str, expected: bool) {
    let filter: Filter = text.parse().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(filter.matches(&payload()), expected, "{text}");
}

#[test]
fn conditions_mean_what_the_grammar_says() {
    for text in [
        "label=shoe",
        "label = shoe AND width>500",
        "label == 'shoe' and width >= 640 and width <= 640.0",
        "label in (boot, shoe) and label not in (boot)",
        "label ~ 'SH*' and label ~ s?oe and label !~ x*",
        "label != boot and missing_field != boot",
        "missing_field is missing and label is not missing",
        "not label = boot",
        "label = boot or width > 1 and width < 1000",
        "(label = boot or width > 1) and width < 1000",
        "code = 007 and not code = 7 and code < 1",
        r#"note = 'a \'b\' \\ c' and note = "a 'b' \\ c""#,
        "not not label = shoe",
        "label > shod",
    ] {
        assert_matches(text, true);
    }
    for text in
        ["label = Shoe", "width > 640", "width = '640px'", "missing_field = x", "label > 5 and width > a", "width < x"]
    {
        assert_matches(text, false);
    }
}

#[test]
fn or_binds_looser_than_and() {
    let bare: Filter = "a=1 or b=2 and not c=3".parse().unwrap();
    let explicit: Filter = "a=1 or (b=2 and (not c=3))".parse().unwrap();
    assert_eq!(bare, explicit);
}

#[test]
fn errors_point_at_the_place() {
    for (text, column, message) in [
        ("", 1, "empty"),
        ("label", 6, "comparison after \"label\""),
        ("label = shoe and width >", 25, "value after >"),
        ("label = shoe width > 5", 14, "\"and\", \"or\" or the end"),
        ("(label = shoe", 14, "\"(\" in column 1"),
        ("label = shoe)", 13, "no \"(\""),
        ("label in shoe", 10, "\"(\" after \"in\""),
        ("label in (a b)", 13, "\",\" or \")\""),
        ("label is here", 10, "\"missing\""),
        ("label = 'shoe", 9, "never closed"),
        ("é = ü and ; = 1", 11, "unexpected character ';'"),
        ("and = 1", 1, "keyword"),
        ("label = or", 9, "quote"),
        ("label not shoe", 11, "\"in\" after \"not\""),
    ] {
        let error = text.parse::<Filter>().unwrap_err();
        assert_eq!(error.column(), column, "{error}");
        assert!(error.message.contains(message), "{error}");
    }
    let error = "label = shoe and width >".parse::<Filter>().unwrap_err().to_string();
    assert!(error.ends_with("\n  label = shoe and width >\n                          ^"), "{error}");
}

#[test]
fn depth_and_length_are_bounded() {
    let deep = format!("{}a=1{}", "(".repeat(10_000), ")".repeat(10_000));
    assert!(deep[..8000].parse::<Filter>().is_err());
    assert!(format!("{}a=1", "not ".repeat(4000)).parse::<Filter>().unwrap_err().message.contains("deeper"));
    assert!("a".repeat(MAX_FILTER_BYTES + 1).parse::<Filter>().unwrap_err().message.contains("bytes long"));
}

#[test]
fn patterns_take_no_exponential_time() {
    let payload = Payload::from([("x".to_owned(), Value::from("a".repeat(2000)))]);
    let filter: Filter = format!("x ~ '{}b'", "a*".repeat(500)).parse().unwrap();
    assert!(!filter.matches(&payload));
}

fn filters() -> impl Strategy<Value = Filter> {
    let name = prop_oneof![Just("label"), Just("width"), Just("and"), Just("a b"), Just("")];
    let literal = prop_oneof!["[a-zé' \\\\\"(),=<>~!]{0,4}", "-?[0-9]{1,3}(\\.[0-9])?"].prop_map(Literal::new);
    let comparison = prop_oneof![
        Just(Comparison::Equal),
        Just(Comparison::Less),
        Just(Comparison::LessOrEqual),
        Just(Comparison::Greater),
        Just(Comparison::GreaterOrEqual)
    ];
    let condition = prop_oneof![
        (comparison, literal.clone()).prop_map(|(comparison, value)| Condition::Compare(comparison, value)),
        literal.clone().prop_map(|value| Condition::Like(Pattern::new(value.text()))),
        prop::collection::vec(literal, 1..3).prop_map(Condition::In),
        Just(Condition::Missing),
    ];
    let leaf = (name, condition).prop_map(|(name, condition)| Filter::Field { name: name.to_owned(), condition });
    leaf.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::All),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::Any),
            inner.prop_map(|inner| Filter::Not(Box::new(inner))),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(filter in filters()) {
        let text = filter.to_string();
        let read: Filter = text.parse().map_err(|error| TestCaseError::fail(format!("{error}")))?;
        prop_assert_eq!(read, filter, "{}", text);
    }

    #[test]
    fn any_text_is_a_filter_or_an_error_inside_it(text in "[a-z0-9 ()='\"<>!~,.\\\\\\*é-]{0,40}") {
        match text.parse::<Filter>() {
            Ok(filter) => prop_assert_eq!(&filter.to_string().parse::<Filter>().unwrap(), &filter),
            Err(error) => {
                prop_assert!(text.is_char_boundary(error.position));
                prop_assert!(error.column() <= text.chars().count() + 1);
            }
        }
    }
}
