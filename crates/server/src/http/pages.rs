//! The web page and the description of the API, from the program itself: no file is read, nothing is fetched.

use std::sync::{Arc, LazyLock};

use axum::extract::{Path, State};

use super::replies::Asset;
use super::requests::AssetPath;
use super::{App, Failure, describe, routes};

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
pub(super) async fn index(_: State<Arc<App>>) -> Result<Asset, Failure> {
    Ok(Asset(HTML, include_str!("../../assets/index.html")))
}

/// `GET /api`: the page to try the API.
pub(super) async fn api(_: State<Arc<App>>) -> Result<Asset, Failure> {
    Ok(Asset(HTML, include_str!("../../assets/api.html")))
}

/// `GET /openapi.json`
pub(super) async fn openapi(_: State<Arc<App>>) -> Result<Asset, Failure> {
    Ok(Asset("application/json", &OPENAPI))
}

/// The description of the API.
pub(crate) static OPENAPI: LazyLock<String> = LazyLock::new(|| {
    // Types of this program write as JSON without fail; a test reads it.
    describe::openapi(routes()).to_json().unwrap_or_default()
});

/// `GET /assets/{name}`
pub(super) async fn asset(_: State<Arc<App>>, Path(path): Path<AssetPath>) -> Result<Asset, Failure> {
    let found = ASSETS.iter().find(|(known, ..)| *known == path.name);
    let (_, kind, text) = found.ok_or_else(|| Failure::not_found("no such asset"))?;
    Ok(Asset(kind, text))
}
