//! What answers say, field by field: the types that JSON is written from and that the API is described by.

use std::collections::BTreeMap;

use kinsight_index::payload::fields;
use kinsight_index::{Payload, Point, PointId, Value};
use serde::Serialize;
use utoipa::ToSchema;

use crate::service::{ClassVote, Collection, Found, Thresholds, classes};
use crate::settings::Limits;
use kinsight_report::explanation;

/// A number or a text.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum FieldValue {
    Number(f64),
    Text(String),
}

impl From<&Value> for FieldValue {
    fn from(value: &Value) -> Self {
        match value {
            Value::Number(number) => Self::Number(*number),
            Value::Text(text) => Self::Text(text.clone()),
        }
    }
}

/// An image of a collection; where it lies on the server's disk is not the client's business.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Image {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub label: Option<FieldValue>,
    /// Below the folder that was indexed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub path: Option<FieldValue>,
    /// In pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub width: Option<FieldValue>,
    /// In pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub height: Option<FieldValue>,
    /// Path of its thumbnail.
    pub thumbnail: String,
    /// Fields that it was added or indexed with.
    pub fields: BTreeMap<String, FieldValue>,
}

impl Image {
    pub fn new(collection: &Collection, id: PointId, payload: &Payload) -> Self {
        let value = |name: &str| payload.get(name).map(FieldValue::from);
        let others = payload.iter().filter(|(name, _)| !fields::ALL.contains(&name.as_str()));
        Self {
            id: id.to_string(),
            label: value(fields::LABEL),
            path: value(fields::PATH),
            width: value(fields::WIDTH),
            height: value(fields::HEIGHT),
            thumbnail: format!("/v1/collections/{}/images/{id}/thumbnail", collection.name()),
            fields: others.map(|(name, value)| (name.clone(), value.into())).collect(),
        }
    }

    pub fn of(collection: &Collection, point: &Point) -> Self {
        Self::new(collection, point.id, &point.payload)
    }
}

/// An image that was found.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Hit {
    #[serde(flatten)]
    pub image: Image,
    /// Cosine similarity.
    pub score: f32,
    /// What the score means, where that was measured: duplicate, same, similar or unknown.
    pub verdict: Option<&'static str>,
}

/// Results, most similar first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Results {
    pub collection: String,
    pub results: Vec<Hit>,
    /// Labels of the nearest, first the one with most of the votes.
    pub classes: Vec<ClassVote>,
    /// What the best score means.
    pub verdict: Option<&'static str>,
    pub thresholds: Option<Thresholds>,
    pub took_ms: f64,
}

impl Results {
    pub fn new(collection: &Collection, found: &[Found], took_ms: f64) -> Self {
        let hit = |found: &Found| Hit {
            image: Image::new(collection, found.id, &found.payload),
            score: found.score,
            verdict: collection.verdict(found.score),
        };
        Self {
            collection: collection.name().to_owned(),
            results: found.iter().map(hit).collect(),
            classes: classes(found),
            verdict: found.first().and_then(|best| collection.verdict(best.score)),
            thresholds: collection.thresholds(),
            took_ms,
        }
    }
}

/// What determines the embeddings: those of equal fingerprints can be compared.
#[derive(Debug, Serialize, ToSchema)]
#[schema(value_type = Object)]
pub(super) struct Fingerprint(pub kinsight_index::Fingerprint);

/// One unit vector for each picture.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Embeddings {
    pub collection: String,
    pub model: Fingerprint,
    pub embeddings: Vec<Vec<f32>>,
}

/// A page of images.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ImagePage {
    pub images: Vec<Image>,
    /// Where the next page starts; null after the last.
    pub next: Option<u64>,
}

/// A label and how many images have it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LabelCount {
    pub label: String,
    pub images: u64,
}

/// The model of a collection.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Model {
    pub name: String,
    pub embedding_size: usize,
    /// Memory that it takes besides the backbone that it shares.
    pub own_bytes: usize,
    /// Whether its images share batches with those of other models.
    pub shares_batches: bool,
    pub fingerprint: Fingerprint,
}

/// A collection.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Collection)]
pub(super) struct CollectionAnswer {
    pub name: String,
    pub images: usize,
    /// The most frequent first, 2,000 at most.
    pub labels: Vec<LabelCount>,
    pub thresholds: Option<Thresholds>,
    pub model: Model,
    /// Made through the server: DELETE removes it.
    pub removable: bool,
    pub writing_needs_key: bool,
}

/// What one request may use.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RequestLimits {
    pub max_body_bytes: usize,
    pub max_pixels: u64,
    pub max_images: usize,
    pub max_results: usize,
}

impl From<&Limits> for RequestLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            max_body_bytes: limits.max_body_bytes,
            max_pixels: limits.max_pixels,
            max_images: limits.max_images,
            max_results: limits.max_results,
        }
    }
}

/// All collections.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Collections {
    pub collections: Vec<CollectionAnswer>,
    pub limits: RequestLimits,
}

/// Why two images are similar.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Explanation {
    /// Cosine similarity of the embeddings.
    pub similarity: f64,
    /// The part of it that pairs of patches give.
    pub from_patches: f64,
    /// The part that no pair of patches gives: class token, prompts, biases.
    pub rest: f64,
    /// Patches along one side of what the model sees.
    pub grid: usize,
    pub first: Side,
    pub second: Side,
    /// The pairs of patches that give most, each patch in one at most.
    pub pairs: Vec<Pair>,
    /// For each patch of the first image, those of the second that it has most in common with: index and share.
    #[schema(value_type = Vec<Vec<Vec<f32>>>)]
    pub links: Vec<Vec<(usize, f32)>>,
}

/// One of the two images.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Side {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    pub view: View,
    /// Attention of the class token in the last block, a share for each patch, row by row.
    pub attention: Vec<f32>,
    /// Part of the similarity that each patch gives; may be negative.
    pub evidence: Vec<f32>,
    /// What each prompt looks at: a share for each patch; empty without prompts.
    pub prompts: Vec<Vec<f32>>,
}

/// The square that the model sees, in shares of the image's sides.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct View {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
}

/// Two patches that answer to each other.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Pair {
    pub first: usize,
    pub second: usize,
    /// Part of the similarity that they give.
    pub share: f32,
}

impl From<explanation::Explanation> for Explanation {
    fn from(of: explanation::Explanation) -> Self {
        let side = |side: explanation::Side| Side {
            width: side.width,
            height: side.height,
            view: View { left: side.view.left, top: side.view.top, width: side.view.width, height: side.view.height },
            attention: side.attention,
            evidence: side.evidence,
            prompts: side.prompts,
        };
        Self {
            similarity: of.similarity,
            from_patches: of.from_patches,
            rest: of.rest,
            grid: of.grid,
            first: side(of.first),
            second: side(of.second),
            pairs: of.pairs.iter().map(|p| Pair { first: p.first, second: p.second, share: p.share }).collect(),
            links: of.links,
        }
    }
}
