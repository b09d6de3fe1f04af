//! From the bytes of an upload to what the model takes, with bounded memory.
//!
//! A small file can declare many pixels: a blank image of 50 million pixels is a file of 150 KB and takes 150 MB decoded. So
//! each image is weighed by what its header declares before anything is decoded, and waits until its bytes fit. Decoding,
//! cropping and transforming happen in one go on one thread: what is left is the transform's output, 600 KB at 224 pixels.
//!
//! Large images have a queue, memory and threads apart from small ones, so that a few of them do not keep others waiting.

use std::sync::Arc;

use bytes::Bytes;
use kinsight_data::{
    CropBox, DecodeCost, DecodeLimits, EvalTransform, Preprocess, RgbImage, Scratch, decode_bytes, decode_cost,
};
use kinsight_index::Cancel;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{ServiceError, Work};
use crate::settings::Limits;

/// An encoded image, and the part of it that is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub bytes: Bytes,
    pub crop: Option<CropBox>,
}

/// Reads `left,top,width,height`.
pub(crate) fn parse_crop(text: &str) -> Result<CropBox, ServiceError> {
    text.parse().map_err(|expected: String| {
        ServiceError::field("crop", text, expected.trim_start_matches("expected ").to_owned())
    })
}

/// The part of `image` under `crop`.
fn cropped(image: &RgbImage, crop: CropBox) -> Result<RgbImage, ServiceError> {
    image.crop(crop).map_err(|_| {
        let expected = format!("a part of the image's {} x {} pixels", image.width(), image.height());
        ServiceError::field("crop", &crop.to_string(), expected)
    })
}

/// Decodes within bounds of memory and threads.
#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    small: Lane,
    large: Lane,
    limits: DecodeLimits,
    cores: usize,
}

/// Threads and memory for images of one kind.
#[derive(Clone, Debug)]
struct Lane {
    threads: Arc<Semaphore>,
    memory_kib: Arc<Semaphore>,
    total_bytes: u64,
}

/// What several images take that are decoded one after the other and kept.
struct Cost {
    largest: DecodeCost,
    peak_bytes: u64,
}

/// Held while images are decoded.
type Permits = (OwnedSemaphorePermit, OwnedSemaphorePermit);

/// What became of images that were weighed.
enum Weighed<T, F> {
    Done(T),
    /// There is no room at once.
    Waits(Cost, Vec<Source>, F),
}

impl Decoder {
    pub fn new(limits: &Limits) -> Self {
        Self::for_cores(limits, std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// As on a machine with this many cores.
    pub fn for_cores(limits: &Limits, cores: usize) -> Self {
        let total = limits.max_decode_memory_bytes as u64;
        let small = (total / 4).min(128 << 20);
        Self {
            small: Lane::new(cores, small),
            large: Lane::new((cores / 2).max(1), total - small),
            limits: DecodeLimits { max_pixels: limits.max_pixels },
            cores,
        }
    }

    /// How many images of one request are worth handing over at once; more would only queue before those of others.
    pub fn at_once(&self) -> usize {
        self.cores
    }

    /// Decodes `sources` and hands the images to `then`, on the same thread. They are gone when it returns.
    ///
    /// # Errors
    /// Images that cannot be decoded or take more memory than there is, or what `then` fails with.
    pub async fn decode<T, F>(&self, work: &Work, sources: Vec<Source>, then: F) -> Result<T, ServiceError>
    where
        T: Send + 'static,
        F: FnOnce(Vec<RgbImage>) -> Result<T, ServiceError> + Send + 'static,
    {
        let thread = acquire(&self.small.threads, 1).await?;
        let (limits, small) = (self.limits, self.small.clone());
        let weighed = work.run(move |cancel| {
            let cost = cost_of(&sources, limits)?;
            match small.takes(&cost).then(|| small.memory_kib.clone().try_acquire_many_owned(kib(cost.peak_bytes))) {
                Some(Ok(memory)) => decoded(sources, limits, cancel, (thread, memory), then).map(Weighed::Done),
                _ => Ok(Weighed::Waits(cost, sources, then)),
            }
        });
        let (cost, sources, then) = match weighed.await? {
            Weighed::Done(done) => return Ok(done),
            Weighed::Waits(cost, sources, then) => (cost, sources, then),
        };
        let lane = if self.small.takes(&cost) { &self.small } else { &self.large };
        if cost.peak_bytes > lane.total_bytes {
            let DecodeCost { width, height, .. } = cost.largest;
            let (needed_bytes, most_bytes) = (cost.peak_bytes, lane.total_bytes);
            return Err(ServiceError::DecodeTooLarge { width, height, needed_bytes, most_bytes });
        }
        let memory = acquire(&lane.memory_kib, kib(cost.peak_bytes)).await?;
        let thread = acquire(&lane.threads, 1).await?;
        work.run(move |cancel| decoded(sources, limits, cancel, (thread, memory), then)).await
    }
}

impl Lane {
    fn new(threads: usize, total_bytes: u64) -> Self {
        let memory_kib = Arc::new(Semaphore::new(kib(total_bytes) as usize));
        Self { threads: Arc::new(Semaphore::new(threads)), memory_kib, total_bytes }
    }

    /// Whether this, as the lane of small images, takes them: half of it at most, so that there is always room for others.
    fn takes(&self, cost: &Cost) -> bool {
        cost.peak_bytes <= self.total_bytes / 2
    }
}

async fn acquire(semaphore: &Arc<Semaphore>, count: u32) -> Result<OwnedSemaphorePermit, ServiceError> {
    let permit = semaphore.clone().acquire_many_owned(count).await;
    permit.map_err(|error| ServiceError::internal("the decoder has stopped", error))
}

fn kib(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}

fn cost_of(sources: &[Source], limits: DecodeLimits) -> Result<Cost, ServiceError> {
    let (mut peak_bytes, mut kept, mut largest) = (0, 0, None::<DecodeCost>);
    for source in sources {
        let cost = decode_cost(&source.bytes, limits).map_err(ServiceError::Undecodable)?;
        let copies = if source.crop.is_some() { 2 } else { 1 };
        peak_bytes = peak_bytes.max(kept + cost.peak_bytes.max(cost.image_bytes() * copies));
        kept += cost.image_bytes();
        largest = largest.filter(|known| known.peak_bytes >= cost.peak_bytes).or(Some(cost));
    }
    let largest = largest.ok_or(ServiceError::NoPicture { expected: "image" })?;
    Ok(Cost { largest, peak_bytes })
}

/// The permits are given back here, not when the client is answered.
fn decoded<T>(
    sources: Vec<Source>,
    limits: DecodeLimits,
    cancel: &Cancel,
    permits: Permits,
    then: impl FnOnce(Vec<RgbImage>) -> Result<T, ServiceError>,
) -> Result<T, ServiceError> {
    let mut images = Vec::with_capacity(sources.len());
    for source in sources {
        if cancel.is_cancelled() {
            return Err(ServiceError::TookTooLong);
        }
        let image = decode_bytes(&source.bytes, limits).map_err(ServiceError::Undecodable)?;
        images.push(match source.crop {
            Some(crop) => cropped(&image, crop)?,
            None => image,
        });
    }
    let result = then(images);
    drop(permits);
    result
}

/// What the model takes: `[3, S, S]`.
pub(crate) fn prepare(picture: &RgbImage, preprocess: &Preprocess) -> Result<Vec<f32>, ServiceError> {
    let transform = EvalTransform::new(*preprocess)?;
    let mut values = vec![0.0; preprocess.output_len()];
    transform.apply(picture, &mut Scratch::new(), &mut values)?;
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crops_are_parts_of_the_picture() {
        let picture = RgbImage::new(4, 3, (0..36).collect()).unwrap();
        let part = cropped(&picture, parse_crop("1, 2,2,1").unwrap()).unwrap();
        assert_eq!((part.width(), part.height(), part.pixels()), (2, 1, &[27, 28, 29, 30, 31, 32][..]));
        for text in ["", "1,2,3", "0,0,0,1", "-1,0,2,2", "0,0,2,2,2", "0,0,2.5,2", "a,b,c,d"] {
            assert!(parse_crop(text).is_err(), "{text}");
        }
        for text in ["0,0,5,1", "3,0,2,1", "0,3,1,1", "4294967295,0,2,1"] {
            assert!(cropped(&picture, parse_crop(text).unwrap()).is_err(), "{text}");
        }
    }
}
