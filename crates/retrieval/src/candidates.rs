//! The best k candidates seen so far, for a block of queries.
//!
//! A heap would touch log k places for each better candidate. Here a candidate that reaches the query's bar is appended to
//! a buffer; when the buffer is full, one selection keeps the best k and raises the bar to the worst of them. Most scores
//! then fail one vector compare with the bar, and the few that pass cost a store and their share of a selection.

use crate::neighbor::Neighbor;

/// Candidates of the queries of one block.
pub(crate) struct CandidateBlock {
    k: usize,
    capacity: usize,
    /// `[queries, capacity]`; the first `lens[query]` of each row are in use.
    candidates: Vec<Neighbor>,
    lens: Vec<u32>,
    /// A score below the query's bar cannot be among its best k.
    bars: Vec<f32>,
}

impl CandidateBlock {
    /// Room for `queries` queries; `capacity` must be above `k`.
    pub fn new(queries: usize, k: usize, capacity: usize) -> Self {
        debug_assert!(k > 0 && capacity > k);
        Self {
            k,
            capacity,
            candidates: vec![Neighbor::WORST; queries * capacity],
            lens: vec![0; queries],
            bars: vec![f32::NEG_INFINITY; queries],
        }
    }

    /// Bytes that [`new`](Self::new) takes for each query.
    pub fn bytes_per_query(capacity: usize) -> usize {
        capacity * size_of::<Neighbor>() + size_of::<u32>() + size_of::<f32>()
    }

    /// The bars of all queries.
    pub fn bars(&self) -> &[f32] {
        &self.bars
    }

    /// Takes a candidate for a query if it reaches the query's bar.
    pub fn offer(&mut self, query: usize, index: usize, score: f32) {
        if score < self.bars[query] {
            return;
        }
        let len = self.lens[query] as usize;
        self.candidates[query * self.capacity + len] = Neighbor::new(index as u32, score);
        self.lens[query] = len as u32 + 1;
        if len + 1 == self.capacity {
            self.keep_best(query);
        }
    }

    /// The best candidates of each query, best first, `[queries, k]`, and the memory of the rest given back.
    ///
    /// Every query must have been offered at least `k` candidates.
    pub fn into_ranked(mut self) -> Vec<Neighbor> {
        for query in 0..self.lens.len() {
            debug_assert!(self.lens[query] as usize >= self.k);
            self.keep_best(query);
            let from = query * self.capacity;
            self.candidates[from..from + self.k].sort_unstable_by(|a, b| b.cmp(a));
            self.candidates.copy_within(from..from + self.k, query * self.k);
        }
        self.candidates.truncate(self.lens.len() * self.k);
        self.candidates.shrink_to_fit();
        self.candidates
    }

    fn keep_best(&mut self, query: usize) {
        let from = query * self.capacity;
        let candidates = &mut self.candidates[from..from + self.lens[query] as usize];
        if candidates.len() > self.k {
            let (_, worst_kept, _) = candidates.select_nth_unstable_by(self.k - 1, |a, b| b.cmp(a));
            self.bars[query] = worst_kept.score();
            self.lens[query] = self.k as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_best_and_breaks_ties_by_index() {
        let mut block = CandidateBlock::new(2, 3, 4);
        let scores = [0.1, 0.5, 0.5, -0.3, 0.5, 0.9, 0.5];
        for (index, &score) in scores.iter().enumerate() {
            block.offer(0, index, score);
            block.offer(1, scores.len() - 1 - index, scores[scores.len() - 1 - index]);
        }
        assert_eq!(block.bars()[0], 0.5);
        let ranked: Vec<u32> = block.into_ranked().iter().map(|neighbor| neighbor.index()).collect();
        assert_eq!(ranked, [5, 1, 2, 5, 1, 2]);
    }
}
