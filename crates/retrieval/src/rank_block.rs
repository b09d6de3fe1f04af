//! Ranks of the relevant items, found by counting, without sorting or keeping a ranking.
//!
//! Every metric of a labeled ranking is a function of the ranks at which the relevant items stand. The rank of an item
//! is one more than the number of items ahead of it, so it is enough to know the scores of the few relevant items
//! beforehand and, as the scores of all others stream by, to count between which two of them each falls. That takes memory
//! for the relevant items alone, independent of the gallery's size, and hardly any time: once a relevant item is known to stand
//! too deep to matter to any metric asked for, scores below it are skipped by one vector compare.
//!
//! The ranking is exact: by inner product in `f64`, ties to the lower index. The fast scores only decide where their error
//! bound lets them; a score too close to that of a relevant item is computed again in `f64`. Ranks are therefore the same
//! on every machine.

use std::ops::Range;

use crate::UnitEmbeddings;
use crate::classes::Relevance;
use crate::metrics::Ranking;
use crate::scores::{columns_reaching, columns_reaching_either, exact_score, score_error_bound};
use crate::tiles::Tile;

/// What ranks are counted of.
pub(crate) struct RankTask<'a> {
    pub queries: &'a UnitEmbeddings,
    pub gallery: &'a UnitEmbeddings,
    pub relevance: &'a Relevance,
    pub depth: Depth,
}

/// Down to which rank a query's relevant items matter.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Depth {
    /// To the end of the ranking.
    Full,
    /// To the given rank, but at least to one more than the number of its relevant items.
    AtLeast(usize),
}

impl RankTask<'_> {
    fn depth(&self, query: usize) -> u64 {
        match self.depth {
            Depth::Full => u64::MAX,
            Depth::AtLeast(rank) => rank.max(self.relevance.relevant_count(query) + 1) as u64,
        }
    }
}

/// The relevant items of a block of queries and the counts between them.
pub(crate) struct RankBlock {
    first_query: usize,
    error_bound: f32,
    /// The relevant items of the block's query q are at `starts[q]..starts[q + 1]` of the next four lists, best first.
    starts: Vec<usize>,
    items: Vec<u32>,
    exact: Vec<f64>,
    rounded: Vec<f32>,
    /// Irrelevant items ahead of this relevant item but not of the one before it.
    passed: Vec<u32>,
    /// How many of a query's relevant items can still stand within its depth.
    alive: Vec<u32>,
    /// Irrelevant items ahead of the last relevant item that is alive.
    ahead: Vec<u64>,
    /// A score below the query's bar is behind all relevant items that are alive.
    bars: Vec<f32>,
    depths: Vec<u64>,
}

impl RankBlock {
    /// Bytes that [`new`](Self::new) takes for a query with `relevant` relevant items.
    pub fn bytes_per_query(relevant: usize) -> usize {
        relevant * (2 * size_of::<u32>() + size_of::<f64>() + size_of::<f32>()) + 4 * size_of::<u64>()
    }

    /// Scores and sorts the relevant items of a run of queries.
    pub fn new(task: &RankTask<'_>, queries: Range<usize>) -> Self {
        let relevant: usize = queries.clone().map(|query| task.relevance.relevant_count(query)).sum();
        let mut block = Self {
            first_query: queries.start,
            error_bound: score_error_bound(task.gallery.dim()),
            starts: vec![0],
            items: Vec::with_capacity(relevant),
            exact: Vec::with_capacity(relevant),
            rounded: Vec::with_capacity(relevant),
            passed: vec![0; relevant],
            alive: Vec::with_capacity(queries.len()),
            ahead: vec![0; queries.len()],
            bars: vec![f32::INFINITY; queries.len()],
            depths: queries.clone().map(|query| task.depth(query)).collect(),
        };
        let mut sorted = Vec::new();
        for query in queries {
            let row = task.queries.row(query);
            sorted.clear();
            sorted.extend(
                task.relevance.relevant(query).map(|item| (exact_score(row, task.gallery.row(item as usize)), item)),
            );
            sorted.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            for &(score, item) in &sorted {
                block.items.push(item);
                block.exact.push(score);
                block.rounded.push(score as f32);
            }
            block.starts.push(block.items.len());
            block.alive.push(sorted.len() as u32);
        }
        for query in 0..block.alive.len() {
            block.drop_those_too_deep(query);
        }
        block
    }

    /// Counts a tile's rows as queries of this block.
    pub fn count_rows(&mut self, task: &RankTask<'_>, tile: &Tile<'_>, hits: &mut [u32]) {
        for row in 0..tile.rows.len() {
            let scores = tile.row(row);
            let found = columns_reaching(scores, self.bars[row], hits);
            for &column in &hits[..found] {
                self.count(task, row, tile.columns.start + column as usize, scores[column as usize]);
            }
        }
    }

    /// Counts a tile's rows as queries of this block and its columns as queries of `columns`.
    pub fn count_both(&mut self, columns: &mut Self, task: &RankTask<'_>, tile: &Tile<'_>, hits: &mut [u32]) {
        for (row, query) in tile.rows.clone().enumerate() {
            let scores = tile.row(row);
            let found = columns_reaching_either(scores, self.bars[row], &columns.bars, hits);
            for &column in &hits[..found] {
                let score = scores[column as usize];
                self.count(task, row, tile.columns.start + column as usize, score);
                columns.count(task, column as usize, query, score);
            }
        }
    }

    /// Calls `visit` with each query and the ranks of its relevant items within its depth.
    pub fn for_each_ranking(&self, mut visit: impl FnMut(usize, Ranking<'_>)) {
        let mut ranks = Vec::new();
        for query in 0..self.alive.len() {
            let range = self.starts[query]..self.starts[query + 1];
            let relevant = range.len();
            ranks.clear();
            let mut rank = 0_u32;
            for &passed in &self.passed[range][..self.alive[query] as usize] {
                rank += passed + 1;
                ranks.push(rank);
            }
            visit(self.first_query + query, Ranking { ranks: &ranks, relevant });
        }
    }

    fn count(&mut self, task: &RankTask<'_>, query: usize, item: usize, score: f32) {
        // The query itself is of its own class, so it is never counted as ahead of anything.
        if score < self.bars[query] || task.relevance.is_same_class(self.first_query + query, item) {
            return;
        }
        let from = self.starts[query];
        let alive = from..from + self.alive[query] as usize;
        let rounded = &self.rounded[alive.clone()];
        let mut place = rounded.partition_point(|&relevant| relevant > score + self.error_bound);
        if rounded.get(place).is_some_and(|&relevant| relevant >= score - self.error_bound) {
            let score = exact_score(task.queries.row(self.first_query + query), task.gallery.row(item));
            let (exact, items) = (&self.exact[alive.clone()], &self.items[alive]);
            while place < exact.len()
                && (exact[place] > score || exact[place] == score && (items[place] as usize) < item)
            {
                place += 1;
            }
        }
        if place < self.alive[query] as usize {
            self.passed[from + place] += 1;
            self.ahead[query] += 1;
            self.drop_those_too_deep(query);
        }
    }

    fn drop_those_too_deep(&mut self, query: usize) {
        let from = self.starts[query];
        let mut alive = self.alive[query] as usize;
        // The last one's rank is at least the number of those alive, itself included, and those known to be ahead.
        while alive > 0 && alive as u64 + self.ahead[query] > self.depths[query] {
            alive -= 1;
            self.ahead[query] -= u64::from(self.passed[from + alive]);
        }
        self.alive[query] = alive as u32;
        self.bars[query] = match alive {
            0 => f32::INFINITY,
            _ => self.rounded[from + alive - 1] - self.error_bound,
        };
    }
}
