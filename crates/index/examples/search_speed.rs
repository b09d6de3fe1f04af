//! Speed and recall of the store on clustered vectors; `benches/search/run` sets it beside other libraries.
//!
//! ```text
//! search_speed FOLDER VECTORS WIDTH
//! ```
//! Writes the vectors, the queries and the exact answers to FOLDER for the others, and prints one line of JSON a
//! measurement. Everything is a function of the sizes: there is one seed.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use kinsight_index::{
    Filter, Fingerprint, GraphSettings, Index, ModelSource, Payload, Point, PointId, SearchMethod, Value, VectorQuery,
};
use kinsight_retrieval::io::NpyWriter;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

const QUERIES: usize = 500;
const ADDED: usize = 10_000;
const BATCH: usize = 1000;
/// The ef that are tried in turn until recall is 0.95; those of `others.py`.
const EFS: [usize; 18] = [10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 128, 192, 256, 512];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, count, dim] = &arguments[..] else { return Err("expected FOLDER VECTORS WIDTH".into()) };
    let (folder, count, dim) = (Path::new(folder), count.parse::<usize>()?, dim.parse::<usize>()?);
    std::fs::create_dir_all(folder)?;
    let centers = centers(count, dim);
    write_inputs(folder, &centers, count, dim)?;

    let path = folder.join("store");
    let _ = std::fs::remove_dir_all(&path);
    let settings = GraphSettings { exact_values: 0, recall_at_10: 0.96, ..GraphSettings::default() };
    let fingerprint = Fingerprint {
        backbone: "none".into(),
        fine_tuning: None,
        preprocess: "{}".into(),
        embedding: dim,
        library: Fingerprint::LIBRARY.into(),
        precision: None,
        pooling: None,
    };
    let source = ModelSource { run: None, backbone: "none".into() };
    let index = Index::create(&path, fingerprint, source, settings)?;
    let (store, writer) = (index.store(), index.writer()?);
    let started = Instant::now();
    for first in (0..count).step_by(BATCH) {
        writer.upsert(&points(&centers, first..(first + BATCH).min(count), dim))?;
    }
    say("insert", &[("seconds", started.elapsed().as_secs_f64())]);
    let started = Instant::now();
    writer.optimize(&|_, _| ())?;
    say("build", &[("seconds", started.elapsed().as_secs_f64())]);
    let stats = store.stats()?;
    let graph = stats.graph.as_ref().map_or(0.0, |graph| graph.ef as f64);
    say("size", &[("bytes_per_vector", stats.bytes as f64 / count as f64), ("ef", graph)]);

    let queries: Vec<Vec<f32>> = (0..QUERIES).map(|i| vector(&centers, usize::MAX / 2 + i, dim)).collect();
    let one_percent: Filter = "hundredth = 0".parse()?;
    let mut truth = Vec::new();
    for (name, filter) in [("plain", None), ("filtered", Some(one_percent))] {
        let search = |query: &[f32], method| -> Result<Vec<PointId>, Box<dyn Error>> {
            let query = VectorQuery { method, filter: filter.clone(), ..VectorQuery::new(query.to_vec(), 10) };
            Ok(store.search(&query)?.remove(0).into_iter().map(|hit| hit.id).collect())
        };
        let exact: Vec<Vec<PointId>> =
            queries.iter().map(|query| search(query, SearchMethod::Exact)).collect::<Result<_, _>>()?;
        let measure = |label: &str, method| -> Result<f64, Box<dyn Error>> {
            let started = Instant::now();
            let found: Vec<Vec<PointId>> =
                queries.iter().map(|query| search(query, method)).collect::<Result<_, _>>()?;
            let seconds = started.elapsed().as_secs_f64();
            let right: usize =
                exact.iter().zip(&found).map(|(a, b)| a.iter().filter(|id| b.contains(id)).count()).sum();
            let wanted: usize = exact.iter().map(Vec::len).sum();
            let recall = right as f64 / wanted.max(1) as f64;
            say(&format!("{name} {label}"), &[("queries_per_s", QUERIES as f64 / seconds), ("recall_at_10", recall)]);
            Ok(recall)
        };
        measure("exact", SearchMethod::Exact)?;
        measure("as it comes", SearchMethod::Graph { ef: 0 })?;
        for ef in EFS {
            if measure(&format!("ef {ef}"), SearchMethod::Graph { ef })? >= 0.95 {
                break;
            }
        }
        truth.push(exact);
    }
    write_truth(folder, &truth[0], count)?;

    let started = Instant::now();
    for first in (count..count + ADDED).step_by(BATCH) {
        writer.upsert(&points(&centers, first..first + BATCH, dim))?;
    }
    say("add 10000", &[("seconds", started.elapsed().as_secs_f64())]);
    drop(writer);
    drop(index);
    let started = Instant::now();
    let index = Index::open(&path)?;
    let opened = started.elapsed().as_secs_f64();
    let first = index.store().search(&VectorQuery::new(queries[0].clone(), 10))?;
    assert_eq!(first[0].len(), 10);
    say("open", &[("seconds", opened), ("seconds_to_first_answer", started.elapsed().as_secs_f64())]);
    Ok(())
}

/// One center for every hundred vectors, so that a query has near neighbors as images have.
fn centers(count: usize, dim: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    (0..count.div_ceil(100) * dim).map(|_| normal(&mut rng)).collect()
}

/// Vector `number`: its center and noise of the same size, of length one.
fn vector(centers: &[f32], number: usize, dim: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(1 + number as u64);
    let center = rng.random_range(0..centers.len() / dim) * dim;
    let row: Vec<f32> = centers[center..center + dim].iter().map(|value| value + 0.8 * normal(&mut rng)).collect();
    let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
    row.iter().map(|value| value / length).collect()
}

fn normal(rng: &mut ChaCha8Rng) -> f32 {
    // The sum of four uniform numbers is near enough to a normal one here.
    (0..4).map(|_| rng.random_range(-0.87..0.87_f32)).sum()
}

fn points(centers: &[f32], range: std::ops::Range<usize>, dim: usize) -> Vec<Point> {
    range
        .map(|number| Point {
            id: PointId::of_path("bench", &number.to_string()),
            vector: vector(centers, number, dim),
            payload: Payload::from([
                ("number".to_owned(), Value::from(number as f64)),
                ("hundredth".to_owned(), Value::from((number % 100) as f64)),
            ]),
        })
        .collect()
}

fn write_inputs(folder: &Path, centers: &[f32], count: usize, dim: usize) -> Result<(), Box<dyn Error>> {
    let mut vectors = NpyWriter::create(&folder.join("vectors.npy"), dim)?;
    for number in 0..count + ADDED {
        vectors.write_rows(&vector(centers, number, dim))?;
    }
    vectors.finish()?;
    let mut queries = NpyWriter::create(&folder.join("queries.npy"), dim)?;
    for i in 0..QUERIES {
        queries.write_rows(&vector(centers, usize::MAX / 2 + i, dim))?;
    }
    Ok(queries.finish()?)
}

/// The numbers of the exact answers, ten a line.
fn write_truth(folder: &Path, exact: &[Vec<PointId>], count: usize) -> Result<(), Box<dyn Error>> {
    let numbers: std::collections::HashMap<PointId, usize> =
        (0..count).map(|number| (PointId::of_path("bench", &number.to_string()), number)).collect();
    let mut file = BufWriter::new(File::create(folder.join("truth.txt"))?);
    for answers in exact {
        let line: Vec<String> = answers.iter().map(|id| numbers[id].to_string()).collect();
        writeln!(file, "{}", line.join(" "))?;
    }
    Ok(file.flush()?)
}

fn say(what: &str, values: &[(&str, f64)]) {
    let values: Vec<String> = values.iter().map(|(name, value)| format!("\"{name}\": {value:.6}")).collect();
    eprintln!("{{\"library\": \"kinsight\", \"what\": \"{what}\", {}}}", values.join(", "));
}
