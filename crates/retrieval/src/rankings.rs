//! Ranks the relevant items of all queries, in bounded memory.
//!
//! The frame around [`RankBlock`]: cuts the queries in blocks that fit the memory setting, streams the tiles past them, and
//! hands each query's ranking on as soon as it is complete.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use crate::error::{Result, RetrievalError};
use crate::metrics::Ranking;
use crate::rank_block::{RankBlock, RankTask};
use crate::tiles::{self, BLOCK};

/// Calls `score` with each query and its ranking and collects what it returns, in the order of the queries.
///
/// # Errors
/// If `max_memory_bytes` does not hold one tile and the relevant items of the query that has most.
pub(crate) fn map_rankings<T: Send>(
    task: &RankTask<'_>,
    max_memory_bytes: usize,
    score: impl Fn(usize, Ranking<'_>) -> T + Sync,
) -> Result<Vec<T>> {
    let queries = task.relevance.queries();
    let collect = |blocks: Vec<Mutex<RankBlock>>| -> Vec<T> {
        let per_block: Vec<Vec<T>> = blocks
            .into_par_iter()
            .map(|block| {
                let block = block.into_inner().unwrap_or_else(PoisonError::into_inner);
                let mut scored = Vec::new();
                block.for_each_ranking(|query, ranking| scored.push(score(query, ranking)));
                scored
            })
            .collect();
        per_block.into_iter().flatten().collect()
    };

    let one_worker = tiles::bytes_per_worker(task.gallery.dim());
    let all = bytes(task, 0..queries);
    if task.relevance.is_of_itself() && all.saturating_add(one_worker) <= max_memory_bytes {
        let workers = tiles::workers(max_memory_bytes, all, one_worker)?;
        let blocks = start(task, &tiles::blocks(queries, BLOCK));
        tiles::for_each_symmetric_tile(task.queries, &blocks, workers, |rows, columns, tile, hits| match columns {
            Some(columns) => rows.count_both(columns, task, tile, hits),
            None => rows.count_rows(task, tile, hits),
        });
        return Ok(collect(blocks));
    }

    let mut scored = Vec::with_capacity(queries);
    for group in groups(task, max_memory_bytes)? {
        let group_bytes = group.iter().map(|range| bytes(task, range.clone())).sum();
        let workers = tiles::workers(max_memory_bytes, group_bytes, one_worker)?;
        let blocks = start(task, &group);
        tiles::for_each_tile(task.queries, &group, task.gallery, &blocks, workers, |block, tile, hits| {
            block.count_rows(task, tile, hits);
        });
        scored.extend(collect(blocks));
    }
    Ok(scored)
}

fn start(task: &RankTask<'_>, ranges: &[Range<usize>]) -> Vec<Mutex<RankBlock>> {
    ranges.par_iter().map(|range| Mutex::new(RankBlock::new(task, range.clone()))).collect()
}

fn bytes(task: &RankTask<'_>, queries: Range<usize>) -> usize {
    queries.map(|query| RankBlock::bytes_per_query(task.relevance.relevant_count(query))).sum()
}

/// Cuts the queries in blocks, and the blocks in groups that are in work at once.
///
/// A group takes at most what one tile leaves; a block at most an eighth of that, unless a single query takes more.
fn groups(task: &RankTask<'_>, max_memory_bytes: usize) -> Result<Vec<Vec<Range<usize>>>> {
    let one_worker = tiles::bytes_per_worker(task.gallery.dim());
    let allowed = max_memory_bytes.saturating_sub(one_worker);
    let mut groups: Vec<Vec<Range<usize>>> = Vec::new();
    let (mut group_bytes, mut block_bytes) = (usize::MAX, 0);
    for query in 0..task.relevance.queries() {
        let needed = bytes(task, query..query + 1);
        if needed > allowed {
            let needed = needed.saturating_add(one_worker);
            return Err(RetrievalError::Memory { allowed: max_memory_bytes, needed });
        }
        if group_bytes.saturating_add(needed) > allowed {
            groups.push(Vec::new());
            (group_bytes, block_bytes) = (0, 0);
        }
        let Some(group) = groups.last_mut() else { unreachable!("the first query opens a group") };
        match group.last_mut() {
            Some(block) if block.len() < BLOCK && block_bytes + needed <= allowed / 8 => {
                block.end += 1;
                block_bytes += needed;
            }
            _ => {
                group.push(query..query + 1);
                block_bytes = needed;
            }
        }
        group_bytes += needed;
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UnitEmbeddings;
    use crate::classes::Relevance;
    use crate::rank_block::Depth;

    #[test]
    fn groups_cover_the_queries_and_fit_the_memory() {
        let labels: Vec<i64> = (0..3000).map(|i: i64| (i * i) % 7).collect();
        let embeddings = UnitEmbeddings::new(vec![1.0; 3000], 1).unwrap();
        let relevance = Relevance::of_itself(&labels);
        let task = RankTask { queries: &embeddings, gallery: &embeddings, relevance: &relevance, depth: Depth::Full };
        for extra in [20_000, 100_000, 1_000_000, 100_000_000] {
            let groups = groups(&task, tiles::bytes_per_worker(1) + extra).unwrap();
            let mut next = 0;
            for group in &groups {
                assert!(bytes(&task, group[0].start..group[group.len() - 1].end) <= extra);
                for block in group {
                    assert_eq!(block.start, next);
                    assert!(block.len() <= BLOCK);
                    next = block.end;
                }
            }
            assert_eq!(next, labels.len());
        }
        assert!(matches!(groups(&task, tiles::bytes_per_worker(1) + 100), Err(RetrievalError::Memory { .. })));
    }
}
