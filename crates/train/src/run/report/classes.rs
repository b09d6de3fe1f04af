//! The classes that are hardest and easiest to find, and which are found in place of which.

use std::collections::BTreeMap;

use super::RunReport;
use super::pictures::Pictures;
use super::rankings::{HITS, RankedBy, Rankings};
use crate::report::{ClassScore, ClassScores, ConfusedPair, Confusion};

/// Classes at each end.
const ENDS: usize = 5;
/// Pairs of classes shown.
const PAIRS: usize = 8;
/// Classes of the matrix.
const MATRIX: usize = 14;

/// The hardest and the easiest classes by MAP@R.
pub(super) fn scores(
    report: &RunReport<'_>,
    rankings: &Rankings<'_>,
    pictures: &mut Pictures<'_>,
) -> Option<ClassScores> {
    let method = rankings.featured()?;
    let before: BTreeMap<i64, f64> =
        report.zero_shot.evaluation.classes.iter().map(|class| (class.label, class.map_at_r)).collect();
    let answers = Answers::of(rankings, method);
    let mut score = |class: &kinsight_retrieval::ClassScores| {
        let example = method.measured.labels.iter().position(|label| *label == class.label);
        ClassScore {
            name: report.class_name(class.label),
            images: class.queries,
            value: class.map_at_r,
            before: before.get(&class.label).copied(),
            confused_with: answers.most_other(class.label).map(|(label, _)| report.class_name(label)),
            example: example.map(|row| pictures.get(method.measured.indices[row])),
        }
    };
    let evaluation = &method.measured.evaluation;
    // With few classes a class is at one end, not at both.
    let count = ENDS.min(evaluation.classes.len().div_ceil(2));
    Some(ClassScores {
        metric: "MAP@R".into(),
        method: method.name.into(),
        worst: evaluation.worst_classes(count).into_iter().map(&mut score).collect(),
        best: evaluation.best_classes(count).into_iter().map(&mut score).collect(),
    })
}

/// The pairs of classes found for each other most, and the matrix of the classes in them.
pub(super) fn confusion(
    report: &RunReport<'_>,
    rankings: &Rankings<'_>,
    pictures: &mut Pictures<'_>,
) -> Option<Confusion> {
    let method = rankings.featured()?;
    let answers = Answers::of(rankings, method);
    let pairs = answers.pairs();
    // Classes in order of the pairs, so that those found for each other stand beside each other.
    let mut classes: Vec<i64> = Vec::new();
    for (from, to, _) in &pairs {
        let new = [from, to].into_iter().filter(|label| !classes.contains(label)).copied().collect::<Vec<i64>>();
        if classes.len() + new.len() <= MATRIX {
            classes.extend(new);
        }
    }
    let shares = classes.iter().map(|row| classes.iter().map(|column| answers.share(*row, *column)).collect());
    Some(Confusion {
        among: format!("the {HITS} nearest images"),
        method: method.name.into(),
        shares: shares.collect(),
        classes: classes.iter().map(|label| report.class_name(*label)).collect(),
        pairs: pairs
            .iter()
            .take(PAIRS)
            .map(|(from, to, share)| ConfusedPair {
                class: report.class_name(*from),
                taken_for: report.class_name(*to),
                share: *share,
                example: example(rankings, method, *from, *to).map(|(query, answer)| {
                    let picture = |row: usize, pictures: &mut Pictures<'_>| pictures.get(method.measured.indices[row]);
                    (picture(query, pictures), picture(answer, pictures))
                }),
            })
            .collect(),
    })
}

/// How often each class is among the answers to each class.
struct Answers {
    counts: BTreeMap<i64, BTreeMap<i64, usize>>,
    totals: BTreeMap<i64, usize>,
}

impl Answers {
    fn of(rankings: &Rankings<'_>, method: &RankedBy<'_>) -> Self {
        let labels = &method.measured.labels;
        let mut counts: BTreeMap<i64, BTreeMap<i64, usize>> = BTreeMap::new();
        let mut totals: BTreeMap<i64, usize> = BTreeMap::new();
        for (query, hits) in rankings.queries.iter().zip(&method.found) {
            let row = counts.entry(labels[*query]).or_default();
            for hit in hits {
                *row.entry(labels[hit.index() as usize]).or_default() += 1;
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
    let labels = &method.measured.labels;
    let hits = rankings.queries.iter().zip(&method.found).filter(|(query, _)| labels[**query] == from);
    let hits = hits.flat_map(|(query, hits)| hits.iter().map(move |hit| (*query, hit)));
    let of_class = hits.filter(|(_, hit)| labels[hit.index() as usize] == to);
    let best = of_class.max_by(|a, b| a.1.score().total_cmp(&b.1.score()).then(b.0.cmp(&a.0)))?;
    Some((best.0, best.1.index() as usize))
}
