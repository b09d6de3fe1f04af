//! Images of a collection: listing, thumbnails, adding, removing.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use kinsight_data::thumbnail::thumbnail as make_thumbnail;
use kinsight_index::Filter;
use serde::Deserialize;
use serde_json::{Value, json};

use super::form::Form;
use super::search::{blocking, embed_picture, parse_id, shown_payload};
use super::{App, Failure};
use crate::collection::NewImage;

/// Sides of the thumbnails that are made; a request gets the next larger one, so that few are kept.
const SIDES_PX: [u32; 3] = [160, 320, 640];

/// Images of one page of a list.
const MAX_LISTED: usize = 200;

/// What part of the images is listed.
#[derive(Debug, Deserialize)]
pub(super) struct ListQuery {
    limit: Option<usize>,
    start: Option<u64>,
    sample: Option<usize>,
    #[serde(rename = "where")]
    filter: Option<String>,
}

/// `GET .../images`: a page of the images, or with `sample` a few of as many labels as there are.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
    query: Result<axum::extract::Query<ListQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, Failure> {
    let query = query.map_err(|error| Failure::bad_request("bad_field", error.body_text()))?.0;
    let limit = query.sample.or(query.limit).unwrap_or(50);
    if !(1..=MAX_LISTED).contains(&limit) {
        return Err(Failure::bad_field("limit", &limit.to_string(), &format!("1 to {MAX_LISTED}")));
    }
    let filter: Option<Filter> = query.filter.as_deref().map(str::parse).transpose()?;
    let collection = app.collection(&collection)?;
    let listing = collection.clone();
    let (points, next) = blocking(move || match query.sample {
        Some(_) => Ok((listing.sample(limit)?, None)),
        None => listing.list(query.start.unwrap_or_default(), limit, filter.as_ref()),
    })
    .await?;
    let images: Vec<_> = points.iter().map(|point| shown_payload(&collection, point.id, &point.payload)).collect();
    Ok(Json(json!({ "images": images, "next": next })))
}

/// `GET .../images/{id}`
pub(super) async fn image(
    State(app): State<Arc<App>>,
    Path((collection, id)): Path<(String, String)>,
) -> Result<Json<Value>, Failure> {
    let collection = app.collection(&collection)?;
    let id = parse_id(&id)?;
    let asked = collection.clone();
    let point = blocking(move || asked.get(id)).await?.ok_or_else(|| Failure::no_image(&id.to_string()))?;
    Ok(Json(Value::Object(shown_payload(&collection, id, &point.payload))))
}

/// `?side=` of a thumbnail.
#[derive(Debug, Deserialize)]
pub(super) struct ThumbnailQuery {
    side: Option<u32>,
}

/// `GET .../images/{id}/thumbnail`
pub(super) async fn thumbnail(
    State(app): State<Arc<App>>,
    Path((collection, id)): Path<(String, String)>,
    query: Result<axum::extract::Query<ThumbnailQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Failure> {
    let wanted = query.map_err(|_| Failure::bad_request("bad_field", "side is no whole number of pixels"))?.side;
    let wanted = wanted.unwrap_or(SIDES_PX[1]);
    let side = SIDES_PX.into_iter().find(|side| *side >= wanted).unwrap_or(SIDES_PX[2]);
    let collection = app.collection(&collection)?;
    let id = parse_id(&id)?;
    let key = (collection.name().to_string(), id.to_string(), side);
    let bytes = match app.thumbnails.get(&key) {
        Some(bytes) => bytes,
        None => {
            let file = collection.read_file(id, app.max_file_bytes()).await?;
            let picture = app.decoder.decode(file, None).await?;
            let made = app.decoder.run(move |_| Ok(Bytes::from(make_thumbnail(&picture, side)))).await?;
            if made.is_empty() {
                return Err(Failure::internal("the thumbnail could not be encoded"));
            }
            app.thumbnails.put(key, made.clone());
            made
        }
    };
    Ok(([(CONTENT_TYPE, "image/jpeg"), (CACHE_CONTROL, "private, max-age=300")], bytes).into_response())
}

/// `POST .../images`: 201 once the image is on the disk and in the index.
pub(super) async fn add(
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
    request: Request,
) -> Result<Response, Failure> {
    let collection = app.collection(&collection)?;
    let mut form = Form::read(&app, request).await?;
    let mut pictures = form.pictures("image");
    let (Some(bytes), true) = (pictures.pop(), pictures.is_empty()) else {
        return Err(Failure::bad_request("no_picture", "expected exactly one file called image"));
    };
    let fields = form.rest();
    let picture = Arc::new(app.decoder.decode(bytes.clone(), None).await?);
    let vector = embed_picture(&app, &collection, picture.clone()).await?;
    let adding = collection.clone();
    // Not dropped half way where the client goes away: the write goes on by itself.
    let point = blocking(move || adding.add(NewImage { bytes, picture: &picture, vector, fields })).await?;
    drop(form);
    app.thumbnails.forget(collection.name(), &point.id.to_string());
    let place = format!("/v1/collections/{}/images/{}", collection.name(), point.id);
    let body = Json(Value::Object(shown_payload(&collection, point.id, &point.payload)));
    Ok((StatusCode::CREATED, [(LOCATION, place)], body).into_response())
}

/// `DELETE .../images/{id}`: 204 once it is gone from the index.
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    Path((collection, id)): Path<(String, String)>,
) -> Result<StatusCode, Failure> {
    let collection = app.collection(&collection)?;
    let id = parse_id(&id)?;
    let removing = collection.clone();
    if !blocking(move || removing.remove(id)).await? {
        return Err(Failure::no_image(&id.to_string()));
    }
    app.thumbnails.forget(collection.name(), &id.to_string());
    Ok(StatusCode::NO_CONTENT)
}
