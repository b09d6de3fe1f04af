//! Reading a request's body: a multipart form with pictures and fields, or a JSON object with fields only, into the type
//! that the handler asks for.
//!
//! The body is bounded while it arrives: in size, in time, and in what the bodies of all requests hold together. It counts
//! by what has arrived, and a request takes one of the places to work only after its body is there, so that clients that
//! send slowly keep no one else waiting.

mod body;
mod fields;
mod json;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Visitor};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{Content, RefOr, Required, Schema};
use utoipa::{PartialSchema, ToSchema};

use self::body::Arriving;
use self::fields::Fields;
use super::describe::{Described, Description};
use super::{App, Failure};
use crate::service::Held;

/// Longest text of a field.
const MAX_FIELD_BYTES: usize = 32 << 10;
/// Most fields of a form, pictures apart.
const MAX_FIELDS: usize = 256;

/// A request's body, as `T`.
#[derive(Debug)]
pub(crate) struct Form<T> {
    pub fields: T,
    pub pictures: Pictures,
    /// The room that the pictures take, to be held as long as they are.
    pub held: Held,
}

/// The pictures of a body, in order.
#[derive(Debug, Default)]
pub(crate) struct Pictures(Vec<Bytes>);

impl Pictures {
    /// The picture that a field names.
    pub fn get(&self, upload: &Upload) -> Bytes {
        self.0.get(upload.0).cloned().unwrap_or_default()
    }
}

/// A field that holds a picture.
#[derive(Debug)]
pub(crate) struct Upload(usize);

impl<T: DeserializeOwned + Send> FromRequest<Arc<App>> for Form<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Failure> {
        let limit = app.service.limits.body_timeout;
        let (parts, body) = request.into_parts();
        let body = Arriving::new(&app.service, &parts.headers, body)?;
        let kind = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let read = async {
            let mut collected = Collected::default();
            let held = match kind.as_str() {
                "multipart/form-data" => {
                    let state = body.state();
                    let request = Request::from_parts(parts, Body::new(body));
                    let read = collected.read_multipart(request, app.service.limits.max_images).await;
                    // Why the body ended, where it is the body that ended, says more than that it is cut off.
                    let held = state.finish()?;
                    read?;
                    held
                }
                "application/json" => {
                    let (bytes, held) = body.whole(MAX_FIELDS * MAX_FIELD_BYTES).await?;
                    // Away from the threads that answer: it may be megabytes.
                    let parsed = tokio::task::spawn_blocking(move || json::parse(&bytes)).await;
                    collected.fields = parsed.map_err(|_| malformed("JSON", "the parser failed"))??;
                    held
                }
                kind if kind.starts_with("image/") => {
                    let (bytes, held) = body.whole(usize::MAX).await?;
                    collected.pictures.0.push(bytes);
                    collected.fields.picture("image", 0);
                    held
                }
                _ => {
                    let message = format!(
                        "the body has type {kind:?}, expected multipart/form-data, application/json or image/*"
                    );
                    return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unknown_body", message));
                }
            };
            let Collected { fields, pictures } = collected;
            Ok(Self { fields: fields.read()?, pictures, held })
        };
        tokio::time::timeout(limit, read).await.unwrap_or_else(|_| {
            let message = "the request body did not arrive in time";
            Err(Failure::new(StatusCode::REQUEST_TIMEOUT, "slow_body", message))
        })
    }
}

/// What has been read of a body.
#[derive(Default)]
struct Collected {
    fields: Fields,
    pictures: Pictures,
}

impl Collected {
    async fn read_multipart(&mut self, request: Request, max_pictures: usize) -> Result<(), Failure> {
        let malformed = |why: String| malformed("multipart", &why);
        let mut parts = Multipart::from_request(request, &()).await.map_err(|error| malformed(error.body_text()))?;
        while let Some(part) = parts.next_field().await.map_err(|error| malformed(error.body_text()))? {
            let name = part.name().unwrap_or_default().to_owned();
            let header = |header| part.headers().get(header).map(|value| value.as_bytes()).unwrap_or_default();
            // The name that the client gives its file is not looked at, only that it has one (filename* is RFC 5987's).
            let is_picture = part.file_name().is_some()
                || header(CONTENT_TYPE).to_ascii_lowercase().starts_with(b"image/")
                || header(CONTENT_DISPOSITION).to_ascii_lowercase().windows(10).any(|text| text == b"filename*=");
            let bytes = part.bytes().await.map_err(|error| malformed(error.body_text()))?;
            if is_picture {
                self.fields.picture(&name, self.pictures.0.len());
                self.pictures.0.push(bytes);
                if self.pictures.0.len() > max_pictures {
                    return Err(Failure::bad_request("too_many_images", format!("more than {max_pictures} images")));
                }
            } else {
                let text = String::from_utf8(bytes.to_vec()).map_err(|_| match name.as_str() {
                    "image" | "not_image" => fields::sent_as_text(&name),
                    _ => Failure::bad_request("bad_field", format!("the field {name:?} is not UTF-8")),
                })?;
                self.fields.text(name, text)?;
            }
        }
        Ok(())
    }
}

fn malformed(what: &str, why: &str) -> Failure {
    let code = if what == "JSON" { "malformed_json" } else { "malformed_multipart" };
    Failure::bad_request(code, format!("malformed {what} body: {why}"))
}

impl<'de> Deserialize<'de> for Upload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Upload;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a picture")
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Upload, E> {
                usize::try_from(number).map(Upload).map_err(E::custom)
            }
        }
        // Only `Fields` knows how a picture is told from a text.
        deserializer.deserialize_bytes(Number)
    }
}

impl PartialSchema for Upload {
    fn schema() -> RefOr<Schema> {
        let binary = SchemaFormat::KnownFormat(KnownFormat::Binary);
        let picture = ObjectBuilder::new().schema_type(Type::String).format(Some(binary));
        picture.description(Some("A picture")).into()
    }
}

impl ToSchema for Upload {}

impl<T: ToSchema> Described for Form<T> {
    fn describe(description: &mut Description) {
        let mut named = Vec::new();
        T::schemas(&mut named);
        description.schemas.extend(named);
        let whole = T::schema();
        let content = |schema| Content::new(Some(schema));
        let mut body = RequestBodyBuilder::new()
            .required(Some(Required::True))
            .content("multipart/form-data", content(whole.clone()));
        if let RefOr::T(Schema::Object(mut object)) = whole {
            let pictures = object.properties.len();
            object.properties.retain(|_, schema| !holds_pictures(schema));
            let has_pictures = object.properties.len() < pictures;
            let without: Vec<String> = object.required.drain(..).collect();
            object.required = without.into_iter().filter(|name| object.properties.contains_key(name)).collect();
            body = body.content("application/json", content(RefOr::T(Schema::Object(object))));
            if has_pictures {
                body = body.content("image/*", content(Upload::schema()));
            }
        }
        description.operation.request_body = Some(body.build().into());
        description.fails(&[400, 404, 408, 413, 415, 422, 503]);
    }
}

/// Whether a schema is that of [`Upload`], or a list of it.
fn holds_pictures(schema: &RefOr<Schema>) -> bool {
    serde_json::to_string(schema).is_ok_and(|text| text.contains("\"format\":\"binary\""))
}
