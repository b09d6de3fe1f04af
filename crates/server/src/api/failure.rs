//! How a request fails: a status, a code for programs, a message and a hint for people.

use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use kinsight_data::DecodeFault;
use kinsight_index::FilterError;
use serde_json::json;

use crate::guard::Access;
use crate::inference::InferenceError;

/// Seconds after which a refused request may be tried again.
const RETRY_AFTER_SECONDS: u32 = 1;

/// The answer to a request that cannot be served.
#[derive(Debug)]
pub(crate) struct Failure {
    pub status: StatusCode,
    code: &'static str,
    message: String,
    hint: Option<String>,
    /// For the log alone.
    cause: Option<String>,
}

/// The message of a failure, kept beside the response for the log.
#[derive(Clone, Debug)]
pub(crate) struct FailureNote(pub String);

impl Failure {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), hint: None, cause: None }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Why it failed, for the log: what the client has no business to know.
    #[must_use]
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub fn bad_field(field: &str, found: &str, expected: &str) -> Self {
        let found: String = found.chars().take(100).collect();
        Self::bad_request("bad_field", format!("{field} is {found:?}, expected {expected}"))
    }

    pub fn not_found(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", what)
    }

    pub fn no_image(id: &str) -> Self {
        let id: String = id.chars().take(64).collect();
        Self::not_found(format!("no image {id:?} in this collection"))
    }

    pub fn too_large(what: &str, limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("{what} is larger than the {limit} bytes allowed"),
        )
        .hint("send a smaller or stronger compressed picture; the model sees a few hundred pixels a side")
    }

    pub fn slow_body() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "slow_body", "the request's body did not arrive in time")
    }

    pub fn overloaded(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message).hint("try again in a moment")
    }

    pub fn internal(message: &str) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    pub fn no_key(access: Access) -> Self {
        let what = if access == Access::Read { "reading" } else { "changing a collection" };
        Self::new(StatusCode::UNAUTHORIZED, "no_key", format!("{what} needs an API key"))
            .hint("send the header `Authorization: Bearer KEY`")
    }

    pub fn wrong_key() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "wrong_key", "this API key is not known here")
    }

    pub fn read_only_key() -> Self {
        Self::new(StatusCode::FORBIDDEN, "read_only_key", "this API key may read and not write")
    }

    pub fn foreign_origin() -> Self {
        Self::new(StatusCode::FORBIDDEN, "foreign_origin", "a page of another site sent this request")
    }

    pub fn foreign_host() -> Self {
        Self::new(StatusCode::FORBIDDEN, "foreign_host", "this server answers to the names of this machine alone")
            .hint("set an API key to serve under other names")
    }

    /// Why an uploaded picture could not be decoded.
    pub fn undecodable(fault: &DecodeFault) -> Self {
        let (status, code) = match fault {
            DecodeFault::TooManyPixels { .. } | DecodeFault::FileTooLarge { .. } => {
                (StatusCode::PAYLOAD_TOO_LARGE, "too_many_pixels")
            }
            DecodeFault::UnknownFormat | DecodeFault::Unsupported { .. } => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unknown_format")
            }
            _ => (StatusCode::UNPROCESSABLE_ENTITY, "undecodable"),
        };
        let failure = Self::new(status, code, format!("cannot decode the picture: {fault}"));
        match fault.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<InferenceError> for Failure {
    fn from(error: InferenceError) -> Self {
        match error {
            InferenceError::QueueFull => Self::overloaded(error.to_string()),
            InferenceError::Stopped | InferenceError::Failed(_) => Self::internal(&error.to_string()),
        }
    }
}

impl From<FilterError> for Failure {
    fn from(error: FilterError) -> Self {
        Self::bad_request("bad_filter", error.to_string())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self { status, code, message, hint, cause } = self;
        let body = json!({ "error": { "code": code, "message": message, "hint": hint } });
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        let note = cause.map_or_else(|| message.clone(), |cause| format!("{message}: {cause}"));
        response.extensions_mut().insert(FailureNote(note));
        response
    }
}
