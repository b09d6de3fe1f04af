//! A journal of embeddings on a disk that loses, tears and fails: whenever the job stops, the same command ends with the
//! same file, and no batch that was taken in is computed again.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use kinsight_files::{Fail, Recording};
use kinsight_retrieval::RetrievalError;
use kinsight_retrieval::io::{EmbeddingJournal, RowFacts, write_embeddings};

/// Wide enough that a batch is torn.
const DIM: usize = 300;
const BATCHES: usize = 3;
const ROWS: usize = 2;

fn values(batch: usize) -> Vec<f32> {
    (0..ROWS * DIM).map(|i| (batch * ROWS * DIM + i) as f32 + 1.0).collect()
}

/// The whole of what `kinsight embed` does; `taken_in` is told how many batches are in the journal, and how many it found.
fn job(folder: &Path, ending: &str, mut taken_in: impl FnMut(usize)) -> Result<usize, RetrievalError> {
    let out = folder.join(format!("out.{ending}"));
    let mut journal = EmbeddingJournal::open(&folder.join("out.journal"), "job", DIM)?;
    let found = journal.batches();
    for batch in found..BATCHES {
        let indices: Vec<usize> = (0..ROWS).map(|row| batch * ROWS + row).collect();
        journal.append(&values(batch), &indices, &[(100 + batch, "cut off".to_owned())])?;
        taken_in(batch + 1);
    }
    assert_eq!(journal.indices(), (0..BATCHES * ROWS).collect::<Vec<_>>());
    let paths: Vec<String> = journal.indices().iter().map(|index| format!("{index}.jpg")).collect();
    let labels = vec![0; paths.len()];
    let facts = RowFacts { paths: &paths, labels: &labels, class_names: &["wren".to_owned()] };
    write_embeddings(&out, journal.dim(), journal.chunks()?, &facts)?;
    journal.remove()?;
    Ok(found)
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let file = |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap());
    fs::read_dir(folder).unwrap().map(|entry| file(entry.unwrap())).collect()
}

#[test]
fn a_job_survives_a_crash_after_every_call() {
    for ending in ["npy", "safetensors", "parquet"] {
        let temporary = tempfile::tempdir().unwrap();
        let (root, target) = (temporary.path().join("root"), temporary.path().join("crash"));
        fs::create_dir(&root).unwrap();
        let recording = Recording::start(&root).unwrap();
        let mut taken_in = vec![(0, 0)];
        job(&root, ending, |batches| taken_in.push((recording.calls(), batches))).unwrap();
        let expected = files(&root);
        let check = |calls, loss| {
            let when = format!("{ending}: {loss:?} after {calls} calls");
            let out = target.join(format!("out.{ending}"));
            let is_there = out.exists();
            if is_there {
                assert!(fs::read(&out).unwrap() == expected[&format!("out.{ending}")], "{when}");
            }
            let other = EmbeddingJournal::open(&target.join("out.journal"), "another job", DIM);
            assert!(other.is_err() || other.unwrap().batches() == 0, "{when}: rows of another job pass as ours");
            if target.join("out.journal/job.json").exists() {
                // The other job began where this one had left nothing.
                let job = fs::read(target.join("out.journal/job.json")).unwrap();
                if job == b"another job" {
                    fs::remove_dir_all(target.join("out.journal")).unwrap();
                }
            }
            let (_, acknowledged) = taken_in.iter().rev().find(|(at, _)| *at <= calls).unwrap();
            let found = job(&target, ending, |_| ()).unwrap_or_else(|error| panic!("{when}: {error}"));
            assert!(found >= *acknowledged || is_there, "{when}: found {found} of {acknowledged} batches");
            assert!(files(&target) == expected, "{when}");
        };
        let seeds = if ending == "npy" { 6 } else { 2 };
        recording.every_crash(seeds, &target, check).unwrap();
    }
}

#[test]
fn a_job_survives_every_call_that_fails() {
    let temporary = tempfile::tempdir().unwrap();
    let unbroken = temporary.path().join("unbroken");
    fs::create_dir(&unbroken).unwrap();
    let recording = Recording::start(&unbroken).unwrap();
    job(&unbroken, "npy", |_| ()).unwrap();
    let calls = recording.calls();
    drop(recording);
    for (kind, fail) in [(ErrorKind::StorageFull, Fail::Onwards), (ErrorKind::Other, Fail::Once)] {
        for call in 0..calls {
            let root = temporary.path().join(format!("{kind:?}-{call}"));
            fs::create_dir(&root).unwrap();
            let recording = Recording::fail(&root, call, kind, fail).unwrap();
            job(&root, "npy", |_| ()).unwrap_err();
            drop(recording);
            job(&root, "npy", |_| ()).unwrap();
            assert!(files(&root) == files(&unbroken), "call {call} failed with {kind:?}");
        }
    }
}

/// A removal may be cut short after any of its files, in whichever order the folder lists them.
#[test]
fn what_a_removal_has_left_is_no_other_jobs() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("out.journal");
    let mut journal = EmbeddingJournal::open(&folder, "job", DIM).unwrap();
    journal.append(&values(0), &[0, 1], &[]).unwrap();
    drop(journal);
    fs::remove_file(folder.join("job.json")).unwrap();
    let journal = EmbeddingJournal::open(&folder, "another job", DIM).unwrap();
    assert_eq!((journal.batches(), journal.indices().len()), (0, 0));
}

#[test]
fn a_batch_that_could_not_be_taken_in_leaves_no_trace() {
    let temporary = tempfile::tempdir().unwrap();
    let mut journal = EmbeddingJournal::open(&temporary.path().join("j"), "job", DIM).unwrap();
    for call in 0..6 {
        let recording = Recording::fail(temporary.path(), call, ErrorKind::StorageFull, Fail::Once).unwrap();
        let failed = journal.append(&values(0), &[0, 1], &[]).is_err();
        drop(recording);
        let number = journal.batches();
        if failed {
            journal.append(&values(0), &[2 * number, 2 * number + 1], &[]).unwrap();
        }
    }
    let rows: Vec<f32> = journal.chunks().unwrap().flat_map(Result::unwrap).collect();
    assert!(rows.chunks_exact(ROWS * DIM).all(|batch| batch == values(0)));
    let batches = journal.batches();
    drop(journal);
    assert_eq!(EmbeddingJournal::open(&temporary.path().join("j"), "job", DIM).unwrap().batches(), batches);
}
