//! The description of the API is the API: what it says is there, and what answers look like it says.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;
use serde_json::Value;

use super::fixture::{Answer, Fixture, Part};
use crate::http::OPENAPI;

fn document() -> Value {
    serde_json::from_str(&OPENAPI).unwrap()
}

/// Every operation: method, path, and its description.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of = |(path, methods): (&String, &'_ Value)| -> Vec<(String, String)> {
        methods.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())).collect()
    };
    let named = paths.iter().flat_map(of);
    named
        .map(|(method, path)| {
            let of = &document["paths"][&path][method.to_lowercase()];
            (method, path, of)
        })
        .collect()
}

#[test]
fn every_operation_says_what_it_takes_and_gives() {
    let document = document();
    let (mut ids, mut bodies) = (BTreeSet::new(), 0);
    for (method, path, operation) in operations(&document) {
        let name = format!("{method} {path}");
        assert!(operation["summary"].as_str().is_some_and(|text| text.len() > 5), "{name} has no summary");
        assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{name} has another's id");
        assert_eq!(operation["tags"].as_array().unwrap().len(), 1, "{name}");
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        for part in path.split(['{', '}']).skip(1).step_by(2) {
            let known = parameters.iter().find(|parameter| parameter["name"] == part);
            assert!(known.is_some_and(|p| p["in"] == "path" && p["required"] == true), "{name}: {part}");
        }
        for parameter in &parameters {
            assert!(parameter["description"].as_str().is_some_and(|text| text.len() > 3), "{name}: {parameter}");
            assert!(parameter["schema"].is_object(), "{name}: {parameter}");
        }
        if let Some(content) = operation["requestBody"]["content"].as_object() {
            bodies += 1;
            let fields = content["multipart/form-data"]["schema"]["properties"].as_object().unwrap();
            assert!(!fields.is_empty(), "{name}");
            for (field, schema) in fields {
                // Of a value that may be null, the description may be that of its one other choice.
                let described = schema.to_string().contains("\"description\":\"");
                assert!(described && schema["allOf"].is_null(), "{name}: {field}: {schema}");
            }
        }
        assert_eq!(method == "POST", operation["requestBody"].is_object(), "{name}");
        let answers = operation["responses"].as_object().unwrap();
        assert!(answers.keys().any(|status| status.starts_with('2')), "{name} never succeeds");
        for (status, answer) in answers {
            assert!(answer["description"].as_str().is_some_and(|text| text.len() > 3), "{name}: {status}");
            let empty = status == "204";
            assert_eq!(answer["content"].is_object(), !empty, "{name}: {status}");
        }
    }
    assert_eq!((ids.len(), bodies), (19, 4));
}

/// A router that is not made from the table would answer without being described.
#[test]
fn routes_are_declared_in_one_place() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http");
    let mut places = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().chain(std::fs::read_dir(format!("{folder}/form")).unwrap()) {
        let path = entry.unwrap().path();
        if path.is_file() {
            let text = std::fs::read_to_string(&path).unwrap();
            places.extend(text.matches(".route(").map(|_| path.clone()));
            for other in [".nest(", ".nest_service(", ".route_service(", ".merge(", ".fallback_service("] {
                assert!(!text.contains(other), "{path:?} has {other}");
            }
        }
    }
    assert_eq!(places.len(), 1, "{places:?}");
}

#[tokio::test]
async fn everything_described_is_served_and_only_by_its_methods() {
    let fixture = Fixture::new();
    let document = document();
    for (i, (method, path, operation)) in operations(&document).into_iter().enumerate() {
        // A different image each time, since one of the operations removes it.
        let address =
            path.replace("{collection}", "index").replace("{id}", &fixture.id(i % 16)).replace("{name}", "app.js");
        let ask = async |method: &str| {
            fixture.ask(Request::builder().method(method).uri(&address).body(Body::empty()).unwrap()).await
        };
        let answer = ask(&method).await;
        described(&document, operation, &answer, &format!("{method} {path}"));
        for other in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
            if document["paths"][&path][other.to_lowercase()].is_null() {
                ask(other).await.refused(405, "method_not_allowed");
            }
        }
    }
}

#[tokio::test]
async fn answers_look_as_described() {
    let fixture = Fixture::new();
    let document = document();
    let (image, id) = (fixture.image(0), fixture.id(1));
    let file = || Part::File("image", &image);
    let of = |method: &str, path: &str| document["paths"][path][method].clone();
    let (one, images) = ("/v1/collections/{collection}/images/{id}", "/v1/collections/{collection}/images");
    let at = |path: &str| path.replace("{collection}", "index").replace("{id}", &id);
    for path in ["/v1/collections", "/v1/collections/{collection}", images, one] {
        described(&document, &of("get", path), &fixture.get(&at(path)).await, path);
    }
    let page = format!("{}?limit=2&start=3&where=width%20%3E%201", at(images));
    described(&document, &of("get", images), &fixture.get(&page).await, &page);
    let search = "/v1/collections/{collection}/search";
    for parts in [vec![file()], vec![Part::Field("id", &id), Part::Field("where", "label = 'nothing'")], vec![]] {
        described(&document, &of("post", search), &fixture.post(&at(search), &parts).await, search);
    }
    let embed = "/v1/collections/{collection}/embed";
    described(&document, &of("post", embed), &fixture.post(&at(embed), &[file(), file()]).await, embed);
    let explain = "/v1/collections/{collection}/explain";
    let parts = || vec![file(), Part::Field("against", &id)];
    described(&document, &of("post", explain), &fixture.post(&at(explain), &parts()).await, explain);
    let drawn: Vec<Part<'_>> = parts().into_iter().chain([Part::Field("format", "png")]).collect();
    described(&document, &of("post", explain), &fixture.post(&at(explain), &drawn).await, explain);
    let own = [file(), Part::Field("label", "new"), Part::Field("price", "12.5"), Part::Field("code", "007")];
    described(&document, &of("post", images), &fixture.post(&at(images), &own).await, images);
    let made = fixture.put("/v1/collections/made?like=index").await;
    assert_eq!(made.status.as_u16(), 201);
    described(&document, &of("put", "/v1/collections/{collection}"), &made, "PUT");
}

/// Fails unless the operation has this answer: its status, its type, and all of its members.
#[track_caller]
fn described(document: &Value, operation: &Value, answer: &Answer, name: &str) {
    let status = answer.status.as_u16();
    let described = &operation["responses"][status.to_string()];
    assert!(described.is_object(), "{name} answers {status}, which is not described: {}", answer.text());
    let Some(content) = described["content"].as_object() else {
        return assert!(answer.body.is_empty(), "{name}: a body that is not described");
    };
    let kind = answer.headers["content-type"].to_str().unwrap().split(';').next().unwrap();
    let content = content.get(kind).or(content.get("*/*"));
    let content = content.unwrap_or_else(|| panic!("{name} answers {kind}, which is not described"));
    if content["schema"].is_object() {
        let found = misfit(document, &content["schema"], &answer.json());
        assert!(found.is_none(), "{name}: {}", found.unwrap());
    }
}

/// Where `value` is not what `schema` says, members that it does not name included.
fn misfit(document: &Value, schema: &Value, value: &Value) -> Option<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let place = reference.strip_prefix('#').unwrap();
        return misfit(document, document.pointer(place).unwrap_or_else(|| panic!("{reference} leads nowhere")), value);
    }
    if let Some(choices) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
        let misfits: Vec<String> = choices.iter().filter_map(|choice| misfit(document, choice, value)).collect();
        return (misfits.len() == choices.len()).then(|| format!("fits none: {misfits:?}"));
    }
    let (mut members, mut required, mut open) = (serde_json::Map::new(), Vec::new(), false);
    let mut whole = vec![schema];
    while let Some(part) = whole.pop() {
        let part = part["$ref"].as_str().map_or(part, |reference| document.pointer(&reference[1..]).unwrap());
        whole.extend(part["allOf"].as_array().into_iter().flatten());
        members.extend(part["properties"].as_object().cloned().unwrap_or_default());
        required.extend(part["required"].as_array().cloned().unwrap_or_default());
        open |= part["type"] == "object" && part["properties"].is_null();
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    if !(kinds.is_empty() || kinds.contains(&kind) || kind == "integer" && kinds.contains(&"number")) {
        return Some(format!("{value} is not of type {kinds:?}"));
    }
    match value {
        Value::Array(values) => values.iter().find_map(|value| misfit(document, &schema["items"], value)),
        Value::Object(object) => {
            let missing = required.iter().filter_map(Value::as_str).find(|name| !object.contains_key(*name));
            if let Some(name) = missing {
                return Some(format!("{name} is missing in {value}"));
            }
            object.iter().find_map(|(name, value)| match members.get(name) {
                Some(schema) => misfit(document, schema, value).map(|why| format!("{name}: {why}")),
                None if open => misfit(document, &schema["additionalProperties"], value),
                None => Some(format!("{name} is not described")),
            })
        }
        _ => None,
    }
}

/// The checks above would find what they look for.
#[test]
fn a_misfit_is_found() {
    let document = document();
    let schema = serde_json::json!({ "$ref": "#/components/schemas/LabelCount" });
    let fits = |value| misfit(&document, &schema, &value);
    assert_eq!(fits(serde_json::json!({ "label": "a", "images": 1 })), None);
    for wrong in [
        serde_json::json!({ "label": "a" }),
        serde_json::json!({ "label": 1, "images": 1 }),
        serde_json::json!({ "label": "a", "images": 1, "more": 1 }),
        serde_json::json!([]),
    ] {
        assert!(fits(wrong.clone()).is_some(), "{wrong}");
    }
}
