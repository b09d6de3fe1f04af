//! Reading a request: a multipart form with pictures and fields, or a JSON object with fields alone.
//!
//! The body is read whole, within bounds of size, time and of what all requests together hold, before any of it is
//! understood; what a form means is decided by the handler that takes its fields.

use std::sync::Arc;

use axum::extract::{FromRequest, Multipart, Request};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use super::{App, Failure};

/// Longest text of a field.
const MAX_FIELD_BYTES: usize = 32 << 10;
/// Most fields of a form, pictures apart.
const MAX_FIELDS: usize = 256;

/// A request's fields and pictures, in order.
#[derive(Debug)]
pub(crate) struct Form {
    fields: Vec<(String, String)>,
    pictures: Vec<(String, Bytes)>,
    /// Held while the pictures are.
    _memory: OwnedSemaphorePermit,
}

impl Form {
    /// Reads the body of `request`.
    pub async fn read(app: &Arc<App>, request: Request) -> Result<Self, Failure> {
        let limits = &app.settings.limits;
        let (parts, body) = request.into_parts();
        let declared = parts.headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
        if declared.is_some_and(|length: usize| length > limits.max_body_bytes) {
            return Err(Failure::too_large("the request's body", limits.max_body_bytes));
        }
        let memory = reserve(app, declared.unwrap_or(limits.max_body_bytes))?;
        let collected = Limited::new(body, limits.max_body_bytes).collect();
        let bytes = match tokio::time::timeout(limits.body_timeout, collected).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return Err(Failure::too_large("the request's body", limits.max_body_bytes));
            }
            Ok(Err(_)) => return Err(Failure::bad_request("broken_body", "the request's body ended early")),
            Err(_) => return Err(Failure::slow_body()),
        };
        let kind = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let mut form = Self { fields: Vec::new(), pictures: Vec::new(), _memory: memory };
        match kind.as_str() {
            "multipart/form-data" => {
                let request = Request::from_parts(parts, axum::body::Body::from(bytes));
                form.read_multipart(request, limits.max_images).await?;
            }
            "application/json" => form.read_json(&bytes)?,
            kind if kind.starts_with("image/") => form.pictures.push(("image".into(), bytes)),
            _ => {
                let message =
                    format!("the body's type is {kind:?}, expected multipart/form-data, application/json or image/*");
                return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unknown_body", message));
            }
        }
        Ok(form)
    }

    async fn read_multipart(&mut self, request: Request, max_pictures: usize) -> Result<(), Failure> {
        let malformed =
            |why: String| Failure::bad_request("malformed_multipart", format!("malformed multipart body: {why}"));
        let mut parts = Multipart::from_request(request, &()).await.map_err(|error| malformed(error.body_text()))?;
        while let Some(part) = parts.next_field().await.map_err(|error| malformed(error.body_text()))? {
            let name = part.name().unwrap_or_default().to_string();
            let is_file = part.file_name().is_some();
            let bytes = part.bytes().await.map_err(|error| malformed(error.body_text()))?;
            if is_file {
                // The name that the client gives its file is not looked at.
                self.pictures.push((name, bytes));
                if self.pictures.len() > max_pictures {
                    return Err(Failure::bad_request("too_many_images", format!("more than {max_pictures} pictures")));
                }
            } else {
                let text = String::from_utf8(bytes.to_vec())
                    .map_err(|_| Failure::bad_request("bad_field", format!("the field {name:?} is not UTF-8")))?;
                self.push(name, text)?;
            }
        }
        Ok(())
    }

    /// An object of texts, numbers and lists of these.
    fn read_json(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let invalid = |why: String| Failure::bad_request("malformed_json", format!("malformed JSON body: {why}"));
        let value: Value = serde_json::from_slice(bytes).map_err(|error| invalid(error.to_string()))?;
        let Value::Object(object) = value else { return Err(invalid("expected an object".into())) };
        for (name, value) in object {
            let values = match value {
                Value::Array(values) => values,
                Value::Null => continue,
                single => vec![single],
            };
            for value in values {
                let text = match value {
                    Value::String(text) => text,
                    Value::Number(number) => number.to_string(),
                    Value::Bool(flag) => flag.to_string(),
                    _ => return Err(invalid(format!("{name:?} holds neither text nor number"))),
                };
                self.push(name.clone(), text)?;
            }
        }
        Ok(())
    }

    fn push(&mut self, name: String, text: String) -> Result<(), Failure> {
        if text.len() > MAX_FIELD_BYTES {
            return Err(Failure::too_large(&format!("the field {name:?}"), MAX_FIELD_BYTES));
        }
        if self.fields.len() == MAX_FIELDS {
            return Err(Failure::bad_request("too_many_fields", format!("more than {MAX_FIELDS} fields")));
        }
        self.fields.push((name, text));
        Ok(())
    }

    /// Takes all pictures called `name`.
    pub fn pictures(&mut self, name: &str) -> Vec<Bytes> {
        let mut taken = Vec::new();
        self.pictures.retain(|(found, bytes)| {
            if found == name {
                taken.push(bytes.clone());
            }
            found != name
        });
        taken
    }

    /// Takes all values of the field `name`, empty ones left out.
    pub fn all(&mut self, name: &str) -> Vec<String> {
        let mut taken = Vec::new();
        self.fields.retain_mut(|(found, text)| {
            if found == name && !text.trim().is_empty() {
                taken.push(std::mem::take(text));
            }
            found != name
        });
        taken
    }

    /// Takes the field `name`.
    pub fn one(&mut self, name: &str) -> Result<Option<String>, Failure> {
        let mut values = self.all(name);
        match values.len() {
            0 | 1 => Ok(values.pop()),
            count => Err(Failure::bad_request("bad_field", format!("{name} is given {count} times, expected once"))),
        }
    }

    /// Takes the number `name`.
    pub fn number<T: std::str::FromStr>(&mut self, name: &str, expected: &str) -> Result<Option<T>, Failure> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        text.trim().parse().map(Some).map_err(|_| Failure::bad_field(name, &text, expected))
    }

    /// Whatever has not been taken by a field of its own.
    pub fn rest(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.fields)
    }

    /// Fails if anything is left that nobody asked for.
    pub fn refuse_rest(&self, known: &str) -> Result<(), Failure> {
        let left = self.fields.first().map(|(name, _)| name).or(self.pictures.first().map(|(name, _)| name));
        match left {
            None => Ok(()),
            Some(name) => {
                let name: String = name.chars().take(64).collect();
                Err(Failure::bad_request("unknown_field", format!("unknown field {name:?}, expected {known}")))
            }
        }
    }
}

/// Room for a body; none is a moment's overload.
fn reserve(app: &Arc<App>, bytes: usize) -> Result<OwnedSemaphorePermit, Failure> {
    let kibibytes = u32::try_from(bytes.div_ceil(1024).max(1)).unwrap_or(u32::MAX);
    app.upload_memory.clone().try_acquire_many_owned(kibibytes).map_err(|_| {
        app.metrics.refused_for_load.inc();
        Failure::overloaded("the uploads in progress fill the memory set aside for them")
    })
}
