//! Collections: listing, making, removing.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::search::blocking;
use super::{App, Failure};
use crate::collection::Collection;

/// Labels in the description of a collection, the most frequent ones.
const MAX_LABELS: usize = 2000;

/// `GET /v1/collections`
pub(super) async fn list(State(app): State<Arc<App>>) -> Result<Json<Value>, Failure> {
    let mut listed = Vec::new();
    for collection in app.collections.all() {
        listed.push(described(&app, collection).await?);
    }
    Ok(Json(json!({
        "collections": listed,
        "limits": {
            "max_body_bytes": app.settings.limits.max_body_bytes,
            "max_pixels": app.settings.limits.max_pixels,
            "max_images": app.settings.limits.max_images,
            "max_results": app.settings.limits.max_results,
        },
    })))
}

/// `GET /v1/collections/{collection}`
pub(super) async fn describe(
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
) -> Result<Json<Value>, Failure> {
    Ok(Json(described(&app, app.collection(&collection)?).await?))
}

async fn described(app: &App, collection: Arc<Collection>) -> Result<Value, Failure> {
    let counted = collection.clone();
    let (images, labels) = blocking(move || Ok((counted.len()?, counted.labels()?))).await?;
    // A collection of very many labels is asked for them by filters instead.
    let labels: Vec<Value> =
        labels.iter().take(MAX_LABELS).map(|(label, count)| json!({ "label": label, "images": count })).collect();
    let encoder = &collection.model().encoder;
    Ok(json!({
        "name": collection.name(),
        "images": images,
        "labels": labels,
        "thresholds": collection.thresholds(),
        "model": {
            "name": collection.model_name(),
            "embedding_size": encoder.embedding_size(),
            "own_bytes": encoder.own_bytes(),
            "shares_batches": encoder.shares_batches(),
            "fingerprint": collection.fingerprint(),
        },
        "removable": app.collections.was_made_here(&collection),
        "writing_needs_key": app.settings.keys.protects_writing(),
    }))
}

/// `?like=` of a new collection.
#[derive(Debug, Deserialize)]
pub(super) struct MakeQuery {
    like: Option<String>,
}

/// `PUT /v1/collections/{collection}`: 201 once the empty collection is on the disk.
pub(super) async fn make(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    query: Result<Query<MakeQuery>, QueryRejection>,
) -> Result<Response, Failure> {
    let like = query.map_err(|error| Failure::bad_request("bad_field", error.body_text()))?.0.like;
    let (making, called) = (app.clone(), name.clone());
    let made = blocking(move || making.collections.make(&called, like.as_deref())).await?;
    let body = Json(described(&app, made).await?);
    Ok((StatusCode::CREATED, [(LOCATION, format!("/v1/collections/{name}"))], body).into_response())
}

/// `DELETE /v1/collections/{collection}`: 204 once it is gone, with the images that were added to it.
pub(super) async fn remove(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<StatusCode, Failure> {
    let removing = app.clone();
    blocking(move || removing.collections.remove(&name)).await?;
    Ok(StatusCode::NO_CONTENT)
}
