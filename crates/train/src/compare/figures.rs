//! From runs to rows: means and deviations over seeds, and which differences are more than chance.

use std::collections::BTreeMap;

use kinsight_report::comparison::{Comparison, ComparisonRow, Difference, MeanDeviation};
use kinsight_retrieval::paired_bootstrap;

use super::RunFigures;

const RESAMPLES: usize = 2000;
const CONFIDENCE: f64 = 0.95;

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
    let mut differences = Vec::new();
    for metric in ["recall@1", "map@r"] {
        let scores: Vec<BTreeMap<usize, f64>> = groups.iter().map(|(_, runs)| mean_scores(runs, metric)).collect();
        for (row, of_row) in scores.iter().enumerate() {
            for (minus, of_minus) in scores.iter().enumerate().take(row) {
                let pairs: Vec<f64> =
                    of_row.iter().filter_map(|(query, score)| Some(score - of_minus.get(query)?)).collect();
                let found = paired_bootstrap(&pairs, RESAMPLES, CONFIDENCE, 0);
                let (mean, interval, excludes_zero) = (found.mean, Some(found.interval), found.is_real());
                differences.push(Difference { metric, row, minus, mean, interval, excludes_zero });
            }
        }
    }
    let notes = vec![
        "A mark means that the 95 % interval of a paired bootstrap over queries, each query's score averaged over seeds, leaves \
         out zero. It says whether other photos of these classes would show the difference, not whether other seeds or other \
         classes would."
            .into(),
    ];
    Comparison { title: title.to_string(), facts, rows, differences, notes, missing }
}

/// Each query's mean score over the seeds.
fn mean_scores(runs: &[RunFigures], metric: &str) -> BTreeMap<usize, f64> {
    let mut sums: BTreeMap<usize, (f64, usize)> = BTreeMap::new();
    for run in runs {
        for (index, score) in run.queries.indices.iter().zip(&run.queries.scores) {
            let value = if metric == "map@r" { score.map_at_r } else { Some(score.recall_at_1) };
            if let Some(value) = value {
                let sum = sums.entry(*index).or_default();
                *sum = (sum.0 + value, sum.1 + 1);
            }
        }
    }
    sums.into_iter().map(|(index, (sum, count))| (index, sum / count as f64)).collect()
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
    use crate::run::{RunCost, RunQueries};

    /// A run in which query i scores `score(i)`.
    fn run(score: impl Fn(usize) -> f64, trainable: usize) -> RunFigures {
        let scores: Vec<QueryScore> =
            (0..100).map(|i| QueryScore { recall_at_1: score(i), map_at_r: Some(score(i) / 2.0) }).collect();
        let recall = scores.iter().map(|s| s.recall_at_1).sum::<f64>() / 100.0;
        RunFigures {
            metrics: BTreeMap::from([("recall@1".to_string(), recall), ("map@r".to_string(), recall / 2.0)]),
            queries: RunQueries { indices: (0..100).collect(), scores },
            cost: RunCost { parameters: 1000, trainable, seconds: Some(10.0), ..RunCost::default() },
        }
    }

    fn example() -> Comparison {
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
        let (mean, real) = comparison.difference("recall@1", 2, 0).unwrap();
        assert!((mean - 0.41).abs() < 1e-12 && real);
        assert_eq!(comparison.difference("recall@1", 0, 2).unwrap(), (-mean, true));
        assert_eq!(comparison.difference("recall@1", 1, 0).unwrap(), (0.0, false));
    }
}
