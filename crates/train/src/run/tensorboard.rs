//! TensorBoard's event file: the log's scalars in the format that TensorBoard reads.
//!
//! A TFRecord a scalar: length, masked CRC-32C of the length, protocol buffer, masked CRC-32C of the buffer. Of the buffers
//! `Event { wall_time = 1, step = 2, file_version = 3, summary = 5 }`, `Summary { value = 1 }` and
//! `Value { tag = 1, simple_value = 2 }` are written. Source: tensorflow/core/util/event.proto, lib/io/record_writer.cc.
//!
//! When a run goes on, the file is written anew from the log, so that it always says what the log says.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::log::{self, LogRecord};
use crate::error::TrainError;

/// The open event file of a run.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
    /// Whether the clock is left out.
    deterministic: bool,
}

impl EventFile {
    /// Writes `path` anew from the records of the log, and opens it for appending.
    ///
    /// # Errors
    /// [`TrainError::Io`]
    pub fn open(path: &Path, log: &Path, deterministic: bool) -> Result<Self, TrainError> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(io("create", folder))?;
        }
        let mut bytes = record(&version_event());
        for entry in log::read(log) {
            scalars(&entry)
                .into_iter()
                .for_each(|scalar| bytes.extend(record(&scalar.encode(wall_time(deterministic)))));
        }
        kinsight_model::weights::write_atomically(path, &bytes)?;
        let file = OpenOptions::new().append(true).open(path).map_err(io("open", path))?;
        Ok(Self { path: path.to_path_buf(), file, deterministic })
    }

    /// Appends the scalars of one log record.
    ///
    /// # Errors
    /// [`TrainError::Io`]
    pub fn append(&mut self, entry: &LogRecord) -> Result<(), TrainError> {
        let time = wall_time(self.deterministic);
        let bytes: Vec<u8> = scalars(entry).into_iter().flat_map(|scalar| record(&scalar.encode(time))).collect();
        self.file.write_all(&bytes).map_err(io("write", &self.path))
    }
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> TrainError {
    let path = path.to_path_buf();
    move |source| TrainError::Io { action, path, source }
}

fn wall_time(deterministic: bool) -> f64 {
    if deterministic {
        return 0.0;
    }
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |elapsed| elapsed.as_secs_f64())
}

/// One point of one curve.
#[derive(Debug, PartialEq)]
struct Scalar {
    tag: &'static str,
    step: u64,
    value: f64,
}

fn scalars(entry: &LogRecord) -> Vec<Scalar> {
    match entry {
        LogRecord::Step { step, loss, lr, images_per_second, .. } => {
            let values =
                [("train/loss", Some(*loss)), ("train/lr", Some(*lr)), ("train/images_per_second", *images_per_second)];
            values.into_iter().filter_map(|(tag, value)| Some(Scalar { tag, step: *step, value: value? })).collect()
        }
        LogRecord::Evaluation { step, recall_at_1, map_at_r, validation, .. } => {
            let mut points = vec![
                Scalar { tag: "test/recall@1", step: *step, value: *recall_at_1 },
                Scalar { tag: "test/map@r", step: *step, value: *map_at_r },
            ];
            if let Some(figures) = validation {
                points.push(Scalar { tag: "validation/recall@1", step: *step, value: figures.recall_at_1 });
                points.push(Scalar { tag: "validation/map@r", step: *step, value: figures.map_at_r });
            }
            points
        }
        LogRecord::Warning { .. } => Vec::new(),
    }
}

impl Scalar {
    fn encode(&self, wall_time: f64) -> Vec<u8> {
        let mut value = field(1, self.tag.as_bytes());
        value.push(2 << 3 | 5);
        value.extend((self.value as f32).to_le_bytes());
        let mut event = vec![1 << 3 | 1];
        event.extend(wall_time.to_le_bytes());
        event.push(2 << 3);
        event.extend(varint(self.step));
        event.extend(field(5, &field(1, &value)));
        event
    }
}

/// The first record of every file.
fn version_event() -> Vec<u8> {
    let mut event = vec![1 << 3 | 1];
    event.extend(0.0_f64.to_le_bytes());
    event.extend(field(3, b"brain.Event:2"));
    event
}

/// A field that holds bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut encoded = vec![number << 3 | 2];
    encoded.extend(varint(bytes.len() as u64));
    encoded.extend(bytes);
    encoded
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut bytes = length.to_vec();
    bytes.extend(masked(crc32c(&length)).to_le_bytes());
    bytes.extend(data);
    bytes.extend(masked(crc32c(data)).to_le_bytes());
    bytes
}

/// Checksums are stored in a disguise, so that a checksum of data with checksums in it is still one.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), bit by bit: records are short.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_castagnolis() {
        // RFC 3720, appendix B.4, and the customary check value.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(varint(300), [0xac, 0x02]);
    }

    #[test]
    fn a_file_holds_its_records_and_is_the_same_after_going_on() {
        let folder = tempfile::tempdir().unwrap();
        let (log, path) = (folder.path().join("log.jsonl"), folder.path().join("tb/events.out.tfevents.kinsight"));
        let entries = [
            LogRecord::Step { step: 1, epoch: 0, loss: 2.5, lr: 0.1, images_per_second: None },
            LogRecord::Warning { step: 1, message: "x".into() },
            LogRecord::Evaluation { step: 300, epochs: 1, recall_at_1: 0.5, map_at_r: 0.25, validation: None },
        ];
        let mut file = EventFile::open(&path, &log, true).unwrap();
        let mut lines = String::new();
        for entry in &entries {
            file.append(entry).unwrap();
            lines += &(serde_json::to_string(entry).unwrap() + "\n");
        }
        let appended = fs::read(&path).unwrap();
        fs::write(&log, lines).unwrap();
        EventFile::open(&path, &log, true).unwrap();
        assert_eq!(fs::read(&path).unwrap(), appended);

        // Walk the records as a reader does.
        let (mut rest, mut events) = (&appended[..], Vec::new());
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(rest[8..12], masked(crc32c(&rest[..8])).to_le_bytes());
            let data = &rest[12..12 + length];
            assert_eq!(rest[12 + length..16 + length], masked(crc32c(data)).to_le_bytes());
            events.push(data.to_vec());
            rest = &rest[16 + length..];
        }
        assert_eq!(events.len(), 1 + 2 + 2);
        let last = &events[4];
        assert!(last.windows(10).any(|window| window == b"test/map@r"));
        assert_eq!(last[last.len() - 4..], 0.25_f32.to_le_bytes());
        assert_eq!(last[9..12], [2 << 3, 0xac, 0x02]);
    }
}
