//! Working memory that is used again: what one call gives back, the next takes, unwritten.
//!
//! A step of training takes and gives back hundreds of megabytes. Asked of the operating system each time, they would
//! be mapped page by page and filled with zeros; that is a tenth of the time of a step in bf16. Large pieces are
//! mapped once, in huge pages where the system offers them, and idle ones wait here. The memory held is that of the
//! busiest moment: before a new piece is mapped, as much idle memory is given up.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytemuck::Pod;
use memmap2::{Advice, MmapMut};

/// From this size on pieces are mapped and kept; smaller ones are left to the allocator.
const MAPPED_BYTES: usize = 1 << 18;

/// Sizes of mapped pieces are multiples of this, so that nearly equal requests fit each other's pieces.
const STEP_BYTES: usize = 1 << 16;

/// The idle pieces of the process.
static IDLE: Mutex<Idle> = Mutex::new(Idle(Vec::new()));

/// Numbers whose values are unspecified until they are written.
pub(crate) struct Buffer<E> {
    memory: Memory,
    len: usize,
    element: PhantomData<E>,
}

enum Memory {
    Heap(Vec<u64>),
    Mapped(MmapMut),
}

/// Gives idle working memory back to the operating system: after training or embedding, before something else that
/// needs memory.
pub fn release_idle_memory() {
    idle().0.clear();
}

fn idle() -> MutexGuard<'static, Idle> {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Pieces that wait to be used again, the longest idle first.
struct Idle(Vec<MmapMut>);

impl Idle {
    /// A piece of that size; without one, as much idle memory is unmapped as will be mapped anew.
    fn take_or_make_room(&mut self, bytes: usize) -> Option<MmapMut> {
        if let Some(at) = self.0.iter().rposition(|memory| memory.len() == bytes) {
            return Some(self.0.remove(at));
        }
        let (mut pieces, mut freed) = (0, 0);
        while freed < bytes && pieces < self.0.len() {
            freed += self.0[pieces].len();
            pieces += 1;
        }
        self.0.drain(..pieces);
        None
    }

    fn give(&mut self, memory: MmapMut) {
        self.0.push(memory);
    }
}

impl Memory {
    fn of(bytes: usize) -> Self {
        if bytes >= MAPPED_BYTES {
            let rounded = bytes.next_multiple_of(STEP_BYTES);
            let idle = idle().take_or_make_room(rounded);
            if let Some(memory) = idle.or_else(|| map(rounded)) {
                return Self::Mapped(memory);
            }
        }
        Self::Heap(vec![0; bytes.div_ceil(size_of::<u64>())])
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Heap(words) => bytemuck::cast_slice(words),
            Self::Mapped(map) => map,
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Heap(words) => bytemuck::cast_slice_mut(words),
            Self::Mapped(map) => map,
        }
    }
}

fn map(bytes: usize) -> Option<MmapMut> {
    let memory = MmapMut::map_anon(bytes).ok()?;
    #[cfg(target_os = "linux")]
    // Only advice: where it is refused, pages are small.
    let _ = memory.advise(Advice::HugePage);
    Some(memory)
}

impl<E> Buffer<E> {
    /// No numbers, no memory.
    pub(crate) const fn new() -> Self {
        Self { memory: Memory::Heap(Vec::new()), len: 0, element: PhantomData }
    }
}

impl<E: Pod> Buffer<E> {
    /// `len` numbers of unspecified value.
    pub(crate) fn of(len: usize) -> Self {
        Self { memory: Memory::of(len * size_of::<E>()), len, element: PhantomData }
    }

    /// Makes it `len` numbers, which need not hold what it held.
    pub(crate) fn resize(&mut self, len: usize) {
        if self.memory.bytes().len() < len * size_of::<E>() {
            *self = Self::of(len);
        }
        self.len = len;
    }
}

impl<E> Drop for Buffer<E> {
    fn drop(&mut self) {
        if let Memory::Mapped(memory) = std::mem::replace(&mut self.memory, Memory::Heap(Vec::new())) {
            idle().give(memory);
        }
    }
}

impl<E: Pod> Deref for Buffer<E> {
    type Target = [E];

    fn deref(&self) -> &[E] {
        &bytemuck::cast_slice(&self.memory.bytes()[..self.len * size_of::<E>()])[..self.len]
    }
}

impl<E: Pod> DerefMut for Buffer<E> {
    fn deref_mut(&mut self) -> &mut [E] {
        let bytes = self.len * size_of::<E>();
        &mut bytemuck::cast_slice_mut(&mut self.memory.bytes_mut()[..bytes])[..self.len]
    }
}

impl<E> Clone for Buffer<E> {
    fn clone(&self) -> Self {
        let used = self.len * size_of::<E>();
        let mut memory = Memory::of(used);
        memory.bytes_mut()[..used].copy_from_slice(&self.memory.bytes()[..used]);
        Self { memory, len: self.len, element: PhantomData }
    }
}

impl<E> Default for Buffer<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> fmt::Debug for Buffer<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer of {} numbers", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_given_back_is_taken_again_and_memory_held_does_not_grow() {
        let mut idle = Idle(Vec::new());
        let piece = |steps: usize| map(steps * STEP_BYTES).unwrap();
        let first = piece(5);
        let place = first.as_ptr();
        idle.give(first);
        idle.give(piece(3));
        assert_eq!(idle.take_or_make_room(5 * STEP_BYTES).map(|memory| memory.as_ptr()), Some(place));
        idle.give(piece(4));
        assert!(idle.take_or_make_room(6 * STEP_BYTES).is_none());
        assert!(idle.0.is_empty(), "six steps are mapped anew, so the idle three and four go");
    }

    #[test]
    fn a_large_buffer_is_mapped_and_returned() {
        let len = MAPPED_BYTES / size_of::<f32>() + 1;
        let mut buffer = Buffer::<f32>::of(len);
        buffer.fill(3.0);
        assert_eq!(buffer.iter().sum::<f32>(), 3.0 * len as f32);
        assert!(matches!(buffer.memory, Memory::Mapped(_)));
    }

    #[test]
    fn buffers_of_no_and_of_few_numbers_are_slices_too() {
        assert_eq!(Buffer::<f32>::of(0).len(), 0);
        let mut few = Buffer::<u16>::of(3);
        few.copy_from_slice(&[1, 2, 3]);
        assert_eq!(few.clone()[..], [1, 2, 3]);
        few.resize(2);
        assert_eq!(few[..], [1, 2]);
    }
}
