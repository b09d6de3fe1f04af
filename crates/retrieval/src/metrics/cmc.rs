//! The cumulative match characteristic: Recall@K as a curve over K.
//!
//! ```text
//! CMC(K) = share of queries whose first relevant item has rank <= K
//! ```
//! Source: Moon and Phillips, "Computational and performance aspects of PCA-based face-recognition algorithms" (2001);
//! customary in re-identification. Queries without a relevant item must be left out beforehand.

/// The curve for K = 1 to `depth`, from each query's rank of the first relevant item (`None`: deeper than is known).
pub fn cmc(first_ranks: &[Option<u32>], depth: usize) -> Vec<f64> {
    let mut curve = vec![0.0; depth];
    for rank in first_ranks.iter().flatten() {
        if let Some(count) = (*rank as usize).checked_sub(1).and_then(|place| curve.get_mut(place)) {
            *count += 1.0;
        }
    }
    let mut found = 0.0;
    for value in &mut curve {
        found += *value;
        *value = found / first_ranks.len().max(1) as f64;
    }
    curve
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_example() {
        assert_eq!(cmc(&[Some(1), Some(3), None, Some(1)], 4), [0.5, 0.5, 0.75, 0.75]);
        assert_eq!(cmc(&[Some(9)], 2), [0.0, 0.0]);
        assert!(cmc(&[], 0).is_empty());
    }
}
