//! What handlers take besides bodies: the parts of a path, and what follows its question mark.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use kinsight_index::{Filter, PointId};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;
use utoipa::openapi::path::ParameterIn;

use super::describe::{Described, Description};
use super::{App, Failure};
use crate::service::ServiceError;

/// A collection.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct CollectionPath {
    /// Name of a collection
    #[param(pattern = "^[a-z0-9_-]{1,64}$")]
    pub collection: String,
}

/// An image of a collection.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct ImagePath {
    /// Name of a collection
    #[param(pattern = "^[a-z0-9_-]{1,64}$")]
    pub collection: String,
    /// Id of an image
    pub id: String,
}

/// A file of the web page.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct AssetPath {
    /// Name of a file
    pub name: String,
}

/// What part of the images is listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Images of a page
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<usize>,
    /// `next` of the page before
    pub start: Option<u64>,
    /// Instead of a page: this many images, of different labels
    #[param(minimum = 1, maximum = 200)]
    pub sample: Option<usize>,
    /// Filter on the fields of images
    #[serde(rename = "where")]
    #[param(example = "width > 500 and label != shoe")]
    pub filter: Option<String>,
}

/// How large a thumbnail is.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ThumbnailQuery {
    /// Longer side in pixels; the next of 160, 320, 640
    #[param(minimum = 1, default = 320)]
    pub side: Option<u32>,
}

/// What a new collection is like.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct MakeQuery {
    /// Collection whose model the new one has; not needed where all have the same
    pub like: Option<String>,
}

/// What follows a path's question mark, as `T`.
pub(super) struct Asked<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Arc<App>> for Asked<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        let query = Query::from_request_parts(parts, app).await;
        query.map(|Query(asked)| Self(asked)).map_err(|error| Failure::bad_request("bad_field", error.body_text()))
    }
}

impl<T: IntoParams> Described for Asked<T> {
    fn describe(description: &mut Description) {
        let parameters = T::into_params(|| Some(ParameterIn::Query));
        description.operation.parameters.get_or_insert_default().extend(parameters.into_iter().map(Into::into));
        description.fails(&[400]);
    }
}

/// Parses an image id; malformed ids are ids of no image.
pub(super) fn id_of(text: &str) -> Result<PointId, ServiceError> {
    text.trim().parse().map_err(|_| ServiceError::no_image(text))
}

/// Parses a filter, if there is one.
pub(super) fn filter_of(text: Option<&str>) -> Result<Option<Filter>, ServiceError> {
    Ok(text.map(str::parse).transpose()?)
}
