//! Figures as tables for people and as JSON for scripts.

use kinsight_retrieval::{ClassScores, Evaluation};
use serde_json::{Map, Value, json};

use super::material::Material;
use super::selection::Selection;

/// Everything that was measured.
pub struct Results {
    /// The plain figures.
    pub plain: Evaluation,
    /// Each processing with its figures.
    pub processed: Vec<(&'static str, Evaluation)>,
    /// Each group with its figures.
    pub groups: Vec<(String, Evaluation)>,
}

/// Prints Recall@K and MAP@R, as after a training.
pub fn print_basic(evaluation: &Evaluation) {
    if let Ok(selection) = Selection::parse(&[]) {
        print_figures(evaluation, &selection);
    }
}

/// Prints the figures that were asked for, with their intervals.
pub fn print_figures(evaluation: &Evaluation, selection: &Selection) {
    for (name, value) in shown(evaluation, selection) {
        let interval = evaluation
            .intervals
            .get(&name)
            .map(|interval| format!("  ({:.1} to {:.1})", 100.0 * interval.low, 100.0 * interval.high));
        println!("  {:<22} {:5.1} %{}", title(&name), 100.0 * value, interval.unwrap_or_default());
    }
    if !evaluation.cmc.is_empty() {
        let at = [1, 5, 10, 20, 50].into_iter().filter(|k| *k <= evaluation.cmc.len());
        let points: Vec<String> = at.map(|k| format!("{k}: {:.1} %", 100.0 * evaluation.cmc[k - 1])).collect();
        println!("  {:<22} {}", "CMC", points.join(", "));
    }
    if let Some(clustering) = &evaluation.clustering {
        for (name, title, value) in [
            ("nmi", "NMI", clustering.nmi),
            ("ami", "AMI", clustering.ami),
            ("ari", "ARI", clustering.ari),
            ("pairwise_f1", "pairwise F1", clustering.pairwise_f1),
        ] {
            if selection.has(name) {
                println!("  {title:<22} {:5.1} %", 100.0 * value);
            }
        }
    }
    if let Some(pairs) = &evaluation.pairs {
        if selection.has("fnmr@fmr") {
            for (asked, point) in [0.1, 0.01, 0.001].iter().zip(&pairs.operating_points) {
                println!(
                    "  {:<22} {:5.1} %  (threshold {:.3})",
                    format!("FNMR@FMR {} %", 100.0 * asked),
                    100.0 * point.fnmr,
                    point.threshold
                );
            }
        }
        if selection.has("eer") {
            print_optional("EER", pairs.equal_error_rate.map(|rate| format!("{:5.1} %", 100.0 * rate)));
            print_optional("area under ROC", pairs.area_under_roc.map(|area| format!("{area:7.4}")));
        }
        for (name, value) in
            [("density", pairs.density), ("uniformity", pairs.uniformity), ("alignment", pairs.alignment)]
        {
            if selection.has(name) {
                print_optional(name, value.map(|value| format!("{value:7.4}")));
            }
        }
    }
    if !evaluation.intervals.is_empty() {
        println!("  in parentheses: 95 % bootstrap interval");
    }
    if evaluation.queries_without_reference > 0 {
        println!(
            "  {} of {} queries are the only image of their class: they count as wrong in Recall@K and are left out of all other metrics",
            evaluation.queries_without_reference, evaluation.queries
        );
    }
}

fn print_optional(name: &str, value: Option<String>) {
    println!("  {name:<22} {}", value.as_deref().unwrap_or("no pairs to compare"));
}

/// Metrics to be shown, in the order of their list and of K.
fn shown(evaluation: &Evaluation, selection: &Selection) -> Vec<(String, f64)> {
    let mut found: Vec<(String, f64)> =
        evaluation.metrics.iter().filter(|(name, _)| selection.shows(name)).map(|(n, v)| (n.clone(), *v)).collect();
    let order = |name: &str| {
        let (family, k) = name.split_once('@').unwrap_or((name, ""));
        let families = ["recall", "precision", "ndcg", "map", "r_precision", "mrr"];
        let place = families.iter().position(|known| *known == family).unwrap_or(families.len());
        (place, k.parse().unwrap_or(usize::MAX), name.len())
    };
    found.sort_by_key(|(name, _)| order(name));
    found
}

fn title(name: &str) -> String {
    match name {
        "map@r" => "MAP@R".to_owned(),
        "map@r/counting_query" => "MAP@R, counting query".to_owned(),
        "r_precision" => "R-precision".to_owned(),
        "map" => "MAP".to_owned(),
        "mrr" => "MRR".to_owned(),
        "map/max_r" => "MAP, to max R".to_owned(),
        "mrr/max_r" => "MRR, to max R".to_owned(),
        _ => match name.split_once('@') {
            Some(("recall", k)) => format!("Recall@{k}"),
            Some(("precision", k)) => format!("Precision@{k}"),
            Some(("ndcg", k)) => format!("nDCG@{k}"),
            _ => name.to_owned(),
        },
    }
}

/// Prints every processing next to the plain figure.
pub fn print_processed(results: &Results, selection: &Selection) {
    if results.processed.is_empty() {
        return;
    }
    println!("\n{:<24} {:>10} {}", "", "plain", header(&results.processed));
    for (name, value) in shown(&results.plain, selection) {
        let processed: String = results
            .processed
            .iter()
            .map(|(_, evaluation)| format!(" {:>12.1} %", 100.0 * evaluation.get(&name).unwrap_or(f64::NAN)))
            .collect();
        println!("  {:<22} {:>8.1} % {processed}", title(&name), 100.0 * value);
    }
}

fn header(processed: &[(&str, Evaluation)]) -> String {
    processed.iter().map(|(name, _)| format!(" {name:>14}")).collect()
}

/// Prints each group's Recall@1 and MAP@R, and their mean over groups.
pub fn print_groups(groups: &[(String, Evaluation)]) {
    if groups.is_empty() {
        return;
    }
    println!("\nwithin groups");
    let recall = |evaluation: &Evaluation| 100.0 * evaluation.recall_at(1).unwrap_or_default();
    let line = |name: &str, recall: f64, map: f64, queries: usize| {
        println!("  {name:<40} Recall@1 {recall:5.1} %  MAP@R {map:5.1} %  ({queries} queries)");
    };
    for (name, evaluation) in groups {
        line(name, recall(evaluation), 100.0 * evaluation.map_at_r(), evaluation.queries);
    }
    let mean = |value: &dyn Fn(&Evaluation) -> f64| {
        groups.iter().map(|(_, evaluation)| value(evaluation)).sum::<f64>() / groups.len() as f64
    };
    let queries = groups.iter().map(|(_, evaluation)| evaluation.queries).sum();
    line("mean over groups", mean(&recall), mean(&|e| 100.0 * e.map_at_r()), queries);
}

/// Prints some classes.
pub fn print_classes(title: &str, classes: &[&ClassScores], material: &Material) {
    if classes.is_empty() {
        return;
    }
    println!("{title}");
    for class in classes {
        println!(
            "  {:<40} Recall@1 {:5.1} %  MAP@R {:5.1} %  ({} images)",
            material.class_name(class.label),
            100.0 * class.recall_at_1,
            100.0 * class.map_at_r,
            class.queries
        );
    }
}

/// Everything as JSON.
pub fn as_json(material: &Material, results: &Results, listed: usize) -> Value {
    let classes = |classes: Vec<&ClassScores>| -> Vec<Value> {
        classes
            .into_iter()
            .map(|class| {
                json!({
                    "class": material.class_name(class.label),
                    "images": class.queries,
                    "recall@1": class.recall_at_1,
                    "map@r": class.map_at_r,
                })
            })
            .collect()
    };
    let figures = |evaluation: &Evaluation| json!({ "queries": evaluation.queries, "gallery": evaluation.gallery, "metrics": evaluation.metrics, "intervals": evaluation.intervals });
    let evaluation = &results.plain;
    let mut value = json!({
        "model": material.name,
        "images": material.labels.len(),
        "classes": material.classes(),
        "queries": evaluation.queries,
        "gallery": evaluation.gallery,
        "queries_without_reference": evaluation.queries_without_reference,
        "skipped": material.skipped,
        "metrics": evaluation.metrics,
        "intervals": evaluation.intervals,
        "worst_classes": classes(evaluation.worst_classes(listed)),
        "best_classes": classes(evaluation.best_classes(listed)),
    });
    let mut insert = |key: &str, inner: Value| {
        if let Value::Object(map) = &mut value {
            map.insert(key.to_owned(), inner);
        }
    };
    if !evaluation.cmc.is_empty() {
        insert("cmc", json!(evaluation.cmc));
    }
    if let Some(clustering) = &evaluation.clustering {
        insert("clustering", json!(clustering));
    }
    if let Some(pairs) = &evaluation.pairs {
        insert("pairs", json!(pairs));
    }
    if !results.processed.is_empty() {
        let map: Map<String, Value> =
            results.processed.iter().map(|(name, evaluation)| (name.to_string(), figures(evaluation))).collect();
        insert("processed", Value::Object(map));
    }
    if !results.groups.is_empty() {
        let map: Map<String, Value> =
            results.groups.iter().map(|(name, evaluation)| (name.clone(), figures(evaluation))).collect();
        insert("groups", Value::Object(map));
    }
    value
}
