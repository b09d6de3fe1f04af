//! `POST .../explain`: why an image answers to a query.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use kinsight_report::explanation::draw_png;

use super::form::Form;
use super::search::parse_id;
use super::{App, Failure};
use crate::explanation;
use crate::picture::{Crop, prepare};

/// `POST /v1/collections/{collection}/explain`: `image` or `id` is the query, `against` the stored image to compare with.
pub(super) async fn explain(
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
    request: Request,
) -> Result<Response, Failure> {
    let collection = app.collection(&collection)?;
    let mut form = Form::read(&app, request).await?;
    let crop = form.one("crop")?.map(|text| Crop::parse(&text)).transpose()?;
    let mut uploads = form.pictures("image");
    let stored = form.one("id")?;
    let query = match (uploads.pop(), stored, uploads.is_empty()) {
        (Some(bytes), None, true) => bytes,
        (None, Some(id), _) => collection.read_file(parse_id(&id)?, app.max_file_bytes()).await?,
        _ => return Err(Failure::bad_request("no_picture", "expected one file called image, or one id")),
    };
    let against =
        form.one("against")?.ok_or_else(|| Failure::bad_request("bad_field", "against is missing, expected an id"))?;
    let against = collection.read_file(parse_id(&against)?, app.max_file_bytes()).await?;
    let as_png = match form.one("format")?.as_deref() {
        None | Some("json") => false,
        Some("png") => true,
        Some(other) => return Err(Failure::bad_field("format", other, "json or png")),
    };
    form.refuse_rest("image, id, crop, against or format")?;
    let first = app.decoder.decode(query, crop).await?;
    let second = app.decoder.decode(against, None).await?;
    let Ok(slot) = app.explaining.clone().acquire_owned().await else {
        return Err(Failure::internal("the server is stopping"));
    };
    let model = collection.model().clone();
    let work = move || {
        let encoder = &model.encoder;
        let values = [prepare(&first, encoder.preprocess())?, prepare(&second, encoder.preprocess())?];
        let explanation =
            explanation::explain(encoder.encoder(), encoder.preprocess(), [&first, &second], [&values[0], &values[1]])
                .map_err(|error| Failure::internal(&error.to_string()))?;
        let answer = if as_png {
            let png =
                draw_png(&explanation, [&first, &second]).map_err(|error| Failure::internal(&error.to_string()))?;
            ([(CONTENT_TYPE, "image/png")], png).into_response()
        } else {
            Json(&explanation).into_response()
        };
        drop(slot);
        Ok(answer)
    };
    super::search::blocking(work).await
}
