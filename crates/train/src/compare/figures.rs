//! From runs to rows: means and deviations over seeds, and which differences are more than chance.

use std::collections::BTreeMap;

use kinsight_report::comparison::{Comparison, ComparisonRow, Difference, MeanDeviation, notes};
use kinsight_retrieval::{ModelScores, PairedDifference, paired_differences};

use super::RunFigures;
use crate::run::RunQueries;

const CONFIDENCE: f64 = 0.95;
const METRICS: [&str; 2] = ["recall@1", "map@r"];

/// Puts together the bare backbone's figures and those of each entry's finished seeds.
pub fn comparison(
    title: &str,
    facts: Vec<(String, String)>,
    zero_shot: RunFigures,
    entries: Vec<(String, Vec<RunFigures>)>,
    missing: Vec<(String, String)>,
) -> Comparison {
    let mut groups = vec![("zero-shot".to_string(), vec![zero_shot])];
    groups.extend(entries.into_iter().filter(|(_, runs)| !runs.is_empty()));
    let mut rows: Vec<ComparisonRow> = groups.iter().map(|(name, runs)| row(name, runs)).collect();
    rows[0].seeds = 0;
    let classes = classes(&groups);
    let pairs = rows.len() * (rows.len() - 1) / 2;
    let comparisons = METRICS.len() * pairs;
    let mut differences = Vec::new();
    for metric in METRICS {
        let (scores, classes) = scores(&groups, metric, &classes);
        let places = (1..rows.len()).flat_map(|row| (0..row).map(move |minus| (row, minus)));
        let found = paired_differences(&scores, &classes, CONFIDENCE, comparisons);
        differences.extend(places.zip(found).map(|((row, minus), found)| {
            let PairedDifference { mean, interval, excludes_zero } = found;
            Difference { metric, row, minus, mean, interval, excludes_zero }
        }));
    }
    let notes = notes(&rows, CONFIDENCE, comparisons, differences.iter().any(|found| found.interval.is_some()));
    Comparison { title: title.to_string(), facts, rows, differences, notes, missing }
}

/// The class of each query, from the runs that tell: those of older versions do not.
fn classes(groups: &[(String, Vec<RunFigures>)]) -> BTreeMap<usize, i64> {
    let queries = groups.iter().flat_map(|(_, runs)| runs).map(|run| &run.queries);
    queries.flat_map(|RunQueries { indices, labels, .. }| indices.iter().copied().zip(labels.iter().copied())).collect()
}

/// The scores of the queries that all runs have, and the queries' classes; all of one class where no run tells. The first group
/// is the bare backbone.
fn scores(
    groups: &[(String, Vec<RunFigures>)],
    metric: &str,
    classes: &BTreeMap<usize, i64>,
) -> (Vec<ModelScores>, Vec<i64>) {
    let of_run = |RunFigures { queries, .. }: &RunFigures| -> BTreeMap<usize, f64> {
        let scores = queries.scores.iter().map(|s| if metric == "map@r" { s.map_at_r } else { Some(s.recall_at_1) });
        queries.indices.iter().zip(scores).filter_map(|(index, score)| Some((*index, score?))).collect()
    };
    let scores: Vec<Vec<BTreeMap<usize, f64>>> =
        groups.iter().map(|(_, runs)| runs.iter().map(of_run).collect()).collect();
    let everywhere = |index: &usize| scores.iter().flatten().all(|run| run.contains_key(index));
    let is_known = |index: &usize| classes.is_empty() || classes.contains_key(index);
    let shared = |index: &usize| everywhere(index) && is_known(index);
    let indices: Vec<usize> = scores[0][0].keys().copied().filter(shared).collect();
    let pick = |run: &BTreeMap<usize, f64>| indices.iter().filter_map(|index| run.get(index).copied()).collect();
    let labels = indices.iter().map(|index| classes.get(index).copied().unwrap_or(0)).collect();
    let model = |(place, runs): (usize, &Vec<BTreeMap<usize, f64>>)| ModelScores {
        by_seed: runs.iter().map(pick).collect(),
        is_trained: place > 0,
    };
    (scores.iter().enumerate().map(model).collect(), labels)
}

fn row(name: &str, runs: &[RunFigures]) -> ComparisonRow {
    let names: std::collections::BTreeSet<&String> = runs.iter().flat_map(|run| run.metrics.keys()).collect();
    let of = |metric: &String| runs.iter().filter_map(|run| run.metrics.get(metric).copied()).collect::<Vec<f64>>();
    let metrics = names.into_iter().filter_map(|m| Some((m.clone(), MeanDeviation::of(&of(m))?))).collect();
    let cost =
        |value: fn(&RunFigures) -> Option<f64>| MeanDeviation::of(&runs.iter().filter_map(value).collect::<Vec<f64>>());
    let (trainable, parameters) = runs.first().map_or((0, 0), |run| (run.cost.trainable, run.cost.parameters));
    ComparisonRow {
        name: name.to_string(),
        seeds: runs.len(),
        metrics,
        trainable,
        trainable_share: trainable as f64 / parameters.max(1) as f64,
        images_per_second: cost(|run| run.cost.images_per_second),
        seconds: cost(|run| run.cost.seconds),
        peak_memory_bytes: runs.iter().filter_map(|run| run.cost.peak_memory_bytes).max(),
    }
}

#[cfg(test)]
mod tests {
    use kinsight_retrieval::QueryScore;

    use super::*;
    use crate::run::RunCost;

    /// A run in which query i scores `score(i)`.
    pub fn run(score: impl Fn(usize) -> f64, trainable: usize) -> RunFigures {
        let scores: Vec<QueryScore> =
            (0..100).map(|i| QueryScore { recall_at_1: score(i), map_at_r: Some(score(i) / 2.0) }).collect();
        let recall = scores.iter().map(|s| s.recall_at_1).sum::<f64>() / 100.0;
        RunFigures {
            metrics: BTreeMap::from([("recall@1".to_string(), recall), ("map@r".to_string(), recall / 2.0)]),
            queries: RunQueries { indices: (0..100).collect(), labels: (0..100).map(|i| i / 10).collect(), scores },
            cost: RunCost { parameters: 1000, trainable, seconds: Some(10.0), ..RunCost::default() },
        }
    }

    pub fn example() -> Comparison {
        let half = |i: usize| f64::from(u8::from(i.is_multiple_of(2)));
        let most = |i: usize| f64::from(u8::from(i < 90));
        let entries = vec![
            ("Linear".to_string(), vec![run(half, 10), run(|i| half(i + 1), 10)]),
            ("VPT <b>".to_string(), vec![run(most, 200), run(most, 200), run(|i| f64::from(u8::from(i < 93)), 200)]),
        ];
        let missing = vec![("Full, seed 2".to_string(), "stopped".to_string())];
        comparison("Methods", vec![("images".into(), "100".into())], run(half, 0), entries, missing)
    }

    #[test]
    fn rows_are_means_over_seeds_and_differences_are_paired() {
        let comparison = example();
        let names: Vec<&str> = comparison.rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["zero-shot", "Linear", "VPT <b>"]);
        let recall = comparison.rows[2].metrics["recall@1"];
        assert!((recall.mean - 0.91).abs() < 1e-12);
        assert!((recall.deviation.unwrap() - 0.01 * 3f64.sqrt()).abs() < 1e-12);
        assert_eq!(comparison.rows[0].metrics["recall@1"].deviation, None);
        let (mean, excludes_zero) = comparison.difference("recall@1", 2, 0).unwrap();
        assert!((mean - 0.41).abs() < 1e-12 && excludes_zero);
        assert_eq!(comparison.difference("recall@1", 0, 2).unwrap(), (-mean, true));
        assert_eq!(comparison.difference("recall@1", 1, 0).unwrap(), (0.0, false));
    }

    #[test]
    fn one_seed_is_told_and_folders_without_classes_are_read() {
        let good = |_| 1.0;
        let entries = |runs| vec![("Linear".to_string(), runs)];
        let bad = || run(|i| f64::from(u8::from(i % 10 == 0)), 0);
        let once = comparison("m", Vec::new(), bad(), entries(vec![run(good, 10)]), Vec::new());
        assert!(once.difference("map@r", 1, 0).unwrap().1);
        assert!(
            once.notes[0].contains("the 2 differences") && once.notes[1].contains("With one seed"),
            "{:?}",
            once.notes
        );
        let twice = comparison("m", Vec::new(), bad(), entries(vec![run(good, 10), run(good, 10)]), Vec::new());
        assert!(!twice.notes[1].contains("one seed"), "{:?}", twice.notes);

        // As older versions wrote them.
        let old = |mut figures: RunFigures| -> RunFigures {
            figures.queries.labels.clear();
            let text = serde_json::to_string(&figures).unwrap();
            serde_json::from_str(&text.replace("\"labels\":[],", "")).unwrap()
        };
        let unknown = comparison("m", Vec::new(), old(bad()), entries(vec![old(run(good, 10))]), Vec::new());
        let (mean, excludes_zero) = unknown.difference("recall@1", 1, 0).unwrap();
        assert!((mean - 0.9).abs() < 1e-12 && !excludes_zero);
        assert!(unknown.notes[0].contains("not known"), "{:?}", unknown.notes);
        // The backbone's classes are enough.
        let known = comparison("m", Vec::new(), bad(), entries(vec![old(run(good, 10))]), Vec::new());
        assert_eq!(known.differences, once.differences);
    }
}
