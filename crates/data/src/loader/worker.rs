//! Loading one batch, on a worker thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::plan::Plan;
use super::report::Fault;
use super::{Batch, Shared, Unreadable};
use crate::decode::{DecodeError, DecodeFault, decode_file};
use crate::error::DataError;
use crate::rgb_image::RgbImage;
use crate::transform::Scratch;

/// A batch, and the unreadable images found while loading it.
pub(super) struct Loaded {
    pub batch: Result<Batch, DataError>,
    pub faults: Vec<Fault>,
}

/// Loads batch `number` of `plan`; `None` if `stop` was raised meanwhile.
pub(super) fn load(
    shared: &Shared,
    plan: &Plan,
    number: usize,
    scratch: &mut Scratch,
    stop: &AtomicBool,
) -> Option<Loaded> {
    let wanted = plan.batch(number);
    let row_len = shared.eval.preprocess().output_len();
    let mut faults = Vec::new();
    let mut batch = Batch {
        number,
        images: vec![0.0; wanted.len() * row_len],
        labels: Vec::with_capacity(wanted.len()),
        indices: Vec::with_capacity(wanted.len()),
        side_px: shared.eval.preprocess().input_size_px,
    };
    for (position, &index) in wanted.iter().enumerate() {
        if stop.load(Ordering::Relaxed) {
            return None;
        }
        let (index, image) = match readable(shared, index, &mut faults) {
            Ok(Some(found)) => found,
            Ok(None) => continue,
            Err(error) => return Some(Loaded { batch: Err(error), faults }),
        };
        let row = batch.indices.len() * row_len;
        let out = &mut batch.images[row..row + row_len];
        let written = match plan.rng(number, position) {
            Some(mut rng) => {
                let drawn = shared.train.draw(image.width(), image.height(), &mut rng);
                shared.train.apply(&image, drawn, scratch, out)
            }
            None => shared.eval.apply(&image, scratch, out),
        };
        if let Err(error) = written {
            return Some(Loaded { batch: Err(error), faults });
        }
        batch.indices.push(index);
        batch.labels.push(shared.dataset.items[index].label);
    }
    batch.images.truncate(batch.indices.len() * row_len);
    Some(Loaded { batch: Ok(batch), faults })
}

/// Image `index` with its position, or if it is unreadable the next readable one of its class, or `None` to skip it.
fn readable(
    shared: &Shared,
    index: usize,
    faults: &mut Vec<Fault>,
) -> Result<Option<(usize, Arc<RgbImage>)>, DataError> {
    let mut attempt = |index: usize| {
        let item = &shared.dataset.items[index];
        let decoded = shared.cache.get_or_decode(index, || {
            let image = decode_file(&item.path, shared.options.limits)?;
            let Some(crop) = item.crop else { return Ok(image) };
            let (width, height) = (image.width(), image.height());
            let part = crop.clamped(width, height).and_then(|crop| image.crop(crop).ok());
            part.ok_or_else(|| DecodeError {
                path: item.path.clone(),
                fault: DecodeFault::BoxOutside { width, height },
            })
        });
        decoded.map_err(|error| faults.push(Fault { index, reason: error.fault.to_string() })).ok()
    };
    if let Some(image) = attempt(index) {
        return Ok(Some((index, image)));
    }
    if shared.options.unreadable == Unreadable::Skip {
        return Ok(None);
    }
    let label = shared.dataset.items[index].label as usize;
    let class = shared.items_by_class.get(label).map_or(&[][..], Vec::as_slice);
    let after = class.partition_point(|&other| other <= index);
    let others = class[after..].iter().chain(&class[..after]).copied().filter(|&other| other != index);
    for other in others {
        if let Some(image) = attempt(other) {
            return Ok(Some((other, image)));
        }
    }
    let class = shared.dataset.class_names.get(label).cloned().unwrap_or_default();
    Err(DataError::NoReadableImage { class })
}
