//! What queries find, before and after, and which queries are worth showing.

use kinsight_retrieval::{KnnConfig, Neighbor, search};
use rand::seq::IndexedRandom;

use super::pictures::Pictures;
use super::{RunReport, ZERO_SHOT};
use crate::error::TrainError;
use crate::evaluation::Measured;
use crate::report::{Hit, QueryKind, Ranking, RetrievalGrid, RetrievalRow};

/// Answers of a query.
pub(super) const HITS: usize = 10;
/// Queries that are looked at; of more images a sample is drawn.
const SAMPLE: usize = 4000;
/// Queries shown of each kind.
const RANDOM: usize = 8;
const ENDS: usize = 5;
const STREAM: u64 = 1;

/// The nearest images of a sample of queries.
pub(super) struct Rankings<'a> {
    /// Rows of the test set, ascending.
    pub(super) queries: Vec<usize>,
    /// By method, zero-shot first: for each query its nearest rows, nearest first.
    pub(super) methods: Vec<RankedBy<'a>>,
    random: Vec<usize>,
    note: String,
}

/// What one method finds.
pub(super) struct RankedBy<'a> {
    pub(super) name: &'a str,
    pub(super) measured: &'a Measured,
    pub(super) found: Vec<Vec<Neighbor>>,
}

impl RankedBy<'_> {
    /// Whether two rows are of one class.
    pub(super) fn same_class(&self, a: usize, b: usize) -> bool {
        self.measured.labels[a] == self.measured.labels[b]
    }

    /// Average precision of the answers to a query, over as many of them as there are right ones to find.
    fn average_precision(&self, place: usize, query: usize) -> f64 {
        let label = self.measured.labels[query];
        let relevant = self.measured.labels.iter().filter(|other| **other == label).count().saturating_sub(1);
        let depth = relevant.min(HITS).min(self.found[place].len());
        let mut right = 0.0;
        let mut sum = 0.0;
        for (rank, hit) in self.found[place].iter().take(depth).enumerate() {
            if self.same_class(query, hit.index() as usize) {
                right += 1.0;
                sum += right / (rank + 1) as f64;
            }
        }
        if depth == 0 { f64::NAN } else { sum / depth as f64 }
    }
}

impl<'a> Rankings<'a> {
    pub(super) fn of(report: &'a RunReport<'_>) -> Result<Self, TrainError> {
        let rows: Vec<usize> = (0..report.zero_shot.indices.len()).collect();
        let mut rng = report.rng(STREAM);
        let mut queries: Vec<usize> = rows.sample(&mut rng, SAMPLE).copied().collect();
        queries.sort_unstable();
        let mut random: Vec<usize> = (0..queries.len()).collect::<Vec<_>>().sample(&mut rng, RANDOM).copied().collect();
        random.sort_unstable();
        let methods: Vec<RankedBy<'_>> = report
            .compared()
            .into_iter()
            .map(|(name, measured)| Ok(RankedBy { name, measured, found: nearest(measured, &queries)? }))
            .collect::<Result<_, TrainError>>()?;
        let sampled = match queries.len() < rows.len() {
            true => format!(" Worst and best are those of {} queries drawn at random.", queries.len()),
            false => String::new(),
        };
        let note = format!(
            "Each query of the test classes is searched among all other {} test images.{sampled}",
            rows.len().saturating_sub(1)
        );
        Ok(Self { queries, methods, random, note })
    }

    /// The featured method.
    pub(super) fn featured(&self) -> Option<&RankedBy<'a>> {
        self.methods.last().filter(|method| method.name != ZERO_SHOT)
    }

    /// Queries by how well the featured method answers them: places in `queries`, worst first, one of a class.
    ///
    /// Among the worst those come first whose wrong answer is most similar, among the best those that were worst
    /// before.
    pub(super) fn ends(&self, count: usize) -> (Vec<usize>, Vec<usize>) {
        let Some(method) = self.methods.last() else { return Default::default() };
        let before = &self.methods[0];
        let mut scored: Vec<(f64, f64, f64, usize)> = self
            .queries
            .iter()
            .enumerate()
            .map(|(place, &query)| {
                let surest = method.found[place].first().map_or(0.0, |hit| f64::from(hit.score()));
                let was = before.average_precision(place, query);
                (method.average_precision(place, query), surest, was, place)
            })
            .filter(|scored| !scored.0.is_nan())
            .collect();
        scored.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)).then(a.3.cmp(&b.3)));
        let imperfect: Vec<usize> = scored.iter().filter(|scored| scored.0 < 1.0).map(|scored| scored.3).collect();
        let worst = self.one_a_class(&imperfect, count);
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.2.total_cmp(&b.2)).then(a.3.cmp(&b.3)));
        let rest: Vec<usize> = scored.iter().map(|scored| scored.3).filter(|place| !worst.contains(place)).collect();
        (worst, self.one_a_class(&rest, count))
    }

    fn one_a_class(&self, places: &[usize], count: usize) -> Vec<usize> {
        let mut classes = std::collections::BTreeSet::new();
        let label = |place: &usize| self.methods[0].measured.labels[self.queries[*place]];
        places.iter().filter(|place| classes.insert(label(place))).take(count).copied().collect()
    }

    /// The queries to show with their answers.
    pub(super) fn grid(&self, pictures: &mut Pictures<'_>) -> RetrievalGrid {
        let (worst, best) = self.ends(ENDS);
        let kinds = [(QueryKind::Random, &self.random), (QueryKind::Worst, &worst), (QueryKind::Best, &best)];
        let mut rows = Vec::new();
        for (kind, places) in kinds {
            rows.extend(places.iter().map(|&place| self.row(kind, place, pictures)));
        }
        RetrievalGrid { note: self.note.clone(), rows }
    }

    fn row(&self, kind: QueryKind, place: usize, pictures: &mut Pictures<'_>) -> RetrievalRow {
        let query = self.queries[place];
        let ranking = |method: &RankedBy<'_>, pictures: &mut Pictures<'_>| Ranking {
            method: method.name.to_string(),
            hits: method.found[place]
                .iter()
                .map(|hit| Hit {
                    picture: pictures.get(method.measured.indices[hit.index() as usize]),
                    similarity: f64::from(hit.score()),
                    correct: method.same_class(query, hit.index() as usize),
                })
                .collect(),
        };
        RetrievalRow {
            kind,
            query: pictures.get(self.methods[0].measured.indices[query]),
            rankings: self.methods.iter().map(|method| ranking(method, pictures)).collect(),
        }
    }
}

/// The nearest other rows of each query.
fn nearest(measured: &Measured, queries: &[usize]) -> Result<Vec<Vec<Neighbor>>, TrainError> {
    // One more, since a query finds itself.
    let config = KnnConfig { k: HITS + 1, ..KnnConfig::default() };
    let neighbors = search(&measured.embeddings.select(queries)?, &measured.embeddings, &config)?;
    let others = |(place, query): (usize, &usize)| {
        let others = neighbors.row(place).iter().filter(|hit| hit.index() as usize != *query);
        others.take(HITS).copied().collect()
    };
    Ok(queries.iter().enumerate().map(others).collect())
}
