//! Working memory that tasks of one call hand on to each other, so that each thread allocates it once.

use std::sync::{Mutex, PoisonError};

use bytemuck::Pod;

use crate::buffer::Buffer;

/// Values returned by finished tasks, for the next ones to use.
pub(crate) struct Pool<T>(Mutex<Vec<T>>);

impl<T> Pool<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Runs `f` with a value of a finished task, or a new one. What it holds must not matter to `f`.
    pub(crate) fn with<R>(&self, new: impl FnOnce() -> T, f: impl FnOnce(&mut T) -> R) -> R {
        let pooled = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut value = pooled.unwrap_or_else(new);
        let result = f(&mut value);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(value);
        result
    }
}

/// `buffer` as `len` elements; what they hold is unspecified.
pub(crate) fn sized<E: Pod>(buffer: &mut Buffer<E>, len: usize) -> &mut [E] {
    buffer.resize(len);
    buffer
}
