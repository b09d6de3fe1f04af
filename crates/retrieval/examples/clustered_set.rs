//! Writes a random set of clustered embeddings and its labels, to measure evaluations with.
//!
//! ```sh
//! cargo run --release -p kinsight-retrieval --example clustered_set -- rows.npy 136093 512 2452
//! ```
//! Arguments: target (`NAME.labels.npy` goes beside it), rows, width, classes, and a seed (0). Every class has a random
//! direction; a row is its class's direction plus noise as long. Rows are streamed: the set may be larger than memory.

#![expect(clippy::print_stdout, reason = "an example talks to its user")]

use std::path::Path;

use kinsight_retrieval::io::{NpyWriter, write_npy_labels};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Rows written at once.
const BATCH: usize = 4096;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let usage = "usage: clustered_set TARGET.npy ROWS WIDTH CLASSES [SEED]";
    let [target, rows, width, classes, rest @ ..] = &arguments[..] else { return Err(usage.into()) };
    let (rows, width, classes): (usize, usize, usize) = (rows.parse()?, width.parse()?, classes.parse()?);
    let seed: u64 = rest.first().map_or(Ok(0), |seed| seed.parse())?;
    if rows == 0 || width == 0 || classes == 0 {
        return Err(usage.into());
    }
    // Directions come from a seed of their own, so that sets of other seeds share them: queries and their gallery.
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let directions: Vec<f32> = (0..classes * width).map(|_| normal(&mut rng)).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed + 2);
    let labels: Vec<i64> = (0..rows).map(|_| rng.random_range(0..classes as i64)).collect();
    let path = Path::new(target);
    let mut writer = NpyWriter::create(path, width)?;
    for labels in labels.chunks(BATCH) {
        let row = |label: &i64| &directions[*label as usize * width..(*label as usize + 1) * width];
        let values: Vec<f32> = labels.iter().flat_map(row).map(|direction| direction + normal(&mut rng)).collect();
        writer.write_rows(&values)?;
    }
    writer.finish()?;
    write_npy_labels(&path.with_extension("labels.npy"), &labels)?;
    println!("{target}: {rows} rows of {width} numbers in {classes} classes");
    Ok(())
}

/// Nearly normal with variance 1: the sum of twelve uniform numbers (Irwin-Hall), which is quick and has no tails.
fn normal(rng: &mut ChaCha8Rng) -> f32 {
    let word = |rng: &mut ChaCha8Rng| rng.random::<u64>();
    let quarters = |word: u64| (0..4).map(|i| (word >> (16 * i) & 0xffff) as f32 / 65536.0).sum::<f32>();
    (0..3).map(|_| quarters(word(rng))).sum::<f32>() - 6.0
}
