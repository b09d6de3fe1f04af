//! `POST .../search` and `.../embed`: pictures in, neighbors or numbers out.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Path, Request, State};
use bytes::Bytes;
use kinsight_data::RgbImage;
use kinsight_index::payload::fields;
use kinsight_index::{Filter, Payload, PointId};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::form::Form;
use super::{App, Failure};
use crate::collection::{Collection, Found};
use crate::picture::{Crop, prepare};

/// Results of a search that asks for no number of its own.
const DEFAULT_RESULTS: usize = 24;
const SEARCH_FIELDS: &str = "image, id, not_image, not_id, crop, k, threshold, where or label";

/// What a search asks for.
struct Question {
    positive: Vec<Query>,
    negative: Vec<Query>,
    results: usize,
    threshold: Option<f32>,
    filter: Option<Filter>,
}

/// One picture of a question.
enum Query {
    Upload(Bytes, Option<Crop>),
    Stored(PointId, Option<Crop>),
}

/// `POST /v1/collections/{collection}/search`
pub(super) async fn search(
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
    request: Request,
) -> Result<Json<Value>, Failure> {
    let started = Instant::now();
    let collection = app.collection(&collection)?;
    let (question, _memory) = read_question(&app, request).await?;
    let stored: Vec<PointId> = question.positive.iter().filter_map(Query::whole_stored).collect();
    let vector = embed_question(&app, &collection, question.positive, question.negative).await?;
    let asked = question.results + stored.len();
    let (searched, filter) = (collection.clone(), question.filter);
    let mut found = blocking(move || searched.search(vector, asked, filter)).await?;
    // An image that is its own query is no answer.
    found.retain(|found| !stored.contains(&found.id));
    found.retain(|found| question.threshold.is_none_or(|threshold| found.score >= threshold));
    found.truncate(question.results);
    let verdict = found.first().and_then(|best| collection.verdict(best.score));
    let results: Vec<Value> = found.iter().map(|found| shown(&collection, found)).collect();
    Ok(Json(json!({
        "collection": collection.name(),
        "results": results,
        "classes": classes(&found),
        "verdict": verdict,
        "thresholds": collection.thresholds(),
        "took_ms": (started.elapsed().as_secs_f64() * 1e4).round() / 10.0,
    })))
}

/// `POST /v1/collections/{collection}/embed`
pub(super) async fn embed(
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
    request: Request,
) -> Result<Json<Value>, Failure> {
    let collection = app.collection(&collection)?;
    let mut form = Form::read(&app, request).await?;
    let pictures = form.pictures("image");
    if pictures.is_empty() {
        return Err(no_picture("image"));
    }
    form.refuse_rest("image")?;
    let whole = pictures.into_iter().map(|bytes| (bytes, None)).collect();
    let embeddings = embed_all(&app, &collection, whole).await?;
    Ok(Json(json!({
        "collection": collection.name(),
        "model": collection.fingerprint(),
        "embeddings": embeddings,
    })))
}

async fn read_question(app: &Arc<App>, request: Request) -> Result<(Question, Form), Failure> {
    let mut form = Form::read(app, request).await?;
    let crop = form.one("crop")?.map(|text| Crop::parse(&text)).transpose()?;
    let mut positive: Vec<Query> = form.pictures("image").into_iter().map(|bytes| Query::Upload(bytes, crop)).collect();
    for id in ids(&mut form, "id")? {
        positive.push(Query::Stored(id, crop));
    }
    if crop.is_some() && positive.len() != 1 {
        let message = format!("crop is given with {} pictures, expected one", positive.len());
        return Err(Failure::bad_request("bad_field", message));
    }
    let mut negative: Vec<Query> =
        form.pictures("not_image").into_iter().map(|bytes| Query::Upload(bytes, None)).collect();
    negative.extend(ids(&mut form, "not_id")?.into_iter().map(|id| Query::Stored(id, None)));
    if positive.is_empty() {
        return Err(no_picture("image or id"));
    }
    let limits = &app.settings.limits;
    if positive.len() + negative.len() > limits.max_images {
        let message = format!("{} pictures and ids, at most {}", positive.len() + negative.len(), limits.max_images);
        return Err(Failure::bad_request("too_many_images", message));
    }
    let results = form.number("k", "a whole number of results")?.unwrap_or(DEFAULT_RESULTS);
    if !(1..=limits.max_results).contains(&results) {
        return Err(Failure::bad_field("k", &results.to_string(), &format!("1 to {}", limits.max_results)));
    }
    let threshold: Option<f32> = form.number("threshold", "a score from -1 to 1")?;
    if threshold.is_some_and(|threshold| !(-1.0..=1.0).contains(&threshold)) {
        return Err(Failure::bad_request("bad_field", "threshold is out of range, expected a score from -1 to 1"));
    }
    let filter = read_filter(&mut form)?;
    let question = Question { positive, negative, results, threshold, filter };
    form.refuse_rest(SEARCH_FIELDS)?;
    // The form holds the memory that was reserved for its pictures.
    Ok((question, form))
}

/// `where` and any of the labels.
fn read_filter(form: &mut Form) -> Result<Option<Filter>, Failure> {
    let written: Option<Filter> = form.one("where")?.map(|text| text.parse()).transpose()?;
    let labels = form.all("label");
    let any_label = (!labels.is_empty())
        .then(|| Filter::Any(labels.into_iter().map(|label| Filter::equals(fields::LABEL, label)).collect()));
    Ok(match (written, any_label) {
        (Some(written), Some(label)) => Some(written.and(label)),
        (written, label) => written.or(label),
    })
}

fn ids(form: &mut Form, name: &str) -> Result<Vec<PointId>, Failure> {
    form.all(name).iter().map(|text| parse_id(text)).collect()
}

/// An id of an image; a text that is none names no image.
pub(super) fn parse_id(text: &str) -> Result<PointId, Failure> {
    text.trim().parse().map_err(|_| Failure::no_image(text))
}

fn no_picture(expected: &str) -> Failure {
    Failure::bad_request("no_picture", format!("no picture in the request, expected {expected}"))
        .hint("send multipart/form-data with a file called image, or the picture itself with its image/* type")
}

impl Query {
    fn whole_stored(&self) -> Option<PointId> {
        match self {
            Self::Stored(id, None) => Some(*id),
            _ => None,
        }
    }
}

/// The vector to search with: the mean of what is wanted, less half the mean of what is not, of unit length.
async fn embed_question(
    app: &Arc<App>,
    collection: &Arc<Collection>,
    positive: Vec<Query>,
    negative: Vec<Query>,
) -> Result<Vec<f32>, Failure> {
    let wanted = positive.len();
    let vectors = query_vectors(app, collection, positive.into_iter().chain(negative).collect()).await?;
    let (positive, negative) = vectors.split_at(wanted);
    kinsight_index::combine_queries(positive, negative)
        .map_err(|error| Failure::bad_request("no_direction", error.to_string()))
}

async fn query_vectors(
    app: &Arc<App>,
    collection: &Arc<Collection>,
    queries: Vec<Query>,
) -> Result<Vec<Vec<f32>>, Failure> {
    let mut vectors: Vec<Option<Vec<f32>>> = Vec::with_capacity(queries.len());
    let mut uploads = Vec::new();
    for query in queries {
        match query {
            Query::Stored(id, None) => {
                let asked = collection.clone();
                let point = blocking(move || asked.get(id)).await?.ok_or_else(|| Failure::no_image(&id.to_string()))?;
                vectors.push(Some(point.vector));
            }
            Query::Stored(id, Some(crop)) => {
                uploads.push((collection.read_file(id, app.max_file_bytes()).await?, Some(crop)));
                vectors.push(None);
            }
            Query::Upload(bytes, crop) => {
                uploads.push((bytes, crop));
                vectors.push(None);
            }
        }
    }
    let mut embedded = embed_all(app, collection, uploads).await?.into_iter();
    Ok(vectors.into_iter().map(|vector| vector.or_else(|| embedded.next()).unwrap_or_default()).collect())
}

/// Embeddings of pictures, in order; decoded together, and through the model with whatever else is in flight.
async fn embed_all(
    app: &Arc<App>,
    collection: &Arc<Collection>,
    pictures: Vec<(Bytes, Option<Crop>)>,
) -> Result<Vec<Vec<f32>>, Failure> {
    if pictures.is_empty() {
        return Ok(Vec::new());
    }
    let announcement = app.inference.announce();
    let count = pictures.len();
    let mut tasks = tokio::task::JoinSet::new();
    for (i, (bytes, crop)) in pictures.into_iter().enumerate() {
        let (decoder, preprocess) = (app.decoder.clone(), *collection.model().encoder.preprocess());
        tasks.spawn(async move {
            let picture = decoder.decode(bytes, crop).await?;
            decoder.run(move |_| prepare(&picture, &preprocess)).await.map(|values| (i, values))
        });
    }
    let mut prepared: Vec<Vec<f32>> = vec![Vec::new(); count];
    while let Some(finished) = tasks.join_next().await {
        let (i, values) = finished.map_err(|_| Failure::internal("decoding failed"))??;
        prepared[i] = values;
    }
    let values = app.inference.embed(collection.model().clone(), prepared.concat(), count, announcement).await?;
    let size = collection.model().encoder.embedding_size();
    Ok(values.chunks_exact(size).map(<[f32]>::to_vec).collect())
}

/// The embedding of one decoded picture.
pub(super) async fn embed_picture(
    app: &Arc<App>,
    collection: &Arc<Collection>,
    picture: Arc<RgbImage>,
) -> Result<Vec<f32>, Failure> {
    let announcement = app.inference.announce();
    let preprocess = *collection.model().encoder.preprocess();
    let values = app.decoder.run(move |_| prepare(&picture, &preprocess)).await?;
    Ok(app.inference.embed(collection.model().clone(), values, 1, announcement).await?)
}

/// Runs `work`, which reads or writes the index, away from the threads that answer.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Failure::internal("the index failed on this request"))?
}

/// An image as an answer shows it; where it lies on the server's disk is not the client's business.
fn shown(collection: &Collection, found: &Found) -> Value {
    let mut image = shown_payload(collection, found.id, &found.payload);
    image.insert("score".into(), json!(found.score));
    image.insert("verdict".into(), json!(collection.verdict(found.score)));
    Value::Object(image)
}

/// The part of [`shown`] that does not depend on a query.
pub(super) fn shown_payload(collection: &Collection, id: PointId, payload: &Payload) -> Map<String, Value> {
    let mut image = Map::new();
    image.insert("id".into(), json!(id));
    let path = format!("/v1/collections/{}/images/{id}/thumbnail", collection.name());
    image.insert("thumbnail".into(), json!(path));
    let mut other = Map::new();
    for (name, value) in payload {
        match name.as_str() {
            fields::LABEL | fields::WIDTH | fields::HEIGHT | fields::PATH => {
                image.insert(name.clone(), json!(value));
            }
            _ if fields::ALL.contains(&name.as_str()) => {}
            _ => {
                other.insert(name.clone(), json!(value));
            }
        }
    }
    image.insert("fields".into(), Value::Object(other));
    image
}

/// A label among the results.
#[derive(Debug, Serialize)]
struct ClassVote {
    label: String,
    /// Its best score.
    score: f32,
    /// Its share of the votes.
    share: f64,
}

/// The labels of the best results, first the one that they speak for most: the weighted nearest neighbors of Caron et
/// al., "Emerging Properties in Self-Supervised Vision Transformers" (2021), ten of them at temperature 0.07.
fn classes(found: &[Found]) -> Vec<ClassVote> {
    let voters = &found[..found.len().min(10)];
    let best = voters.first().map_or(0.0, |first| f64::from(first.score));
    let mut votes: Vec<ClassVote> = Vec::new();
    for voter in voters {
        let Some(label) = voter.payload.get(fields::LABEL) else { continue };
        let (label, weight) = (label.text(), ((f64::from(voter.score) - best) / 0.07).exp());
        match votes.iter_mut().find(|vote| vote.label == label) {
            Some(vote) => vote.share += weight,
            None => votes.push(ClassVote { label, score: voter.score, share: weight }),
        }
    }
    let total: f64 = votes.iter().map(|vote| vote.share).sum();
    votes.iter_mut().for_each(|vote| vote.share /= total);
    votes.sort_by(|a, b| b.share.total_cmp(&a.share));
    votes
}
