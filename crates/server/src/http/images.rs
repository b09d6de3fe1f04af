//! Images of a collection: listing, thumbnails, adding, removing.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use utoipa::ToSchema;

use super::answers::{Image, ImagePage};
use super::form::{Form, Upload};
use super::replies::{Created, Gone, Jpeg};
use super::requests::{Asked, CollectionPath, ImagePath, ListQuery, ThumbnailQuery, filter_of, id_of};
use super::{App, Failure};
use crate::service::ServiceError;

/// Images of one page of a list.
const MAX_LISTED: usize = 200;

/// An image to add.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct AddForm {
    #[schema(inline)]
    image: Upload,
    /// What it shows
    label: Option<String>,
    /// Any further fields, which filters can name
    #[serde(flatten)]
    fields: BTreeMap<String, String>,
}

/// `GET .../images`: a page of the images, or a sample.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Path(path): Path<CollectionPath>,
    Asked(asked): Asked<ListQuery>,
) -> Result<Json<ImagePage>, Failure> {
    let limit = asked.sample.or(asked.limit).unwrap_or(50);
    if !(1..=MAX_LISTED).contains(&limit) {
        return Err(ServiceError::field("limit", &limit.to_string(), format!("1 to {MAX_LISTED}")).into());
    }
    let filter = filter_of(asked.filter.as_deref())?;
    let collection = app.service.collections.get(&path.collection)?;
    let page = app.service.work(async move |work| {
        work.run(move |cancel| {
            let (points, next) = match asked.sample {
                Some(_) => (collection.sample(limit, cancel)?, None),
                None => collection.list(asked.start.unwrap_or_default(), limit, filter.as_ref(), cancel)?,
            };
            let images = points.iter().map(|point| Image::of(&collection, point)).collect();
            Ok(ImagePage { images, next })
        })
        .await
    });
    Ok(Json(page.await?))
}

/// `GET .../images/{id}`
pub(super) async fn image(State(app): State<Arc<App>>, Path(path): Path<ImagePath>) -> Result<Json<Image>, Failure> {
    let collection = app.service.collections.get(&path.collection)?;
    let id = id_of(&path.id)?;
    let image = app
        .service
        .work(async move |work| work.run(move |_| Ok(Image::of(&collection, &collection.require(id)?))).await);
    Ok(Json(image.await?))
}

/// `GET .../images/{id}/thumbnail`
pub(super) async fn thumbnail(
    State(app): State<Arc<App>>,
    Path(path): Path<ImagePath>,
    Asked(asked): Asked<ThumbnailQuery>,
) -> Result<Jpeg, Failure> {
    let collection = app.service.collections.get(&path.collection)?;
    let id = id_of(&path.id)?;
    let made = app.service.work(|work| app.service.thumbnail(work, collection, id, asked.side));
    Ok(Jpeg(made.await?))
}

/// `POST .../images`: 201 once the image is on the disk and in the index.
pub(super) async fn add(
    State(app): State<Arc<App>>,
    Path(path): Path<CollectionPath>,
    Form { fields, pictures, held }: Form<AddForm>,
) -> Result<Created<Image>, Failure> {
    let collection = app.service.collections.get(&path.collection)?;
    let bytes = pictures.get(&fields.image);
    drop(pictures);
    let label = fields.label.map(|label| (kinsight_index::payload::fields::LABEL.to_owned(), label));
    let own = label.into_iter().chain(fields.fields);
    let into = collection.clone();
    let point = app.service.work(|work| app.service.add(work, into, bytes, own, held)).await?;
    let place = format!("/v1/collections/{}/images/{}", collection.name(), point.id);
    Ok(Created { place, body: Image::of(&collection, &point) })
}

/// `DELETE .../images/{id}`: 204 once it is gone from the index.
pub(super) async fn remove(State(app): State<Arc<App>>, Path(path): Path<ImagePath>) -> Result<Gone, Failure> {
    let collection = app.service.collections.get(&path.collection)?;
    let id = id_of(&path.id)?;
    app.service.work(async move |work| work.run(move |_| collection.remove(id)).await).await?;
    Ok(Gone)
}
