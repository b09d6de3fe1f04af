//! Packed weights kept from call to call, for a block whose weights do not change.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::element::{Bf16, Element};
use crate::gemm::Packed;

/// A block's weights in the order in which its products read them, filled on first use.
///
/// Packing reads and writes every weight, which counts where images are few. The cache takes the memory of the weights
/// again: once for the forward in f32, once for forward and backward together in bf16. It is valid for one set of
/// weights; biases, norms, scales, prompts and adapters may change.
#[derive(Default)]
pub struct WeightCache {
    f32: Slots<f32>,
    bf16: Slots<Bf16>,
}

type Slots<E> = Mutex<BTreeMap<Slot, Arc<Packed<E>>>>;

/// Which product a packed weight is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Slot {
    Queries,
    KeysValues,
    Proj,
    Fc1,
    Fc2,
    QueriesBackward,
    KeysValuesBackward,
    ProjBackward,
    Fc1Backward,
    Fc2Backward,
}

impl WeightCache {
    /// An empty cache.
    pub fn new() -> Self {
        Self::default()
    }
}

impl fmt::Debug for WeightCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeightCache")
    }
}

/// A number format whose packed weights a cache holds.
pub(crate) trait Cached: Element {
    fn slots(cache: &WeightCache) -> &Slots<Self>;
}

impl Cached for f32 {
    fn slots(cache: &WeightCache) -> &Slots<Self> {
        &cache.f32
    }
}

impl Cached for Bf16 {
    fn slots(cache: &WeightCache) -> &Slots<Self> {
        &cache.bf16
    }
}

/// The packed weight of `slot`; without a cache it is packed anew.
pub(crate) fn packed<E: Cached>(
    cache: Option<&WeightCache>,
    slot: Slot,
    pack: impl FnOnce() -> Packed<E>,
) -> Arc<Packed<E>> {
    let Some(cache) = cache else {
        return Arc::new(pack());
    };
    let slots = || E::slots(cache).lock().unwrap_or_else(PoisonError::into_inner);
    let found = slots().get(&slot).cloned();
    // Not under the lock: packing uses all threads, which may be busy with a block that waits for it.
    found.unwrap_or_else(|| {
        let new = Arc::new(pack());
        slots().entry(slot).or_insert(new).clone()
    })
}
