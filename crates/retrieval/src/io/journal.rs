//! An unfinished embedding file: rows are kept as they are computed, so a job that stopped at any moment continues where it
//! was.
//!
//! ```text
//! OUT.journal/job.json     what is being computed: another job is refused
//! OUT.journal/rows.f32     rows so far, [n, dim] little-endian
//! OUT.journal/done.jsonl   one line a batch: how many rows there were then, of which items, and what was skipped
//! ```
//! A batch counts once its line is complete, and its line is written only after its rows are on the disk; the next batch
//! overwrites what lies beyond the last complete line. `job.json` comes last into a new journal, and the folder is locked.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use kinsight_files::{DurableFile, Lock};
use serde::{Deserialize, Serialize};

use super::{format_error, io_error};
use crate::error::{Result, RetrievalError};

/// Values read back at once.
const CHUNK_VALUES: usize = 1 << 20;

/// Rows that are computed batch by batch, on disk.
#[derive(Debug)]
pub struct EmbeddingJournal {
    folder: PathBuf,
    _lock: Lock,
    rows: DurableFile,
    done: DurableFile,
    /// Bytes of `done.jsonl` that count.
    done_bytes: u64,
    dim: usize,
    batches: usize,
    indices: Vec<usize>,
    skipped: Vec<(usize, String)>,
}

/// One line of `done.jsonl`.
#[derive(Debug, Serialize, Deserialize)]
struct Done {
    rows: usize,
    indices: Vec<usize>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    skipped: Vec<(usize, String)>,
}

impl EmbeddingJournal {
    /// Starts the job in `folder`, or goes on with it if the folder holds the same `job`.
    ///
    /// `job` says everything that the rows depend on: model, images, settings.
    ///
    /// # Errors
    /// [`RetrievalError::OtherJob`] if the folder holds another job; [`RetrievalError::Lock`] if another process is at it;
    /// [`RetrievalError::File`].
    pub fn open(folder: &Path, job: &str, dim: usize) -> Result<Self> {
        let (job_path, rows_path, done_path) =
            (folder.join("job.json"), folder.join("rows.f32"), folder.join("done.jsonl"));
        kinsight_files::create_dir_all(folder)?;
        let lock = Lock::acquire(folder, "kinsight embed")?;
        let (rows, mut done) = if job_path.is_file() {
            let found = fs::read_to_string(&job_path).map_err(io_error("read", &job_path))?;
            if found != job {
                return Err(RetrievalError::OtherJob { path: folder.to_owned() });
            }
            (DurableFile::open_or_create(&rows_path)?, DurableFile::open_or_create(&done_path)?)
        } else {
            // What a removal that was cut short left here is emptied first: rows of another job must not pass as ours.
            let (mut rows, mut done) = (DurableFile::create(&rows_path)?, DurableFile::create(&done_path)?);
            rows.sync()?;
            done.sync()?;
            kinsight_files::write(&job_path, job.as_bytes())?;
            (rows, done)
        };

        let available = rows.len()? / (dim.max(1) * 4) as u64;
        let lines = done.read_all()?;
        let (mut done_bytes, mut batches, mut indices, mut skipped) = (0, 0, Vec::new(), Vec::new());
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let Ok(Done { rows, indices: more, skipped: left_out }) = serde_json::from_slice::<Done>(line) else {
                break;
            };
            if !line.ends_with(b"\n") || rows as u64 > available || rows != indices.len() + more.len() {
                break;
            }
            done_bytes += line.len() as u64;
            batches += 1;
            indices.extend(more);
            skipped.extend(left_out);
        }
        Ok(Self { folder: folder.to_owned(), _lock: lock, rows, done, done_bytes, dim, batches, indices, skipped })
    }

    /// Batches that are done: the number of the next one.
    pub fn batches(&self) -> usize {
        self.batches
    }

    /// Item of each row.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    /// Items without a row, with reasons.
    pub fn skipped(&self) -> &[(usize, String)] {
        &self.skipped
    }

    /// Width of a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Takes in the next batch: `[indices.len(), dim]` values, and what was skipped.
    ///
    /// # Errors
    /// [`RetrievalError::Shape`]; [`RetrievalError::File`], a full disk for one: what was taken in before stays.
    pub fn append(&mut self, values: &[f32], indices: &[usize], skipped: &[(usize, String)]) -> Result<()> {
        if values.len() != indices.len() * self.dim {
            return Err(RetrievalError::Shape { values: values.len(), dim: self.dim });
        }
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        // Not at the end of the file: a batch that was cut off may lie there.
        self.rows.write_at((self.indices.len() * self.dim * 4) as u64, &bytes)?;
        self.rows.sync()?;
        let line =
            Done { rows: self.indices.len() + indices.len(), indices: indices.to_vec(), skipped: skipped.to_vec() };
        let mut line = serde_json::to_string(&line).map_err(|error| format_error(&self.folder, error.to_string()))?;
        line.push('\n');
        self.done.set_len(self.done_bytes)?;
        self.done.write_at(self.done_bytes, line.as_bytes())?;
        self.done.sync()?;
        self.done_bytes += line.len() as u64;
        self.batches += 1;
        self.indices.extend_from_slice(indices);
        self.skipped.extend_from_slice(skipped);
        Ok(())
    }

    /// All rows again, some megabytes at a time, each a whole number of rows.
    ///
    /// # Errors
    /// [`RetrievalError::Io`], also from the iterator.
    pub fn chunks(&self) -> Result<impl Iterator<Item = Result<Vec<f32>>>> {
        let path = self.folder.join("rows.f32");
        let file = File::open(&path).map_err(io_error("read", &path))?;
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let per_chunk = (CHUNK_VALUES / self.dim.max(1)).max(1);
        let (dim, total) = (self.dim, self.indices.len());
        Ok((0..total).step_by(per_chunk).map(move |start| {
            let rows = per_chunk.min(total - start);
            let mut bytes = vec![0; rows * dim * 4];
            reader.read_exact(&mut bytes).map_err(io_error("read", &path))?;
            Ok(bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())
        }))
    }

    /// Removes the folder, once its rows are elsewhere.
    ///
    /// # Errors
    /// [`RetrievalError::File`]
    pub fn remove(self) -> Result<()> {
        Ok(kinsight_files::remove_dir_all(&self.folder)?)
    }

    /// Removes the folder of any unfinished job, if it exists.
    ///
    /// # Errors
    /// [`RetrievalError::Lock`] if another process is at it; [`RetrievalError::File`].
    pub fn discard(folder: &Path) -> Result<()> {
        if !folder.is_dir() {
            return Ok(());
        }
        let _lock = Lock::acquire(folder, "kinsight embed")?;
        Ok(kinsight_files::remove_dir_all(folder)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_moment_of_a_crash_whole_batches_stay_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.journal");
        let mut journal = EmbeddingJournal::open(&path, "job", 2).unwrap();
        journal.append(&[1.0, 2.0, 3.0, 4.0], &[0, 2], &[(1, "cut off".to_owned())]).unwrap();
        journal.append(&[5.0, 6.0], &[3], &[]).unwrap();
        drop(journal);
        let done = fs::read(path.join("done.jsonl")).unwrap();
        let rows = fs::read(path.join("rows.f32")).unwrap();
        let first_line = done.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        for (done_bytes, row_bytes, batches) in [
            (done.len(), rows.len(), 2),
            (done.len() - 1, rows.len(), 1),
            (done.len(), rows.len() - 1, 1),
            (first_line, rows.len(), 1),
            (first_line - 1, rows.len(), 0),
            (0, 7, 0),
        ] {
            fs::write(path.join("done.jsonl"), &done[..done_bytes]).unwrap();
            fs::write(path.join("rows.f32"), &rows[..row_bytes]).unwrap();
            let mut journal = EmbeddingJournal::open(&path, "job", 2).unwrap();
            assert_eq!(journal.batches(), batches, "{done_bytes} bytes of lines, {row_bytes} of rows");
            if batches == 1 {
                journal.append(&[5.0, 6.0], &[3], &[]).unwrap();
                let values: Vec<f32> = journal.chunks().unwrap().flat_map(Result::unwrap).collect();
                assert_eq!(values, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
                assert_eq!((journal.indices(), journal.skipped().len()), (&[0, 2, 3][..], 1));
            }
        }
        assert!(matches!(EmbeddingJournal::open(&path, "another", 2), Err(RetrievalError::OtherJob { .. })));
        EmbeddingJournal::open(&path, "job", 2).unwrap().remove().unwrap();
        assert!(!path.exists());
    }
}
