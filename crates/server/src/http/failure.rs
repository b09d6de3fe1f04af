//! How a request fails over HTTP: a status, a code for programs, a message and a hint for people.
//!
//! The one place where errors become statuses.

use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use kinsight_data::DecodeFault;
use serde::Serialize;
use utoipa::ToSchema;

use crate::service::{KeyError, ServiceError};

/// Seconds after which a refused request may be tried again.
const RETRY_AFTER_SECONDS: u32 = 1;

/// The answer to a request that cannot be served.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    code: &'static str,
    message: String,
    hint: Option<String>,
    /// For the log only: what the client has no business to know.
    cause: Option<String>,
}

/// The message of a failure, kept with the response for the log.
#[derive(Clone, Debug)]
pub(crate) struct FailureNote(pub String);

/// Every failure, as JSON.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Error {
    error: Problem,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// For programs.
    code: &'static str,
    /// For people.
    message: String,
    /// What to do about it.
    hint: Option<String>,
}

impl Failure {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), hint: None, cause: None }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub fn not_found(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", what)
    }

    pub fn too_large(what: &str, limit: usize) -> Self {
        let message = format!("{what} is larger than the {limit} bytes allowed");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
            .hint("send a smaller or more strongly compressed image; the model sees only a few hundred pixels per side")
    }

    pub fn foreign_origin() -> Self {
        Self::new(StatusCode::FORBIDDEN, "foreign_origin", "this request was sent by a page of another site").hint(
            "behind a proxy, let it pass the Host header on (nginx: proxy_set_header Host $host; Apache: ProxyPreserveHost On)",
        )
    }

    pub fn foreign_host() -> Self {
        Self::new(StatusCode::FORBIDDEN, "foreign_host", "this server answers only to the names of this machine")
            .hint("to serve under other names, set a read key, or a write key and --public")
    }
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        use ServiceError as E;
        let (status, code) = match &error {
            E::NoCollection { .. } | E::NoImage { .. } => (StatusCode::NOT_FOUND, "not_found"),
            E::FileGone => (StatusCode::GONE, "file_gone"),
            E::Field { .. } | E::BadField(_) => (StatusCode::BAD_REQUEST, "bad_field"),
            E::TooManyFields { .. } => (StatusCode::BAD_REQUEST, "too_many_fields"),
            E::NoPicture { .. } => (StatusCode::BAD_REQUEST, "no_picture"),
            E::TooManyImages { .. } => (StatusCode::BAD_REQUEST, "too_many_images"),
            E::NoDirection(_) => (StatusCode::BAD_REQUEST, "no_direction"),
            E::Undecodable(fault) => match fault {
                DecodeFault::TooManyPixels { .. } | DecodeFault::FileTooLarge { .. } => {
                    (StatusCode::PAYLOAD_TOO_LARGE, "too_many_pixels")
                }
                DecodeFault::UnknownFormat | DecodeFault::Unsupported { .. } => {
                    (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unknown_format")
                }
                _ => (StatusCode::UNPROCESSABLE_ENTITY, "undecodable"),
            },
            E::DecodeTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_many_pixels"),
            E::Filter(_) => (StatusCode::BAD_REQUEST, "bad_filter"),
            E::FilterTooCostly(_) => (StatusCode::BAD_REQUEST, "filter_too_costly"),
            E::Overloaded(_) | E::TookTooLong | E::Busy => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
            E::DiskFull => (StatusCode::INSUFFICIENT_STORAGE, "disk_full"),
            E::CollectionsFixed => (StatusCode::FORBIDDEN, "collections_fixed"),
            E::Exists { .. } => (StatusCode::CONFLICT, "exists"),
            E::TooManyCollections { .. } => (StatusCode::CONFLICT, "too_many_collections"),
            E::NotMadeHere => (StatusCode::FORBIDDEN, "not_made_here"),
            E::NoModel { .. } => (StatusCode::BAD_REQUEST, "no_model"),
            E::Internal { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        let hint = match &error {
            E::NoCollection { there_are, .. } => Some(there_are.clone()),
            E::NoModel { there_are } => Some(format!("name a collection of that model, as ?like=NAME; {there_are}")),
            E::NoPicture { .. } => Some(
                "send multipart/form-data with a file in the field image, or the image itself with its image/* type"
                    .into(),
            ),
            E::Undecodable(fault) => fault.hint().map(str::to_owned),
            E::DecodeTooLarge { .. } => Some("scale the picture down, or save it as a plain JPEG".into()),
            E::Overloaded(_) => Some("try again in a moment".into()),
            E::TookTooLong => Some("try again in a moment, or ask for less".into()),
            E::FilterTooCostly(_) => Some("use fewer conditions, above all with ~".into()),
            E::Busy => Some("try again when it is done".into()),
            E::CollectionsFixed => {
                Some("start it with --collections FOLDER, or create an index with `kinsight index`".into())
            }
            E::NotMadeHere => {
                Some("its images can be removed one by one; remove its index with the server stopped".into())
            }
            _ => None,
        };
        let message = error.to_string();
        let cause = if let E::Internal { cause, .. } = error { Some(cause) } else { None };
        Self { status, code, message, hint, cause }
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        let message = error.to_string();
        match error {
            KeyError::Missing(_) => Self::new(StatusCode::UNAUTHORIZED, "no_key", message)
                .hint("send the header `Authorization: Bearer KEY`"),
            KeyError::Unknown => Self::new(StatusCode::UNAUTHORIZED, "wrong_key", message),
            KeyError::ReadOnly => Self::new(StatusCode::FORBIDDEN, "read_only_key", message),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self { status, code, message, hint, cause } = self;
        let note = cause.map_or_else(|| message.clone(), |cause| format!("{message}: {cause}"));
        let mut response = (status, Json(Error { error: Problem { code, message, hint } })).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(FailureNote(note));
        response
    }
}
