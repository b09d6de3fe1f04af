//! `POST .../search`, `.../embed` and `.../explain`.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Path, State};
use kinsight_index::Filter;
use kinsight_index::payload::fields;
use serde::Deserialize;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::answers::{Embeddings, Fingerprint, Results};
use super::form::{Form, Upload};
use super::replies::ExplainAnswer;
use super::requests::{CollectionPath, filter_of, id_of};
use super::{App, Failure};
use crate::service::{ExplainQuery, Explained, Query, Question, ServiceError, Source, parse_crop};

/// Default `k`.
const DEFAULT_RESULTS: usize = 24;

/// What a search asks for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchForm {
    /// Pictures to search by; several are averaged
    #[serde(default)]
    #[schema(inline)]
    image: Vec<Upload>,
    /// Stored images to search by
    #[serde(default)]
    id: Vec<String>,
    /// Pictures that results should be unlike
    #[serde(default)]
    #[schema(inline)]
    not_image: Vec<Upload>,
    /// Stored images that results should be unlike
    #[serde(default)]
    not_id: Vec<String>,
    /// A part of the picture: x,y,width,height in pixels of the upright picture
    #[schema(example = "10,20,300,200")]
    crop: Option<String>,
    /// Number of results
    #[schema(minimum = 1, default = 24)]
    k: Option<usize>,
    /// Lowest score of a result
    #[schema(minimum = -1, maximum = 1)]
    threshold: Option<f32>,
    /// Filter on the fields of images
    #[serde(rename = "where")]
    #[schema(example = "width > 500 and label != shoe")]
    filter: Option<String>,
    /// Any of these labels
    #[serde(default)]
    label: Vec<String>,
}

/// Pictures to embed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EmbedForm {
    /// Pictures, each of which gets a vector
    #[schema(inline)]
    image: Vec<Upload>,
}

/// Which similarity is explained.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExplainForm {
    /// The query; or id
    #[schema(inline)]
    image: Option<Upload>,
    /// A stored image as the query
    id: Option<String>,
    /// A part of the query: x,y,width,height in pixels of the upright picture
    #[schema(example = "10,20,300,200")]
    crop: Option<String>,
    /// The stored image to compare with
    against: String,
    #[serde(default)]
    #[schema(inline)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    #[default]
    Json,
    Png,
}

impl PartialSchema for Format {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["json", "png"]));
        text.default(Some("json".into())).description(Some("Numbers or a picture")).into()
    }
}

impl ToSchema for Format {}

/// `POST /v1/collections/{collection}/search`
pub(super) async fn search(
    State(app): State<Arc<App>>,
    Path(path): Path<CollectionPath>,
    Form { fields, pictures, held }: Form<SearchForm>,
) -> Result<Json<Results>, Failure> {
    let started = Instant::now();
    let collection = app.service.collections.get(&path.collection)?;
    let crop = fields.crop.as_deref().map(parse_crop).transpose()?;
    let queries = |uploads: &[Upload], ids: &[String], crop| -> Result<Vec<Query>, ServiceError> {
        let uploaded = uploads.iter().map(|upload| Ok(Query::Upload(Source { bytes: pictures.get(upload), crop })));
        uploaded.chain(ids.iter().map(|id| Ok(Query::Stored(id_of(id)?, crop)))).collect()
    };
    let positive = queries(&fields.image, &fields.id, crop)?;
    if crop.is_some() && positive.len() != 1 {
        let message = format!("crop needs a single image, found {}", positive.len());
        return Err(ServiceError::BadField(message).into());
    }
    let written = filter_of(fields.filter.as_deref())?;
    let labels = fields.label.into_iter().map(|label| Filter::equals(fields::LABEL, label)).collect::<Vec<_>>();
    let labels = (!labels.is_empty()).then_some(Filter::Any(labels));
    let question = Question {
        negative: queries(&fields.not_image, &fields.not_id, None)?,
        positive,
        results: fields.k.unwrap_or(DEFAULT_RESULTS),
        threshold: fields.threshold,
        filter: match (written, labels) {
            (Some(written), Some(labels)) => Some(written.and(labels)),
            (written, labels) => written.or(labels),
        },
    };
    drop(pictures);
    let searched = collection.clone();
    let found = app.service.work(|work| app.service.search(work, searched, question, held)).await?;
    let took_ms = (started.elapsed().as_secs_f64() * 1e4).round() / 10.0;
    Ok(Json(Results::new(&collection, &found, took_ms)))
}

/// `POST /v1/collections/{collection}/embed`
pub(super) async fn embed(
    State(app): State<Arc<App>>,
    Path(path): Path<CollectionPath>,
    Form { fields, pictures, held }: Form<EmbedForm>,
) -> Result<Json<Embeddings>, Failure> {
    let collection = app.service.collections.get(&path.collection)?;
    let whole = |upload: &Upload| Source { bytes: pictures.get(upload), crop: None };
    let sources: Vec<Source> = fields.image.iter().map(whole).collect();
    drop(pictures);
    let (service, of) = (&app.service, &collection);
    let embeddings = service.work(async move |work| service.embed(&work, of, sources, held).await).await?;
    let model = Fingerprint(collection.fingerprint().clone());
    Ok(Json(Embeddings { collection: collection.name().to_owned(), model, embeddings }))
}

/// `POST /v1/collections/{collection}/explain`
pub(super) async fn explain(
    State(app): State<Arc<App>>,
    Path(path): Path<CollectionPath>,
    Form { fields, pictures, held }: Form<ExplainForm>,
) -> Result<ExplainAnswer, Failure> {
    let collection = app.service.collections.get(&path.collection)?;
    let crop = fields.crop.as_deref().map(parse_crop).transpose()?;
    let query = match (&fields.image, &fields.id) {
        (Some(upload), None) => Query::Upload(Source { bytes: pictures.get(upload), crop }),
        (None, Some(id)) => Query::Stored(id_of(id)?, crop),
        _ => return Err(Failure::bad_request("no_picture", "expected one file in the field \"image\", or one id")),
    };
    drop(pictures);
    let against = id_of(&fields.against)?;
    let asked = ExplainQuery { query, against, drawn: fields.format == Format::Png };
    Ok(match app.service.work(|work| app.service.explain(work, collection, asked, held)).await? {
        Explained::Numbers(explanation) => ExplainAnswer::Numbers(Box::new((*explanation).into())),
        Explained::Png(png) => ExplainAnswer::Png(png),
    })
}
