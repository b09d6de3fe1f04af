//! A cache of decoded images across epochs.
//!
//! It fills up to its bound and never evicts. Each epoch visits every image once in a new order, and under such a load an
//! LRU cache evicts images shortly before they are needed, while fixed contents save their share of each epoch's
//! decoding.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::rgb_image::RgbImage;

#[derive(Debug)]
pub(super) struct ImageCache {
    slots: Vec<OnceLock<Arc<RgbImage>>>,
    used_bytes: AtomicU64,
    max_bytes: u64,
}

impl ImageCache {
    /// A cache for a dataset of `len` images, of at most `max_bytes`.
    pub(super) fn new(len: usize, max_bytes: u64) -> Self {
        let len = if max_bytes == 0 { 0 } else { len };
        Self { slots: (0..len).map(|_| OnceLock::new()).collect(), used_bytes: AtomicU64::new(0), max_bytes }
    }

    /// Image `index` from the cache or from `decode`; cached if there is room.
    pub(super) fn get_or_decode<E>(
        &self,
        index: usize,
        decode: impl FnOnce() -> Result<RgbImage, E>,
    ) -> Result<Arc<RgbImage>, E> {
        let slot = self.slots.get(index);
        if let Some(image) = slot.and_then(OnceLock::get) {
            return Ok(Arc::clone(image));
        }
        let image = Arc::new(decode()?);
        if let Some(slot) = slot
            && self.reserve(image.pixels().len() as u64)
            && slot.set(Arc::clone(&image)).is_err()
        {
            // Another thread has cached the same image meanwhile.
            self.used_bytes.fetch_sub(image.pixels().len() as u64, Ordering::Relaxed);
        }
        Ok(image)
    }

    /// Number and bytes of the cached images.
    pub(super) fn kept(&self) -> (usize, u64) {
        let kept = self.slots.iter().filter(|slot| slot.get().is_some()).count();
        (kept, self.used_bytes.load(Ordering::Relaxed))
    }

    fn reserve(&self, bytes: u64) -> bool {
        let fits = |used: u64| used.checked_add(bytes).filter(|&sum| sum <= self.max_bytes);
        self.used_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(side: u32) -> Result<RgbImage, ()> {
        RgbImage::new(side, side, vec![7; (side * side * 3) as usize]).map_err(|_| ())
    }

    #[test]
    fn caches_what_fits_and_decodes_the_rest_again() {
        let cache = ImageCache::new(3, 100);
        assert!(cache.get_or_decode(0, || image(4)).is_ok());
        assert!(cache.get_or_decode(1, || image(5)).is_ok());
        assert!(cache.get_or_decode(2, || image(4)).is_ok());
        assert!(cache.get_or_decode(0, || Err(())).is_ok(), "48 bytes fit");
        assert!(cache.get_or_decode(1, || Err(())).is_err(), "75 more do not");
        assert!(cache.get_or_decode(2, || Err(())).is_ok(), "48 more do");
    }

    #[test]
    fn a_bound_of_zero_caches_nothing() {
        let cache = ImageCache::new(1, 0);
        assert!(cache.get_or_decode(0, || image(1)).is_ok());
        assert!(cache.get_or_decode(0, || Err(())).is_err());
    }
}
