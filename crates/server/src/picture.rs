//! From the bytes of an upload to what the model takes.
//!
//! Decoding runs on threads of its own, at most one a core, because that bounds its memory: a picture within the limit of
//! pixels can take a few hundred megabytes while it is decoded.

use std::sync::Arc;

use bytes::Bytes;
use kinsight_data::{DecodeLimits, EvalTransform, Preprocess, RgbImage, Scratch, decode_bytes};
use tokio::sync::Semaphore;

use crate::api::Failure;

/// Decodes within bounds.
#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    slots: Arc<Semaphore>,
    limits: DecodeLimits,
}

/// A part of a picture, in pixels of the upright picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Crop {
    pub left: u32,
    pub top: u32,
    pub width: u32,
    pub height: u32,
}

impl Crop {
    /// Reads `x,y,width,height`.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let numbers: Vec<u32> = text.split(',').map_while(|part| part.trim().parse().ok()).collect();
        match numbers[..] {
            [left, top, width, height] if width > 0 && height > 0 && text.split(',').count() == 4 => {
                Ok(Self { left, top, width, height })
            }
            _ => Err(Failure::bad_field("crop", text, "x,y,width,height in whole pixels, as 10,20,300,200")),
        }
    }

    /// This part of `picture`.
    pub fn of(self, picture: &RgbImage) -> Result<RgbImage, Failure> {
        let Self { left, top, width, height } = self;
        let fits = |start: u32, length: u32, whole: u32| start.checked_add(length).is_some_and(|end| end <= whole);
        if !fits(left, width, picture.width()) || !fits(top, height, picture.height()) {
            let found = format!("{left},{top},{width},{height}");
            let expected = format!("a part of the picture's {} x {} pixels", picture.width(), picture.height());
            return Err(Failure::bad_field("crop", &found, &expected));
        }
        let row_bytes = picture.width() as usize * 3;
        let mut pixels = Vec::with_capacity(width as usize * height as usize * 3);
        for row in picture.pixels().chunks_exact(row_bytes).skip(top as usize).take(height as usize) {
            pixels.extend_from_slice(&row[left as usize * 3..(left + width) as usize * 3]);
        }
        RgbImage::new(width, height, pixels).map_err(|error| Failure::internal(&error.to_string()))
    }
}

impl Decoder {
    pub fn new(max_pixels: u64) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { slots: Arc::new(Semaphore::new(cores)), limits: DecodeLimits { max_pixels } }
    }

    /// Runs `work` on a decoding thread with these limits.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(DecodeLimits) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let stopped = |_| Failure::internal("the decoder has stopped");
        let permit = self.slots.clone().acquire_owned().await.map_err(stopped)?;
        let limits = self.limits;
        let result = tokio::task::spawn_blocking(move || {
            let result = work(limits);
            drop(permit);
            result
        });
        result.await.map_err(|_| Failure::internal("decoding failed"))?
    }

    /// The picture in `bytes`, or the part of it under `crop`.
    pub async fn decode(&self, bytes: Bytes, crop: Option<Crop>) -> Result<RgbImage, Failure> {
        self.run(move |limits| {
            let picture = decode_bytes(&bytes, limits).map_err(|fault| Failure::undecodable(&fault))?;
            match crop {
                Some(crop) => crop.of(&picture),
                None => Ok(picture),
            }
        })
        .await
    }
}

/// What the model takes: `[3, S, S]`.
pub(crate) fn prepare(picture: &RgbImage, preprocess: &Preprocess) -> Result<Vec<f32>, Failure> {
    let failed = |error: kinsight_data::DataError| Failure::internal(&error.to_string());
    let transform = EvalTransform::new(*preprocess).map_err(failed)?;
    let mut values = vec![0.0; preprocess.output_len()];
    transform.apply(picture, &mut Scratch::new(), &mut values).map_err(failed)?;
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crops_are_parts_of_the_picture() {
        let picture = RgbImage::new(4, 3, (0..36).collect()).unwrap();
        let part = Crop::parse("1, 2,2,1").unwrap().of(&picture).unwrap();
        assert_eq!((part.width(), part.height(), part.pixels()), (2, 1, &[27, 28, 29, 30, 31, 32][..]));
        for text in ["", "1,2,3", "0,0,0,1", "-1,0,2,2", "0,0,2,2,2", "0,0,2.5,2", "a,b,c,d"] {
            assert!(Crop::parse(text).is_err(), "{text}");
        }
        for text in ["0,0,5,1", "3,0,2,1", "0,3,1,1", "4294967295,0,2,1"] {
            assert!(Crop::parse(text).unwrap().of(&picture).is_err(), "{text}");
        }
    }
}
