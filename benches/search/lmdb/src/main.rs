//! LMDB with the HNSW of hannoy on the vectors that `search_speed` writes; `benches/search/run` sets it next to Kinsight's store.
//!
//! ```text
//! kinsight-bench-lmdb FOLDER VECTORS
//! ```
//! The graph has the M and efConstruction of Kinsight's. One line of JSON a measurement; `queries_per_cpu_s` counts the processor
//! time of the thread that searches, for machines that do other things, too.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use hannoy::distances::Cosine;
use hannoy::{Database, Reader, Writer};
use heed::{CommitOrAbort, Env, EnvOpenOptions};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The ef that are tried in turn until recall is 0.95.
const EFS: [usize; 20] = [10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 128, 192, 256, 384, 512, 768];
const BATCH: usize = 1000;
const M: usize = 16;
const EF_CONSTRUCTION: usize = 128;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, count] = &arguments[..] else { return Err("expected FOLDER VECTORS".into()) };
    let (folder, count) = (Path::new(folder), count.parse::<usize>()?);
    let (vectors, dim) = read_npy(&folder.join("vectors.npy"))?;
    let (queries, _) = read_npy(&folder.join("queries.npy"))?;
    let queries: Vec<&[f32]> = queries.chunks_exact(dim).collect();
    let exact = fs::read_to_string(folder.join("truth.txt"))?;
    let exact: Vec<Vec<u32>> =
        exact.lines().map(|line| line.split(' ').map(str::parse).collect()).collect::<std::result::Result<_, _>>()?;

    let path = folder.join("lmdb");
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path)?;
    let map_size = (vectors.len() * 12).next_multiple_of(1 << 20) + (1 << 30);
    // SAFETY: no other process has this file open.
    let env = unsafe { EnvOpenOptions::new().map_size(map_size).open(&path) }?;
    let database = build(&env, &vectors[..count * dim], dim)?;
    say("size", &[("bytes_per_vector", fs::metadata(path.join("data.mdb"))?.len() as f64 / count as f64)]);

    let snapshot = env.read_txn()?;
    let reader = Reader::<Cosine>::open(&snapshot, 0, database)?;
    let pass = |what: &str, ef: usize| -> Result<f64> {
        let (started, cpu) = (Instant::now(), seconds_of(libc::CLOCK_THREAD_CPUTIME_ID));
        let mut right = 0;
        for (query, exact) in queries.iter().zip(&exact) {
            let found = reader.nns(exact.len()).ef_search(ef).by_vector(&snapshot, query)?.into_nns();
            right += found.iter().filter(|(number, _)| exact.contains(number)).count();
        }
        let cpu = seconds_of(libc::CLOCK_THREAD_CPUTIME_ID) - cpu;
        let (count, recall) = (queries.len() as f64, right as f64 / exact.iter().map(Vec::len).sum::<usize>() as f64);
        let speed = count / started.elapsed().as_secs_f64();
        say(what, &[("queries_per_s", speed), ("queries_per_cpu_s", count / cpu), ("recall_at_10", recall)]);
        Ok(recall)
    };
    let mut enough = EFS[EFS.len() - 1];
    for ef in EFS {
        if pass(&format!("plain ef {ef}"), ef)? >= 0.95 {
            enough = ef;
            break;
        }
    }
    // A reader while another thread adds rows one by one, each to be found as soon as it is written.
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let added =
            scope.spawn(|| add(&env, database, &vectors[count * dim..], count, dim, &stop).map_err(|e| e.to_string()));
        pass("plain while rows are added", enough)?;
        stop.store(true, Ordering::Relaxed);
        let (rows, seconds) = added.join().map_err(|_| "the writer panicked")??;
        say("add 1", &[("seconds", seconds / rows as f64)]);
        Ok(())
    })
}

fn build<'e>(env: &'e Env, vectors: &[f32], dim: usize) -> Result<Database<'e, Cosine>> {
    let database: Database<Cosine> = env
        .create_databases_and_commit(env.write_txn()?, |databases, txn| -> heed::Result<_> {
            Ok(CommitOrAbort::<_, ()>::Commit(databases.create_database(txn, None)?))
        })?
        .unwrap_commit();
    let writer = Writer::new(database, 0, dim);
    let started = Instant::now();
    let mut number = 0;
    for batch in vectors.chunks(BATCH * dim) {
        let mut txn = env.write_txn()?;
        for row in batch.chunks_exact(dim) {
            writer.add_item(&mut txn, number, row)?;
            number += 1;
        }
        txn.commit()?;
    }
    say("insert", &[("seconds", started.elapsed().as_secs_f64())]);
    let (started, cpu) = (Instant::now(), seconds_of(libc::CLOCK_PROCESS_CPUTIME_ID));
    let mut txn = env.write_txn()?;
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    writer.builder(&mut rng).ef_construction(EF_CONSTRUCTION).build::<M, { 2 * M }>(&mut txn)?;
    txn.commit()?;
    let cpu = seconds_of(libc::CLOCK_PROCESS_CPUTIME_ID) - cpu;
    say("build", &[("seconds", started.elapsed().as_secs_f64()), ("cpu_seconds", cpu)]);
    Ok(database)
}

/// Adds one row after the other until told to stop; how many, and the seconds that took.
fn add(
    env: &Env,
    database: Database<'_, Cosine>,
    rows: &[f32],
    first: usize,
    dim: usize,
    stop: &AtomicBool,
) -> Result<(usize, f64)> {
    let (writer, started, mut added) = (Writer::new(database, 0, dim), Instant::now(), 0);
    for (number, row) in (first as u32..).zip(rows.chunks_exact(dim)) {
        let mut txn = env.write_txn()?;
        writer.add_item(&mut txn, number, row)?;
        let mut rng = ChaCha8Rng::seed_from_u64(u64::from(number));
        writer.builder(&mut rng).ef_construction(EF_CONSTRUCTION).build::<M, { 2 * M }>(&mut txn)?;
        txn.commit()?;
        added += 1;
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok((added, started.elapsed().as_secs_f64()))
}

/// The values of a `.npy` of version 1 as `search_speed` writes it: f32, row-major; and the width.
fn read_npy(path: &Path) -> Result<(Vec<f32>, usize)> {
    let bytes = fs::read(path)?;
    let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..end])?;
    let shape = header.split('(').nth(1).and_then(|rest| rest.split(')').next()).ok_or("no shape in the header")?;
    let dim = shape.split(',').nth(1).ok_or("expected two dimensions")?.trim().parse()?;
    Ok((bytes[end..].as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect(), dim))
}

fn seconds_of(clock: libc::clockid_t) -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` lives across the call, which writes nothing else.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

fn say(what: &str, values: &[(&str, f64)]) {
    let values: Vec<String> = values.iter().map(|(name, value)| format!("\"{name}\": {value:.6}")).collect();
    println!("{{\"library\": \"lmdb-hannoy\", \"what\": \"{what}\", {}}}", values.join(", "));
}
