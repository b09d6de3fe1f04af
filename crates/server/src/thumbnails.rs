//! Thumbnails, made when first asked for and kept while there is room.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// A cache bounded by its bytes; what has not been asked for longest goes first.
#[derive(Debug)]
pub(crate) struct ThumbnailCache {
    max_bytes: usize,
    state: Mutex<State>,
}

/// Collection, image and side, as text.
pub(crate) type Key = (String, String, u32);

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<Key, (Bytes, u64)>,
    /// Uses in order, oldest first; an entry's last use is the one whose number it holds.
    uses: VecDeque<(Key, u64)>,
    bytes: usize,
    clock: u64,
}

impl ThumbnailCache {
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes, state: Mutex::default() }
    }

    pub fn get(&self, key: &Key) -> Option<Bytes> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = state.entries.get(key)?.0.clone();
        state.touch(key);
        Some(bytes)
    }

    pub fn put(&self, key: Key, bytes: Bytes) {
        if bytes.len() > self.max_bytes {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.bytes += bytes.len();
        if let Some((old, _)) = state.entries.insert(key.clone(), (bytes, 0)) {
            state.bytes -= old.len();
        }
        state.touch(&key);
        while state.bytes > self.max_bytes {
            let Some((oldest, use_number)) = state.uses.pop_front() else { break };
            if state.entries.get(&oldest).is_some_and(|(_, last)| *last == use_number)
                && let Some((removed, _)) = state.entries.remove(&oldest)
            {
                state.bytes -= removed.len();
            }
        }
    }

    /// Forgets all sizes of an image.
    pub fn forget(&self, collection: &str, id: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let from = (collection.to_string(), id.to_string(), 0);
        let to = (collection.to_string(), id.to_string(), u32::MAX);
        let keys: Vec<Key> = state.entries.range(from..=to).map(|(key, _)| key.clone()).collect();
        for key in keys {
            if let Some((removed, _)) = state.entries.remove(&key) {
                state.bytes -= removed.len();
            }
        }
    }
}

impl State {
    fn touch(&mut self, key: &Key) {
        self.clock += 1;
        let now = self.clock;
        if let Some(entry) = self.entries.get_mut(key) {
            entry.1 = now;
        }
        self.uses.push_back((key.clone(), now));
        // Uses that were followed by later ones are dropped now and then, so that the list stays short.
        if self.uses.len() > 64 + 4 * self.entries.len() {
            let entries = &self.entries;
            self.uses.retain(|(key, number)| entries.get(key).is_some_and(|(_, last)| last == number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str) -> Key {
        ("c".into(), id.into(), 64)
    }

    #[test]
    fn what_was_not_asked_for_longest_goes_first() {
        let cache = ThumbnailCache::new(300);
        let put = |id: &str| cache.put(key(id), Bytes::from(vec![0; 100]));
        ["a", "b", "c"].into_iter().for_each(put);
        assert!(cache.get(&key("a")).is_some());
        put("d");
        assert!(cache.get(&key("b")).is_none());
        assert!(["a", "c", "d"].iter().all(|id| cache.get(&key(id)).is_some()));
        put("a");
        assert!(["a", "c", "d"].iter().all(|id| cache.get(&key(id)).is_some()), "replacing takes no room");
        cache.put(key("huge"), Bytes::from(vec![0; 301]));
        assert!(cache.get(&key("huge")).is_none() && cache.get(&key("c")).is_some());
        cache.forget("c", "c");
        assert!(cache.get(&key("c")).is_none() && cache.get(&key("d")).is_some());
        for _ in 0..10_000 {
            cache.get(&key("d"));
        }
        assert!(cache.state.lock().unwrap().uses.len() < 100);
    }
}
