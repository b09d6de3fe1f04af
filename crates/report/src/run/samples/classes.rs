//! The classes that are hardest and easiest to find, and which are found in place of which.

use std::collections::BTreeMap;

use super::Samples;
use super::rankings::{HITS, RankedBy, Rankings};
use crate::run::{ClassScore, ClassScores, ConfusedPair, Confusion};

/// Classes at each end.
const ENDS: usize = 5;
/// Pairs of classes shown.
const PAIRS: usize = 8;
/// Classes of the matrix.
const MATRIX: usize = 14;

impl Rankings<'_> {
    /// The hardest and the easiest classes by MAP@R.
    pub fn class_scores(&self, samples: &mut Samples<'_>) -> Option<ClassScores> {
        let (method, baseline) = (self.featured()?, self.methods.first()?);
        let before = baseline.result.evaluation.classes.iter().map(|class| (class.label, class.map_at_r));
        let before: BTreeMap<i64, f64> = before.collect();
        let answers = Answers::of(self, method);
        let result = &method.result;
        let mut score = |class: &kinsight_retrieval::ClassScores| {
            let example = result.labels.iter().position(|label| *label == class.label);
            ClassScore {
                name: samples.class_name(class.label),
                images: class.queries,
                value: class.map_at_r,
                before: before.get(&class.label).copied(),
                confused_with: answers.most_other(class.label).map(|(label, _)| samples.class_name(label)),
                example: example.map(|row| samples.picture(result.indices[row])),
            }
        };
        // With few classes a class is at one end, not at both.
        let count = ENDS.min(result.evaluation.classes.len().div_ceil(2));
        Some(ClassScores {
            metric: "MAP@R".into(),
            method: result.name.into(),
            worst: result.evaluation.worst_classes(count).into_iter().map(&mut score).collect(),
            best: result.evaluation.best_classes(count).into_iter().map(&mut score).collect(),
        })
    }

    /// The pairs of classes found for each other most, and the matrix of the classes in them.
    pub fn confusion(&self, samples: &mut Samples<'_>) -> Option<Confusion> {
        let method = self.featured()?;
        let answers = Answers::of(self, method);
        let pairs = answers.pairs();
        // Classes in order of the pairs, so that those found for each other are next to each other.
        let mut classes: Vec<i64> = Vec::new();
        for (from, to, _) in &pairs {
            let new = [from, to].into_iter().filter(|label| !classes.contains(label)).copied().collect::<Vec<i64>>();
            // Distractors never search, so there is no row for them.
            if classes.len() + new.len() <= MATRIX && answers.counts.contains_key(to) {
                classes.extend(new);
            }
        }
        let shares = classes.iter().map(|row| classes.iter().map(|column| answers.share(*row, *column)).collect());
        let shown = pairs.iter().take(PAIRS).map(|(from, to, share)| ConfusedPair {
            class: samples.class_name(*from),
            taken_for: samples.class_name(*to),
            share: *share,
            example: example(self, method, *from, *to).map(|(query, answer)| {
                let mut picture = |row: usize| samples.picture(method.result.indices[row]);
                (picture(query), picture(answer))
            }),
        });
        let hits = method.found.iter().map(Vec::len).max().unwrap_or(HITS);
        Some(Confusion {
            among: if hits == 1 { "the nearest image".into() } else { format!("the {hits} nearest images") },
            method: method.result.name.into(),
            shares: shares.collect(),
            pairs: shown.collect(),
            classes: classes.iter().map(|label| samples.class_name(*label)).collect(),
        })
    }
}

/// How often each class is among the answers to each class.
struct Answers {
    counts: BTreeMap<i64, BTreeMap<i64, usize>>,
    totals: BTreeMap<i64, usize>,
}

impl Answers {
    fn of(rankings: &Rankings<'_>, method: &RankedBy<'_>) -> Self {
        let labels = method.result.labels;
        let mut counts: BTreeMap<i64, BTreeMap<i64, usize>> = BTreeMap::new();
        let mut totals: BTreeMap<i64, usize> = BTreeMap::new();
        for (query, hits) in rankings.queries.iter().zip(&method.found) {
            let row = counts.entry(labels[*query]).or_default();
            for hit in hits {
                *row.entry(labels[hit.0]).or_default() += 1;
                *totals.entry(labels[*query]).or_default() += 1;
            }
        }
        Self { counts, totals }
    }

    fn share(&self, from: i64, to: i64) -> f64 {
        let count = self.counts.get(&from).and_then(|row| row.get(&to)).copied().unwrap_or(0);
        count as f64 / self.totals.get(&from).copied().unwrap_or(0).max(1) as f64
    }

    fn most_other(&self, from: i64) -> Option<(i64, f64)> {
        let others = self.counts.get(&from)?.keys().filter(|label| **label != from);
        others.map(|label| (*label, self.share(from, *label))).max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))
    }

    /// All pairs of two classes, most confused first.
    fn pairs(&self) -> Vec<(i64, i64, f64)> {
        let mut pairs: Vec<(i64, i64, f64)> = self
            .counts
            .iter()
            .flat_map(|(from, row)| row.keys().map(move |to| (*from, *to)))
            .filter(|(from, to)| from != to)
            .map(|(from, to)| (from, to, self.share(from, to)))
            .collect();
        pairs.sort_by(|a, b| b.2.total_cmp(&a.2).then((a.0, a.1).cmp(&(b.0, b.1))));
        pairs
    }
}

/// The most similar query and answer of two classes: rows.
fn example(rankings: &Rankings<'_>, method: &RankedBy<'_>, from: i64, to: i64) -> Option<(usize, usize)> {
    let labels = method.result.labels;
    let hits = rankings.queries.iter().zip(&method.found).filter(|(query, _)| labels[**query] == from);
    let hits = hits.flat_map(|(query, hits)| hits.iter().map(move |hit| (*query, hit)));
    let of_class = hits.filter(|(_, hit)| labels[hit.0] == to);
    let best = of_class.max_by(|a, b| a.1.1.total_cmp(&b.1.1).then(b.0.cmp(&a.0)))?;
    Some((best.0, best.1.0))
}
