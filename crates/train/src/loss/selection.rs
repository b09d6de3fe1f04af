//! Which pairs of a batch enter a loss between samples.

/// Pairs of the same and of different classes, as kept by a miner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    size: usize,
    positive: Vec<bool>,
    negative: Vec<bool>,
    triplets: Option<Vec<[usize; 3]>>,
}

impl Selection {
    /// Every pair of different samples.
    pub fn all(labels: &[usize]) -> Self {
        Self::pairs(labels, |_, _| true)
    }

    /// The pairs (anchor, other) that `keeps` accepts; a sample never pairs with itself.
    pub fn pairs(labels: &[usize], keeps: impl Fn(usize, usize) -> bool) -> Self {
        let size = labels.len();
        let mut selection =
            Self { size, positive: vec![false; size * size], negative: vec![false; size * size], triplets: None };
        for anchor in 0..size {
            for other in (0..size).filter(|other| *other != anchor && keeps(anchor, *other)) {
                let same = labels[anchor] == labels[other];
                let kept = if same { &mut selection.positive } else { &mut selection.negative };
                kept[anchor * size + other] = true;
            }
        }
        selection
    }

    /// Triplets (anchor, positive, negative); a pair that is in several of them counts once where a loss takes pairs.
    pub fn triplets_of(size: usize, triplets: Vec<[usize; 3]>) -> Self {
        let (mut positive, mut negative) = (vec![false; size * size], vec![false; size * size]);
        for [anchor, same, other] in &triplets {
            positive[anchor * size + same] = true;
            negative[anchor * size + other] = true;
        }
        Self { size, positive, negative, triplets: Some(triplets) }
    }

    /// Samples in the batch, N.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether `other` is a kept positive of `anchor`.
    pub fn is_positive(&self, anchor: usize, other: usize) -> bool {
        self.positive[anchor * self.size + other]
    }

    /// Whether `other` is a kept negative of `anchor`.
    pub fn is_negative(&self, anchor: usize, other: usize) -> bool {
        self.negative[anchor * self.size + other]
    }

    /// Row-major masks of the positives and of the negatives, `[N, N]`.
    pub fn masks(&self) -> [Vec<f32>; 2] {
        [&self.positive, &self.negative].map(|kept| kept.iter().map(|kept| f32::from(u8::from(*kept))).collect())
    }

    /// Whether there are positives, and whether there are negatives.
    pub fn has(&self) -> (bool, bool) {
        (self.positive.contains(&true), self.negative.contains(&true))
    }

    /// The mined triplets, or every positive of an anchor with every negative of it.
    pub fn triplets(&self) -> Vec<[usize; 3]> {
        if let Some(triplets) = &self.triplets {
            return triplets.clone();
        }
        let mut triplets = Vec::new();
        for anchor in 0..self.size {
            let negatives: Vec<usize> = (0..self.size).filter(|n| self.is_negative(anchor, *n)).collect();
            for positive in (0..self.size).filter(|p| self.is_positive(anchor, *p)) {
                triplets.extend(negatives.iter().map(|negative| [anchor, positive, *negative]));
            }
        }
        triplets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_pairs_and_their_triplets() {
        let selection = Selection::all(&[0, 1, 0]);
        assert_eq!(selection.triplets(), [[0, 2, 1], [2, 0, 1]]);
        assert!(selection.is_positive(0, 2) && selection.is_negative(1, 2) && !selection.is_positive(1, 1));
        let [positive, negative] = selection.masks();
        assert_eq!(positive.iter().sum::<f32>(), 2.0);
        assert_eq!(negative.iter().sum::<f32>(), 4.0);
    }

    #[test]
    fn a_pair_in_several_triplets_counts_once() {
        let selection = Selection::triplets_of(3, vec![[0, 2, 1], [0, 2, 1]]);
        assert_eq!(selection.masks()[0].iter().sum::<f32>(), 1.0);
        assert_eq!(selection.triplets().len(), 2);
    }
}
