//! Time, arithmetic rate and peak memory of exact search and of a whole evaluation, on random embeddings.
//!
//! ```text
//! cargo run --release -p kinsight-retrieval --example knn_speed -- --n 60502 --dim 512 --k 1000
//! ```
//! `--queries Q` searches a separate gallery of n rows with Q queries; `--memory-mib M` bounds the search; `--threads T`;
//! `--evaluate CLASSES` judges the embeddings with that many classes instead of searching (`--full` with MAP and MRR);
//! `--repeat R` prints R lines. On a machine that others use too, compare processor seconds. The rate counts the products a full score matrix takes, also where symmetry saves half.

use std::time::Instant;

use kinsight_retrieval::{EvalConfig, KnnConfig, UnitEmbeddings, evaluate_query_gallery, evaluate_self};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[expect(clippy::print_stdout, reason = "this program prints its measurement")]
fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, default: usize| -> Outcome<usize> {
        match arguments.iter().position(|argument| argument == name) {
            Some(place) => Ok(arguments.get(place + 1).ok_or("a flag lacks its value")?.parse()?),
            None => Ok(default),
        }
    };
    let (n, dim, k) = (number("--n", 20_000)?, number("--dim", 512)?, number("--k", 1000)?);
    let (query_count, classes) = (number("--queries", 0)?, number("--evaluate", 0)?);
    let max_memory_bytes = number("--memory-mib", 832)? << 20;
    rayon::ThreadPoolBuilder::new().num_threads(number("--threads", 2)?).build_global()?;

    let labels: Vec<i64> = (0..n as i64).map(|row| row % classes.max(1) as i64).collect();
    let gallery = clustered(&labels, dim, 0)?;
    let query_labels = &labels[..query_count.min(n)];
    let queries = clustered(query_labels, dim, 1)?;
    let products = 2.0 * dim as f64 * n as f64 * if query_count == 0 { n } else { query_count } as f64;
    for _ in 0..number("--repeat", 1)? {
        let (start, processor_start) = (Instant::now(), processor_seconds());
        let outcome = if classes > 0 {
            let full_ranking = arguments.iter().any(|argument| argument == "--full");
            let config =
                EvalConfig { ks: vec![1, 10, 100, k], full_ranking, max_memory_bytes, ..EvalConfig::default() };
            let evaluation = match query_count {
                0 => evaluate_self(&gallery, &labels, &config)?,
                _ => evaluate_query_gallery(&queries, query_labels, &gallery, &labels, &config)?,
            };
            format!("recall@1 {:.4}, map@r {:.4}", evaluation.recall_at(1).unwrap_or(f64::NAN), evaluation.map_at_r())
        } else {
            let config = KnnConfig { k, max_memory_bytes };
            let neighbors = match query_count {
                0 => kinsight_retrieval::search_self(&gallery, &config)?,
                _ => kinsight_retrieval::search(&queries, &gallery, &config)?,
            };
            let last = neighbors.row(neighbors.len() - 1);
            format!("last neighbor of the last query {:?}", last[last.len() - 1])
        };
        let seconds = start.elapsed().as_secs_f64();
        let processor = processor_seconds().zip(processor_start).map_or(f64::NAN, |(end, start)| end - start);
        println!(
            "{n} x {dim}, k {k}: {seconds:.2} s, {processor:.2} processor s, {:.0} GFLOP/s, peak {} MiB; {outcome}",
            products / seconds / 1e9,
            peak_rss_mib().map_or_else(|| "?".to_owned(), |mib| mib.to_string()),
        );
    }
    Ok(())
}

/// A row is its class's direction, drawn from the label, with noise around it.
fn clustered(labels: &[i64], dim: usize, seed: u64) -> Outcome<UnitEmbeddings> {
    let mut values = vec![0.0; labels.len() * dim];
    values.par_chunks_mut(dim).zip(labels).enumerate().for_each(|(row, (values, &label))| {
        let mut direction = ChaCha8Rng::seed_from_u64(label as u64);
        let mut noise = ChaCha8Rng::seed_from_u64((1 << 40) + (seed << 32) + row as u64);
        for value in values {
            let class: f32 = direction.random::<f32>() - 0.5;
            let spread: f32 = noise.random::<f32>() - 0.5;
            *value = class + 2.5 * spread;
        }
    });
    Ok(UnitEmbeddings::new(values, dim)?)
}

/// The most memory the process has held, as Linux counts it.
fn peak_rss_mib() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    let kib: usize = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024)
}

/// Time that all threads of the process have run, as Linux counts it in hundredths of a second.
fn processor_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold spaces; after it, user and system time are the 12th and 13th fields.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / 100.0)
}
