//! The web page and the description of the API, from the program itself: no file is read, nothing is fetched.

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use super::Failure;

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// Everything under `/assets/`.
const ASSETS: [(&str, &str, &str); 12] = [
    ("app.css", STYLE, include_str!("../../assets/app.css")),
    ("app.js", SCRIPT, include_str!("../../assets/app.js")),
    ("dom.js", SCRIPT, include_str!("../../assets/dom.js")),
    ("client.js", SCRIPT, include_str!("../../assets/client.js")),
    ("query.js", SCRIPT, include_str!("../../assets/query.js")),
    ("results.js", SCRIPT, include_str!("../../assets/results.js")),
    ("evidence.js", SCRIPT, include_str!("../../assets/evidence.js")),
    ("camera.js", SCRIPT, include_str!("../../assets/camera.js")),
    ("api.css", STYLE, include_str!("../../assets/api.css")),
    ("api.js", SCRIPT, include_str!("../../assets/api.js")),
    ("icon.svg", "image/svg+xml", include_str!("../../assets/icon.svg")),
    ("manifest.json", "application/manifest+json", include_str!("../../assets/manifest.json")),
];

/// `GET /`: the search page.
pub(super) async fn index() -> impl IntoResponse {
    ([(CONTENT_TYPE, HTML)], include_str!("../../assets/index.html"))
}

/// `GET /api`: the page to try the API.
pub(super) async fn api() -> impl IntoResponse {
    ([(CONTENT_TYPE, HTML)], include_str!("../../assets/api.html"))
}

/// `GET /openapi.json`
pub(super) async fn openapi() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], OPENAPI)
}

/// The description of the API.
pub(crate) const OPENAPI: &str = include_str!("../../assets/openapi.json");

/// `GET /assets/{name}`
pub(super) async fn asset(Path(name): Path<String>) -> Result<Response, Failure> {
    let found = ASSETS.iter().find(|(known, ..)| *known == name);
    let (_, kind, text) = found.ok_or_else(|| Failure::not_found("no such asset"))?;
    // The names do not change with their content, so a browser asks again each time.
    Ok(([(CONTENT_TYPE, *kind), (CACHE_CONTROL, "no-cache")], *text).into_response())
}
