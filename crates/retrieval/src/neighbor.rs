//! A neighbor: an index with its score, packed so that comparing two is one integer comparison.
//!
//! Selection spends its time comparing and moving candidates; eight bytes with a total order make both cheap, and make
//! "higher score first, ties to the lower index" one rule kept in one place.

use std::fmt;

/// One answer of a search: a gallery index and its cosine similarity to the query.
///
/// The order of `Neighbor`s is the order of a ranking reversed: the greatest is the best. Among equal scores the lower
/// index is better.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Neighbor(u64);

impl Neighbor {
    /// Fills unused places of a buffer; worse than every real neighbor.
    pub(crate) const WORST: Self = Self(0);

    /// Packs a finite score and an index.
    pub fn new(index: u32, score: f32) -> Self {
        // Adding zero turns -0.0 into 0.0, which compare equal as numbers but not as bits.
        let bits = (score + 0.0).to_bits();
        let ordered = if bits >> 31 == 1 { !bits } else { bits | 0x8000_0000 };
        Self(u64::from(ordered) << 32 | u64::from(!index))
    }

    /// Which row of the gallery.
    pub fn index(self) -> u32 {
        !(self.0 as u32)
    }

    /// Cosine similarity, in [-1, 1] to rounding.
    pub fn score(self) -> f32 {
        let ordered = (self.0 >> 32) as u32;
        f32::from_bits(if ordered >> 31 == 1 { ordered & 0x7fff_ffff } else { !ordered })
    }
}

impl fmt::Debug for Neighbor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Neighbor").field("index", &self.index()).field("score", &self.score()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_keeps_index_and_score_and_orders_by_them() {
        let ranked = [(9, 1.0), (0, 0.5), (7, 0.5), (3, 0.0), (4, -0.25), (u32::MAX, -1.0)];
        let packed = ranked.map(|(index, score)| Neighbor::new(index, score));
        for ((index, score), neighbor) in ranked.into_iter().zip(packed) {
            assert_eq!((neighbor.index(), neighbor.score()), (index, score));
        }
        assert!(packed.is_sorted_by(|a, b| a > b));
        assert_eq!(Neighbor::new(1, -0.0), Neighbor::new(1, 0.0));
        assert!(Neighbor::WORST < Neighbor::new(u32::MAX, -2.0));
    }
}
