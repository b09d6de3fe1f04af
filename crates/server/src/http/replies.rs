//! What answers are over HTTP: status, headers and type of each kind.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::Explanation;
use super::describe::{Described, Description};

impl<T: Serialize + ToSchema> Described for Json<T> {
    fn describe(description: &mut Description) {
        let schema = description.schema::<T>();
        description.answers(200, "The answer", &[("application/json", Some(schema))]);
    }
}

/// 201, with the place of what is now on the disk.
pub(super) struct Created<T> {
    pub place: String,
    pub body: T,
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, [(LOCATION, self.place)], Json(self.body)).into_response()
    }
}

impl<T: Serialize + ToSchema> Described for Created<T> {
    fn describe(description: &mut Description) {
        let schema = description.schema::<T>();
        description.answers(201, "It is on the disk", &[("application/json", Some(schema))]);
    }
}

/// 204: it is gone.
pub(super) struct Gone;

impl IntoResponse for Gone {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

impl Described for Gone {
    fn describe(description: &mut Description) {
        description.answers(204, "Gone", &[]);
    }
}

/// A small JPEG.
pub(super) struct Jpeg(pub Bytes);

impl IntoResponse for Jpeg {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, "image/jpeg"), (CACHE_CONTROL, "private, max-age=300")], self.0).into_response()
    }
}

impl Described for Jpeg {
    fn describe(description: &mut Description) {
        description.answers(200, "JPEG", &[("image/jpeg", None)]);
    }
}

/// An explanation as numbers or as a picture.
pub(super) enum ExplainAnswer {
    Numbers(Box<Explanation>),
    Png(Vec<u8>),
}

impl IntoResponse for ExplainAnswer {
    fn into_response(self) -> Response {
        match self {
            Self::Numbers(explanation) => Json(explanation).into_response(),
            Self::Png(png) => ([(CONTENT_TYPE, "image/png")], png).into_response(),
        }
    }
}

impl Described for ExplainAnswer {
    fn describe(description: &mut Description) {
        let schema = description.schema::<Explanation>();
        let content = [("application/json", Some(schema)), ("image/png", None)];
        description.answers(200, "What each part of both pictures gives", &content);
    }
}

/// Text for people and probes.
pub(super) struct Text(pub &'static str);

impl IntoResponse for Text {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

impl Described for Text {
    fn describe(description: &mut Description) {
        description.answers(200, "It answers", &[("text/plain", None)]);
    }
}

/// Counters for Prometheus.
pub(super) struct OpenMetrics(pub String);

impl IntoResponse for OpenMetrics {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], self.0).into_response()
    }
}

impl Described for OpenMetrics {
    fn describe(description: &mut Description) {
        description.answers(200, "Metrics", &[("application/openmetrics-text", None)]);
    }
}

/// A file of the web page: its type and its text.
pub(super) struct Asset(pub &'static str, pub &'static str);

impl IntoResponse for Asset {
    fn into_response(self) -> Response {
        // The names do not change with their content, so a browser asks again each time.
        ([(CONTENT_TYPE, self.0), (CACHE_CONTROL, "no-cache")], self.1).into_response()
    }
}

impl Described for Asset {
    fn describe(description: &mut Description) {
        description.answers(200, "A file of the web page", &[("*/*", None)]);
    }
}
