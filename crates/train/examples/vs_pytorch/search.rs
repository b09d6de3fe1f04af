//! Exact search among a set's own embeddings, and the metrics of that search.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::TensorData;
use kinsight_model::weights::{TensorMap, read_tensors, write_safetensors};
use kinsight_retrieval::{EvalConfig, Evaluation, KnnConfig, Neighbors, UnitEmbeddings, evaluate_self, search_self};

use crate::embed::tensor;
use crate::{Arguments, Outcome, Work};

/// Memory that the search may use besides embeddings and result: with both under 1 GiB for 60,502 x 512, k = 1000.
const MAX_MEMORY_BYTES: usize = 832 << 20;

fn embeddings(tensors: &mut TensorMap) -> Outcome<UnitEmbeddings> {
    let data = tensor(tensors, "embeddings")?;
    let dim = data.shape()[1];
    let values = data.try_into_vec::<f32>().map_err(|error| format!("embeddings: {error:?}"))?;
    Ok(UnitEmbeddings::new(values, dim)?)
}

/// The k nearest of every row among all rows.
pub struct Search {
    embeddings: UnitEmbeddings,
    config: KnnConfig,
}

impl Search {
    pub fn new(arguments: &Arguments) -> Outcome<Self> {
        let k = arguments.setting("k").ok_or("k=NUMBER is missing")?.parse()?;
        let config = KnnConfig { k, max_memory_bytes: MAX_MEMORY_BYTES };
        Ok(Self { embeddings: embeddings(&mut read_tensors(arguments.place(0)?)?.0)?, config })
    }

    fn search(&self) -> Outcome<Neighbors> {
        Ok(search_self(&self.embeddings, &self.config)?)
    }
}

impl Work for Search {
    fn step(&mut self) -> Outcome {
        self.search().map(drop)
    }

    /// Similarities of some queries' neighbors: equal similarities may be in another order elsewhere, values may not.
    fn dump(&mut self, path: &Path) -> Outcome {
        let neighbors = self.search()?;
        let rows = neighbors.len().min(256);
        let scores: Vec<f32> = (0..rows).flat_map(|row| neighbors.row(row).iter().map(|n| n.score())).collect();
        let columns = scores.len() / rows.max(1);
        let tensors = TensorMap::from([("similarities".to_string(), TensorData::new(scores, [rows, columns]))]);
        Ok(write_safetensors(path, &tensors, BTreeMap::new())?)
    }
}

/// Recall@k and MAP@R of the set.
pub struct Evaluate {
    embeddings: UnitEmbeddings,
    labels: Vec<i64>,
}

impl Evaluate {
    pub fn new(arguments: &Arguments) -> Outcome<Self> {
        let mut tensors = read_tensors(arguments.place(0)?)?.0;
        let labels = tensor(&mut tensors, "labels")?.iter::<f32>().map(|label| label as i64).collect();
        Ok(Self { embeddings: embeddings(&mut tensors)?, labels })
    }

    fn evaluate(&self) -> Outcome<Evaluation> {
        let config =
            EvalConfig { ks: vec![1, 10, 100, 1000], max_memory_bytes: MAX_MEMORY_BYTES, ..EvalConfig::default() };
        Ok(evaluate_self(&self.embeddings, &self.labels, &config)?)
    }
}

impl Work for Evaluate {
    fn step(&mut self) -> Outcome {
        self.evaluate().map(drop)
    }

    fn dump(&mut self, path: &Path) -> Outcome {
        let evaluation = self.evaluate()?;
        let numbers =
            [("recall_at_1", evaluation.recall_at(1).unwrap_or(f64::NAN)), ("map_at_r", evaluation.map_at_r())];
        let tensors = numbers
            .into_iter()
            .map(|(name, value)| (name.to_string(), TensorData::new(vec![value as f32], [1])))
            .collect();
        Ok(write_safetensors(path, &tensors, BTreeMap::new())?)
    }
}
