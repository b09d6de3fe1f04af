//! Who may do what.

use axum::body::Body;
use axum::http::Request;

use super::fixture::{Fixture, Part, READ_KEY, WRITE_KEY, multipart};
use crate::service::Keys;
use crate::settings::Limits;

fn protected() -> Fixture {
    let mut keys = Keys::default();
    keys.add_read(READ_KEY).unwrap();
    keys.add_write(WRITE_KEY).unwrap();
    Fixture::with(Limits::default(), keys)
}

#[tokio::test]
async fn without_the_right_key_nothing_is_read_or_written() {
    let fixture = protected();
    let id = fixture.id(0);
    let image = format!("/v1/collections/index/images/{id}");
    for path in ["/v1/collections", "/metrics", &image, &format!("{image}/thumbnail")] {
        let answer = fixture.get(path).await;
        answer.refused(401, "no_key");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        let with = |key: &str| Request::get(path).header("x-api-key", key).body(Body::empty()).unwrap();
        fixture.ask(with("not-a-key-of-this-server")).await.refused(401, "wrong_key");
        assert!(fixture.ask(with(READ_KEY)).await.status.is_success());
    }
    // A key in the URL is no key: it would end up in logs.
    fixture.get(&format!("/v1/collections?x-api-key={READ_KEY}")).await.refused(401, "no_key");

    let bytes = fixture.image(0);
    let add = |key: Option<&str>| {
        let mut request = multipart("/v1/collections/index/images", &[Part::File("image", &bytes)]);
        if let Some(key) = key {
            request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        }
        request
    };
    fixture.ask(add(None)).await.refused(401, "no_key");
    fixture.ask(add(Some(READ_KEY))).await.refused(403, "read_only_key");
    assert_eq!(fixture.ask(add(Some(WRITE_KEY))).await.status.as_u16(), 201);
    let remove = |key| Request::delete(&image).header("x-api-key", key).body(Body::empty()).unwrap();
    fixture.ask(remove(READ_KEY)).await.refused(403, "read_only_key");
    assert_eq!(fixture.ask(remove(WRITE_KEY)).await.status.as_u16(), 204);
}

#[tokio::test]
async fn the_page_and_health_need_no_key_and_every_answer_has_safe_headers() {
    let fixture = protected();
    for path in ["/", "/api", "/openapi.json", "/assets/app.js", "/healthz", "/readyz"] {
        let answer = fixture.get(path).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.status);
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert!(answer.headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    }
    let refused = fixture.get("/v1/collections").await;
    assert_eq!(refused.headers["x-frame-options"], "DENY");
    assert_eq!(refused.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn another_sites_page_changes_nothing() {
    let fixture = Fixture::new();
    let bytes = fixture.image(0);
    let mut request = multipart("/v1/collections/index/images", &[Part::File("image", &bytes)]);
    request.headers_mut().insert("host", "localhost:7878".parse().unwrap());
    request.headers_mut().insert("origin", "https://evil.example".parse().unwrap());
    fixture.ask(request).await.refused(403, "foreign_origin");
    let request = Request::get("/v1/collections").header("host", "rebound.example").body(Body::empty()).unwrap();
    fixture.ask(request).await.refused(403, "foreign_host");
}

#[tokio::test]
async fn a_rebound_name_reads_nothing_where_only_writing_needs_a_key() {
    let ask = async |fixture: &Fixture| {
        let request = Request::get("/v1/collections").header("host", "rebound.example").body(Body::empty()).unwrap();
        fixture.ask(request).await
    };
    let keys = || {
        let mut keys = Keys::default();
        keys.add_write(WRITE_KEY).unwrap();
        keys
    };
    let answer = ask(&Fixture::with(Limits::default(), keys())).await;
    answer.refused(403, "foreign_host");
    assert!(answer.text().contains("--public"), "{}", answer.text());
    // Reading is public on purpose, and writing protected: any name will do.
    let public = Fixture::public(keys());
    assert_eq!(ask(&public).await.status.as_u16(), 200);
    ask(&Fixture::public(Keys::default())).await.refused(403, "foreign_host");
    // A proxy that does not pass the name on is told to.
    let mut request = multipart("/v1/collections/index/search", &[Part::Field("id", &public.id(0))]);
    request.headers_mut().insert("host", "127.0.0.1:7878".parse().unwrap());
    request.headers_mut().insert("origin", "https://photos.example".parse().unwrap());
    let answer = public.ask(request).await;
    answer.refused(403, "foreign_origin");
    assert!(answer.text().contains("Host"), "{}", answer.text());
}
