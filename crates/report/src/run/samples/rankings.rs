//! What queries find, before and after, and which queries are worth showing.

use std::collections::{BTreeMap, BTreeSet};

use kinsight_retrieval::{KnnConfig, RetrievalError, search};
use rand::seq::IndexedRandom;

use super::{MethodResult, Samples};
use crate::run::{Hit, QueryKind, Ranking, RetrievalGrid, RetrievalRow};

/// Hits of a query.
pub(super) const HITS: usize = 10;
/// Queries that are looked at; of more images a sample is drawn.
const SAMPLE: usize = 4000;
/// Queries shown of each kind.
const RANDOM: usize = 8;
const ENDS: usize = 5;
const STREAM: u64 = 1;

/// The nearest images of a sample of queries.
#[derive(Debug)]
pub struct Rankings<'a> {
    /// Rows of the test set, ascending.
    pub(super) queries: Vec<usize>,
    /// By method, the baseline first.
    pub(super) methods: Vec<RankedBy<'a>>,
    random: Vec<usize>,
    note: String,
}

/// What one method finds.
#[derive(Debug)]
pub(super) struct RankedBy<'a> {
    pub(super) result: MethodResult<'a>,
    /// For each query its nearest gallery rows and their similarities, nearest first.
    pub(super) found: Vec<Vec<(usize, f64)>>,
    /// Gallery rows of each class.
    sizes: BTreeMap<i64, usize>,
}

impl<'a> RankedBy<'a> {
    fn of(result: MethodResult<'a>, queries: &[usize]) -> Result<Self, RetrievalError> {
        // One more, since a query that is in the gallery finds itself.
        let config = KnnConfig { k: HITS + 1, ..KnnConfig::default() };
        let gallery = result.gallery_embeddings()?;
        let neighbors = search(&result.embeddings.select(queries)?, &gallery, &config)?;
        let others = |(place, query): (usize, &usize)| -> Vec<(usize, f64)> {
            let hits = neighbors.row(place).iter();
            let hits = hits.map(|hit| (result.gallery[hit.index() as usize], f64::from(hit.score())));
            hits.filter(|(row, _)| row != query).take(HITS).collect()
        };
        let found = queries.iter().enumerate().map(others).collect();
        let mut sizes = BTreeMap::new();
        for row in result.gallery {
            *sizes.entry(result.labels[*row]).or_default() += 1;
        }
        Ok(Self { result, found, sizes })
    }

    /// Whether two rows are of one class.
    pub(super) fn same_class(&self, a: usize, b: usize) -> bool {
        self.result.labels[a] == self.result.labels[b]
    }

    /// Average precision of the hits of a query, over as many of them as there are right ones to find; NaN if there are
    /// none.
    fn average_precision(&self, place: usize, query: usize) -> f64 {
        let of_class = self.sizes.get(&self.result.labels[query]).copied().unwrap_or(0);
        let itself = usize::from(self.result.gallery.binary_search(&query).is_ok());
        let depth = (of_class - itself.min(of_class)).min(HITS).min(self.found[place].len());
        let (mut right, mut sum) = (0.0, 0.0);
        for (rank, (row, _)) in self.found[place].iter().take(depth).enumerate() {
            if self.same_class(query, *row) {
                right += 1.0;
                sum += right / (rank + 1) as f64;
            }
        }
        if depth == 0 { f64::NAN } else { sum / depth as f64 }
    }
}

impl<'a> Rankings<'a> {
    /// Finds the nearest images of a sample of queries.
    ///
    /// # Errors
    /// [`RetrievalError`] if there is nothing to search.
    pub fn of(samples: &Samples<'a>) -> Result<Self, RetrievalError> {
        let Some(result) = samples.methods.first() else {
            return Ok(Self { queries: Vec::new(), methods: Vec::new(), random: Vec::new(), note: String::new() });
        };
        let mut rng = samples.rng(STREAM);
        let mut queries: Vec<usize> = result.queries.sample(&mut rng, SAMPLE).copied().collect();
        queries.sort_unstable();
        let mut random: Vec<usize> = (0..queries.len()).collect::<Vec<_>>().sample(&mut rng, RANDOM).copied().collect();
        random.sort_unstable();
        let methods = samples.methods.iter().map(|result| RankedBy::of(*result, &queries));
        let methods = methods.collect::<Result<Vec<_>, _>>()?;
        let mut note = match result.is_self_search() {
            true => format!("Each query is searched among the {} other test images.", result.gallery.len() - 1),
            false => format!(
                "The protocol's {} queries are searched among its {} gallery images.",
                result.queries.len(),
                result.gallery.len()
            ),
        };
        if queries.len() < result.queries.len() {
            note += &format!(" Worst and best are those of {} queries drawn at random.", queries.len());
        }
        Ok(Self { queries, methods, random, note })
    }

    /// The featured method, where there is more than the baseline.
    pub(super) fn featured(&self) -> Option<&RankedBy<'a>> {
        self.methods.last().filter(|_| self.methods.len() > 1)
    }

    /// Pairs of a query and its nearest image of the featured method that are worth explaining: rows, and whether they
    /// are of one class. Up to `count` of the best answered, then of the worst.
    pub fn worth_explaining(&self, count: usize) -> Vec<(usize, usize, bool)> {
        let Some(method) = self.featured() else { return Vec::new() };
        let (worst, best) = self.ends(count);
        let nearest = |place: usize| {
            let (query, (row, _)) = (self.queries[place], *method.found[place].first()?);
            Some((query, row, method.same_class(query, row)))
        };
        best.into_iter().chain(worst).filter_map(nearest).collect()
    }

    /// Queries by how well the featured method answers them: places in `queries`, worst first, one of each class.
    ///
    /// Among the worst those come first whose wrong answer is most similar, among the best those that were worst
    /// before.
    fn ends(&self, count: usize) -> (Vec<usize>, Vec<usize>) {
        let (Some(before), Some(method)) = (self.methods.first(), self.methods.last()) else {
            return Default::default();
        };
        let score = |(place, &query): (usize, &usize)| {
            let surest = method.found[place].first().map_or(0.0, |hit| hit.1);
            let was = before.average_precision(place, query);
            (method.average_precision(place, query), surest, was, place)
        };
        let mut scored: Vec<(f64, f64, f64, usize)> = self.queries.iter().enumerate().map(score).collect();
        scored.retain(|scored| !scored.0.is_nan());
        scored.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)).then(a.3.cmp(&b.3)));
        let imperfect: Vec<usize> = scored.iter().filter(|scored| scored.0 < 1.0).map(|scored| scored.3).collect();
        let worst = self.one_of_each_class(&imperfect, count);
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.2.total_cmp(&b.2)).then(a.3.cmp(&b.3)));
        let rest: Vec<usize> = scored.iter().map(|scored| scored.3).filter(|place| !worst.contains(place)).collect();
        (worst, self.one_of_each_class(&rest, count))
    }

    fn one_of_each_class(&self, places: &[usize], count: usize) -> Vec<usize> {
        let mut classes = BTreeSet::new();
        let label = |place: &usize| self.methods[0].result.labels[self.queries[*place]];
        places.iter().filter(|place| classes.insert(label(place))).take(count).copied().collect()
    }

    /// The queries to show with their hits.
    pub fn grid(&self, samples: &mut Samples<'_>) -> RetrievalGrid {
        let (worst, best) = self.ends(ENDS);
        let kinds = [(QueryKind::Random, &self.random), (QueryKind::Worst, &worst), (QueryKind::Best, &best)];
        let mut rows = Vec::new();
        for (kind, places) in kinds {
            rows.extend(places.iter().map(|&place| self.row(kind, place, samples)));
        }
        RetrievalGrid { note: self.note.clone(), rows }
    }

    fn row(&self, kind: QueryKind, place: usize, samples: &mut Samples<'_>) -> RetrievalRow {
        let query = self.queries[place];
        let rankings = self.methods.iter().map(|method| {
            let hit = |(row, similarity): &(usize, f64)| Hit {
                picture: samples.picture(method.result.indices[*row]),
                similarity: *similarity,
                correct: method.same_class(query, *row),
            };
            Ranking { method: method.result.name.to_string(), hits: method.found[place].iter().map(hit).collect() }
        });
        let rankings = rankings.collect();
        RetrievalRow { kind, query: samples.picture(self.methods[0].result.indices[query]), rankings }
    }
}
