//! Collections: listing, making, removing.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};

use super::answers::{CollectionAnswer, Collections, Fingerprint, LabelCount, Model, RequestLimits};
use super::replies::{Created, Gone};
use super::requests::{Asked, CollectionPath, MakeQuery};
use super::{App, Failure};
use crate::service::{Collection, ServiceError, Work};

/// Labels in the description of a collection, the most frequent ones.
const MAX_LABELS: usize = 2000;

/// `GET /v1/collections`
pub(super) async fn list(State(app): State<Arc<App>>) -> Result<Json<Collections>, Failure> {
    let listing = app.clone();
    let collections = app.service.work(async move |work| {
        let mut listed = Vec::new();
        for collection in listing.service.collections.all() {
            listed.push(described(&listing, &work, collection).await?);
        }
        Ok(listed)
    });
    Ok(Json(Collections { collections: collections.await?, limits: RequestLimits::from(&app.service.limits) }))
}

/// `GET /v1/collections/{collection}`
pub(super) async fn describe(
    State(app): State<Arc<App>>,
    Path(path): Path<CollectionPath>,
) -> Result<Json<CollectionAnswer>, Failure> {
    let collection = app.service.collections.get(&path.collection)?;
    let described = app.service.work(async |work| described(&app, &work, collection).await);
    Ok(Json(described.await?))
}

async fn described(app: &Arc<App>, work: &Work, collection: Arc<Collection>) -> Result<CollectionAnswer, ServiceError> {
    let counted = collection.clone();
    let (images, labels) = work.run(move |_| Ok((counted.len()?, counted.labels()?))).await?;
    let count = |(label, images): &(String, u64)| LabelCount { label: label.clone(), images: *images };
    let encoder = &collection.model().encoder;
    Ok(CollectionAnswer {
        name: collection.name().to_owned(),
        images,
        // Of a collection with more labels, filters find the others.
        labels: labels.iter().take(MAX_LABELS).map(count).collect(),
        thresholds: collection.thresholds(),
        model: Model {
            name: collection.model_name().to_owned(),
            embedding_size: encoder.embedding_size(),
            own_bytes: encoder.own_bytes(),
            shares_batches: encoder.shares_batches(),
            fingerprint: Fingerprint(collection.fingerprint().clone()),
        },
        removable: app.service.collections.was_made_here(&collection),
        writing_needs_key: app.keys.protects_writing(),
    })
}

/// `PUT /v1/collections/{collection}`: 201 once the empty collection is on the disk.
pub(super) async fn make(
    State(app): State<Arc<App>>,
    Path(path): Path<CollectionPath>,
    Asked(asked): Asked<MakeQuery>,
) -> Result<Created<CollectionAnswer>, Failure> {
    let place = format!("/v1/collections/{}", path.collection);
    let making = app.clone();
    let made = app.service.work(async |work| {
        let make = move |_: &_| making.service.collections.make(&path.collection, asked.like.as_deref());
        let made = work.run(make).await?;
        described(&app, &work, made).await
    });
    Ok(Created { place, body: made.await? })
}

/// `DELETE /v1/collections/{collection}`: 204 once it is gone, with the images that were added to it.
pub(super) async fn remove(State(app): State<Arc<App>>, Path(path): Path<CollectionPath>) -> Result<Gone, Failure> {
    let removing = app.clone();
    let remove = move |_: &_| removing.service.collections.remove(&path.collection);
    app.service.work(async move |work| work.run(remove).await).await?;
    Ok(Gone)
}
