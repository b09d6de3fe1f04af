//! Metrics against figures recorded in float64, and against those pytorch-metric-learning gave for the same input.

use std::path::PathBuf;

use kinsight_retrieval::{
    ClusteringScores, EvalConfig, Evaluation, UnitEmbeddings, evaluate_query_gallery, evaluate_self,
};
use safetensors::SafeTensors;
use serde_json::Value;

struct Golden {
    bytes: Vec<u8>,
    expected: Value,
}

impl Golden {
    fn read() -> Self {
        let folder = std::env::var_os("KINSIGHT_GOLDEN")
            .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden")), PathBuf::from);
        let path = folder.join("metrics.safetensors");
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        let expected = serde_json::from_str(&metadata.metadata().as_ref().unwrap()["expected"]).unwrap();
        Self { bytes, expected }
    }

    fn embeddings(&self, name: &str) -> UnitEmbeddings {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = tensors.tensor(name).unwrap();
        let values = tensor.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        UnitEmbeddings::new(values, tensor.shape()[1]).unwrap()
    }

    fn labels(&self, name: &str) -> Vec<i64> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        tensors.tensor(name).unwrap().data().as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect()
    }

    /// Everything on, with the K found among the recorded names.
    fn config(&self, section: &str) -> EvalConfig {
        let ks = self.expected[section].as_object().unwrap().keys().filter_map(|name| name.strip_prefix("recall@"));
        let ks: Vec<usize> = ks.filter_map(|k| k.parse().ok()).collect();
        assert!(!ks.is_empty());
        EvalConfig { ks, full_ranking: true, variants: true, ..EvalConfig::default() }
    }

    fn evaluate(&self, section: &str, config: &EvalConfig) -> Evaluation {
        match section {
            "self" => evaluate_self(&self.embeddings("self.embeddings"), &self.labels("self.labels"), config).unwrap(),
            _ => evaluate_query_gallery(
                &self.embeddings("query.embeddings"),
                &self.labels("query.labels"),
                &self.embeddings("gallery.embeddings"),
                &self.labels("gallery.labels"),
                config,
            )
            .unwrap(),
        }
    }
}

#[test]
fn golden_retrieval_metrics() {
    let golden = Golden::read();
    for section in ["self", "query_gallery"] {
        let evaluation = golden.evaluate(section, &golden.config(section));
        for (name, expected) in golden.expected[section].as_object().unwrap() {
            if name == "queries_without_reference" {
                assert_eq!(evaluation.queries_without_reference as u64, expected.as_u64().unwrap(), "{section}");
            } else {
                close(section, name, evaluation.get(name), expected, 1e-9);
            }
        }
    }
}

/// Its figures come from single precision in places, hence the wider tolerance.
#[test]
fn golden_pytorch_metric_learning() {
    let golden = Golden::read();
    for section in ["self", "query_gallery"] {
        let evaluation = golden.evaluate(section, &golden.config(section));
        for (theirs, ours) in [
            ("precision_at_1", "precision@1"),
            ("mean_average_precision_at_r", "map@r"),
            ("r_precision", "r_precision"),
            ("mean_average_precision", "map/max_r"),
            ("mean_reciprocal_rank", "mrr/max_r"),
        ] {
            close(section, theirs, evaluation.get(ours), &golden.expected["pml"][section][theirs], 1e-6);
        }
    }
}

#[test]
fn golden_clustering_metrics() {
    let golden = Golden::read();
    let scores = ClusteringScores::new(&golden.labels("self.labels"), &golden.labels("assignments")).unwrap();
    let expected = &golden.expected["clustering"];
    for (name, found) in
        [("nmi", scores.nmi), ("ami", scores.ami), ("ari", scores.ari), ("pairwise_f1", scores.pairwise_f1)]
    {
        close("clustering", name, Some(found), &expected[name], 1e-9);
    }
}

fn close(section: &str, name: &str, found: Option<f64>, expected: &Value, tolerance: f64) {
    let (found, expected) = (found.unwrap_or(f64::NAN), expected.as_f64().unwrap());
    assert!((found - expected).abs() <= tolerance, "{section} {name}: expected {expected}, found {found}");
}
