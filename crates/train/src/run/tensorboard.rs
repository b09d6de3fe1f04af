//! TensorBoard's event file: the log's scalars in the format that TensorBoard reads.
//!
//! Each scalar is a TFRecord: length, masked CRC-32C of the length, protocol buffer, masked CRC-32C of the buffer. Source:
//! tensorflow/core/util/event.proto, lib/io/record_writer.cc.
//!
//! A resumed run rewrites the file from the log, so the two always agree.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use kinsight_files::DurableFile;
use prost::Message;

use super::log::{self, LogRecord};
use crate::error::TrainError;

/// The open event file of a run.
#[derive(Debug)]
pub struct EventFile {
    file: DurableFile,
    /// Whether the clock is left out.
    deterministic: bool,
}

impl EventFile {
    /// Writes `path` anew from the records of the log, and opens it for appending.
    ///
    /// # Errors
    /// [`TrainError::File`]
    pub fn open(path: &Path, log: &Path, deterministic: bool) -> Result<Self, TrainError> {
        if let Some(folder) = path.parent() {
            kinsight_files::create_dir_all(folder)?;
        }
        let version = Event { wall_time: Some(0.0), file_version: Some("brain.Event:2".into()), ..Event::default() };
        let mut bytes = record(&version.encode_to_vec());
        for entry in log::read(log)? {
            bytes.extend(records(&entry, wall_time(deterministic)));
        }
        kinsight_files::write(path, &bytes)?;
        Ok(Self { file: DurableFile::open(path)?, deterministic })
    }

    /// Appends the scalars of one log record.
    ///
    /// # Errors
    /// [`TrainError::File`]
    pub fn append(&mut self, entry: &LogRecord) -> Result<(), TrainError> {
        Ok(self.file.append(&records(entry, wall_time(self.deterministic)))?)
    }

    /// Brings the records to the disk.
    ///
    /// # Errors
    /// [`TrainError::File`]
    pub fn sync(&mut self) -> Result<(), TrainError> {
        Ok(self.file.sync()?)
    }
}

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, optional, tag = "1")]
    wall_time: Option<f64>,
    #[prost(int64, optional, tag = "2")]
    step: Option<i64>,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Scalar>,
}

/// One point of one curve.
#[derive(Clone, PartialEq, Message)]
struct Scalar {
    #[prost(string, optional, tag = "1")]
    tag: Option<String>,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// A record for each scalar of a line of the log.
fn records(entry: &LogRecord, wall_time: f64) -> Vec<u8> {
    let event = |(step, tag, value): (u64, &str, f64)| Event {
        wall_time: Some(wall_time),
        step: Some(step as i64),
        file_version: None,
        summary: Some(Summary { value: vec![Scalar { tag: Some(tag.into()), simple_value: Some(value as f32) }] }),
    };
    scalars(entry).into_iter().flat_map(|scalar| record(&event(scalar).encode_to_vec())).collect()
}

fn wall_time(deterministic: bool) -> f64 {
    if deterministic {
        return 0.0;
    }
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |elapsed| elapsed.as_secs_f64())
}

/// Step, tag and value of each.
fn scalars(entry: &LogRecord) -> Vec<(u64, &'static str, f64)> {
    let (step, values) = match entry {
        LogRecord::Step { step, loss, lr, images_per_second, .. } => (
            step,
            vec![("train/loss", Some(*loss)), ("train/lr", Some(*lr)), ("train/images_per_second", *images_per_second)],
        ),
        LogRecord::Evaluation { step, recall_at_1, map_at_r, validation, .. } => (
            step,
            vec![
                ("test/recall@1", Some(*recall_at_1)),
                ("test/map@r", Some(*map_at_r)),
                ("validation/recall@1", validation.map(|figures| figures.recall_at_1)),
                ("validation/map@r", validation.map(|figures| figures.map_at_r)),
            ],
        ),
        LogRecord::Warning { .. } => return Vec::new(),
    };
    values.into_iter().filter_map(|(tag, value)| Some((*step, tag, value?))).collect()
}

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut bytes = length.to_vec();
    bytes.extend(masked(crc32c(&length)).to_le_bytes());
    bytes.extend(data);
    bytes.extend(masked(crc32c(data)).to_le_bytes());
    bytes
}

/// The format masks checksums, since a CRC over data that holds CRCs is weak.
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
    use std::fs;

    use super::*;

    #[test]
    fn checksums_are_castagnolis() {
        // RFC 3720, appendix B.4, and the customary check value.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
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
