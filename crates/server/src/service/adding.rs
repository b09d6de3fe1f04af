//! Adding an image that a client sends.

use std::sync::Arc;

use bytes::Bytes;
use kinsight_index::payload::fields;
use kinsight_index::{Payload, Point, Value, pixel_hash};

use super::collection::NewImage;
use super::{Collection, Held, Service, ServiceError, Source, Work, prepare};

/// Fields that a client may give an image, and their longest text.
const MAX_OWN_FIELDS: usize = 32;
const MAX_OWN_FIELD_BYTES: usize = 1024;

impl Service {
    /// Puts an image with the client's `fields` into a collection; on the disk when it returns.
    pub async fn add(
        &self,
        work: Work,
        collection: Arc<Collection>,
        bytes: Bytes,
        fields: impl IntoIterator<Item = (String, String)>,
        mut held: Held,
    ) -> Result<Point, ServiceError> {
        let fields = own_fields(fields)?;
        let model = collection.model().clone();
        let preprocess = *model.encoder.preprocess();
        held.add(preprocess.output_len() * size_of::<f32>())?;
        let announcement = self.inference.announce();
        let source = Source { bytes: bytes.clone(), crop: None };
        let decoded = self.decoder.decode(&work, vec![source], move |images| {
            let image = &images[0];
            Ok((image.width(), image.height(), pixel_hash(image), prepare(image, &preprocess)?))
        });
        let (width, height, pixel_hash, values) = decoded.await?;
        let vector = self.inference.embed(model, vec![values], announcement).await?;
        let new = NewImage { bytes, width, height, pixel_hash, vector, fields };
        // Begun, it is finished even if the client goes away.
        work.run(move |_| {
            let added = collection.add(new);
            drop(held);
            added
        })
        .await
    }
}

/// The client's own fields, of which only `label` is one that the index knows.
fn own_fields(given: impl IntoIterator<Item = (String, String)>) -> Result<Payload, ServiceError> {
    let mut payload = Payload::new();
    for (name, text) in given {
        let plain =
            !name.is_empty() && name.len() <= 64 && name.chars().all(|c| c.is_alphanumeric() || "_-. ".contains(c));
        let reserved = fields::ALL.contains(&name.as_str()) && name != fields::LABEL;
        if !plain || reserved {
            let name: String = name.chars().take(64).collect();
            let what =
                if reserved { "set by the server" } else { "not made only of letters, digits, spaces, dots, _ and -" };
            return Err(ServiceError::BadField(format!("the field {name:?} is {what}")));
        }
        if text.len() > MAX_OWN_FIELD_BYTES || text.chars().any(char::is_control) {
            let message = format!("the field {name:?} is longer than {MAX_OWN_FIELD_BYTES} bytes or not plain text");
            return Err(ServiceError::BadField(message));
        }
        let value = if name == fields::LABEL { Value::from(text) } else { Value::of_cell(&text) };
        payload.insert(name, value);
    }
    if payload.len() > MAX_OWN_FIELDS {
        return Err(ServiceError::TooManyFields { most: MAX_OWN_FIELDS });
    }
    Ok(payload)
}
