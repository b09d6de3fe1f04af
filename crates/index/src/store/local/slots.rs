//! A set of rows as bits: what passes a filter, what is dead.

/// A set of row numbers below `len`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SlotSet {
    words: Vec<u64>,
    len: usize,
    count: usize,
}

impl SlotSet {
    /// None of `len` rows.
    pub fn empty(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(64)], len, count: 0 }
    }

    /// All of `len` rows.
    pub fn full(len: usize) -> Self {
        Self::empty(len).complement()
    }

    /// Adds a row; one that is not below `len` is ignored.
    pub fn insert(&mut self, slot: u32) {
        if (slot as usize) < self.len {
            let (word, bit) = (&mut self.words[slot as usize / 64], 1_u64 << (slot % 64));
            self.count += usize::from(*word & bit == 0);
            *word |= bit;
        }
    }

    /// Whether the row is in.
    pub fn contains(&self, slot: u32) -> bool {
        self.words.get(slot as usize / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    /// How many rows are in.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The rows that are in, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.words.iter().enumerate().flat_map(|(index, &word)| {
            (0..64_u32).filter(move |bit| word >> bit & 1 == 1).map(move |bit| index as u32 * 64 + bit)
        })
    }

    /// The rows that are not in.
    pub fn complement(&self) -> Self {
        let mut words: Vec<u64> = self.words.iter().map(|word| !word).collect();
        if !self.len.is_multiple_of(64)
            && let Some(last) = words.last_mut()
        {
            *last &= (1 << (self.len % 64)) - 1;
        }
        Self { words, len: self.len, count: self.len - self.count }
    }

    /// The rows in both; sets of the same length.
    pub fn intersect(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a & b)
    }

    /// The rows in either; sets of the same length.
    pub fn union(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a | b)
    }

    fn combine(&self, other: &Self, operation: impl Fn(u64, u64) -> u64) -> Self {
        debug_assert_eq!(self.len, other.len);
        let words: Vec<u64> = self.words.iter().zip(&other.words).map(|(&a, &b)| operation(a, b)).collect();
        let count = words.iter().map(|word| word.count_ones() as usize).sum();
        Self { words, len: self.len, count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_behave_as_sets() {
        let mut threes = SlotSet::empty(70);
        let mut evens = SlotSet::empty(70);
        (0..70).filter(|slot| slot % 3 == 0).for_each(|slot| threes.insert(slot));
        (0..70).filter(|slot| slot % 2 == 0).for_each(|slot| evens.insert(slot));
        evens.insert(70);
        evens.insert(4);
        assert_eq!((threes.count(), evens.count()), (24, 35));
        assert!(threes.intersect(&evens).iter().eq((0..70).filter(|slot| slot % 6 == 0)));
        let either = threes.union(&evens);
        assert_eq!(either.count(), either.iter().count());
        assert!(either.complement().iter().eq((0..70).filter(|slot| slot % 2 != 0 && slot % 3 != 0)));
        assert_eq!(either.complement().count(), 70 - either.count());
        assert_eq!(SlotSet::full(64).count(), 64);
        assert!(!SlotSet::full(3).contains(3) && !threes.contains(1000));
    }
}
