//! A frozen block's weights as the kernel packs them, kept for as long as the block has these weights.

use std::sync::{Arc, Mutex, PoisonError};

use kinsight_kernels::WeightCache;

use super::inputs::FlexTensor;

/// The packed weights of one block and of its clones.
///
/// It belongs to the tensors it was made of, and holds them: they can neither be freed nor written in place while it
/// does, so that the same address means the same numbers.
#[derive(Clone, Debug, Default)]
pub struct PackedWeights(Arc<Mutex<Option<Entry>>>);

#[derive(Debug)]
struct Entry {
    weights: [FlexTensor; 4],
    cache: Arc<WeightCache>,
}

impl PackedWeights {
    /// The cache of exactly these weights: the one that is there, or a new one in its place.
    pub(super) fn of(&self, weights: [&FlexTensor; 4]) -> Arc<WeightCache> {
        let mut entry = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*entry {
            Some(found) if found.weights.iter().zip(weights).all(|(a, b)| address(a) == address(b)) => {
                found.cache.clone()
            }
            _ => {
                let cache = Arc::new(WeightCache::new());
                *entry = Some(Entry { weights: weights.map(Clone::clone), cache: cache.clone() });
                cache
            }
        }
    }

    /// Frees the memory, for weights that change or where memory counts.
    pub(super) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Where a contiguous tensor's numbers lie, and how many they are.
fn address(tensor: &FlexTensor) -> Option<(*const f32, usize)> {
    tensor.as_slice::<f32>().map(|values| (values.as_ptr(), values.len()))
}
