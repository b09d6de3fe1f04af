//! The description of the API is the API.

use axum::body::Body;
use axum::http::Request;
use serde_json::Value;

use super::fixture::Fixture;
use crate::api::OPENAPI;

#[tokio::test]
async fn everything_described_is_served_and_nothing_else_answers() {
    let fixture = Fixture::new();
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    let mut operations = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let mut address = String::new();
        for (method, operation) in methods.as_object().unwrap() {
            // An image of its own each, since one of the operations removes it.
            address = path.replace("{collection}", "index").replace("{id}", &fixture.id(operations));
            operations += 1;
            let described = operation["responses"].as_object().unwrap();
            let upper = method.to_uppercase();
            let request = Request::builder().method(upper.as_str()).uri(&address).body(Body::empty()).unwrap();
            let status = fixture.ask(request).await.status.as_u16();
            assert_ne!(status, 405, "{upper} {path}");
            assert_ne!(status, 404, "{upper} {path}");
            let known = described.contains_key(&status.to_string()) || status == 415;
            assert!(known, "{upper} {path} answers {status}, which is not described");
        }
        let known: Vec<String> = methods.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
            if !known.iter().any(|known| known == method) {
                let request = Request::builder().method(method).uri(&address).body(Body::empty()).unwrap();
                fixture.ask(request).await.refused(405, "method_not_allowed");
            }
        }
    }
    assert!(operations >= 15);
}

#[test]
fn every_reference_of_the_description_leads_somewhere() {
    fn visit(value: &Value, document: &Value) {
        match value {
            Value::Object(object) => {
                if let Some(Value::String(reference)) = object.get("$ref") {
                    let place = reference.strip_prefix('#').unwrap();
                    assert!(document.pointer(place).is_some(), "{reference}");
                }
                object.values().for_each(|inner| visit(inner, document));
            }
            Value::Array(array) => array.iter().for_each(|inner| visit(inner, document)),
            _ => {}
        }
    }
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    visit(&document, &document);
}
