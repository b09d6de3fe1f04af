//! Embeddings and labels to files and back, and files that are not what they should be.

use std::path::{Path, PathBuf};

use kinsight_retrieval::io::{NpyWriter, RowFacts, read_embeddings, read_labels, write_embeddings};
use kinsight_retrieval::{RetrievalError, UnitEmbeddings};
use safetensors::tensor::{Dtype, TensorView};
use tempfile::TempDir;

fn npy(descr: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    while (10 + text.len() + 1) % 64 != 0 {
        text.push(' ');
    }
    text.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((text.len() as u16).to_le_bytes());
    file.extend(text.as_bytes());
    file.extend(values);
    file
}

fn le<const N: usize, T: Copy>(values: &[T], bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|&value| bytes(value)).collect()
}

fn put(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// The message and those of its causes, without the folder's name.
fn message(path: &Path, error: RetrievalError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text.replace(&format!("{}/", path.parent().unwrap().display()), "")
}

#[test]
fn what_is_written_is_read_again() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("rows.npy");
    let values: Vec<f32> = (0..300).map(|i| (i as f32).sin() + 0.1).collect();
    let embeddings = UnitEmbeddings::new(values, 3).unwrap();
    let mut writer = NpyWriter::create(&path, 3).unwrap();
    for batch in embeddings.as_slice().chunks(3 * 17) {
        writer.write_rows(batch).unwrap();
    }
    assert_eq!(writer.rows(), 100);
    assert!(!path.exists());
    writer.finish().unwrap();
    assert_eq!(read_embeddings(&path, None).unwrap(), embeddings);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn an_abandoned_file_leaves_the_old_one() {
    let folder = TempDir::new().unwrap();
    let path = put(&folder, "rows.npy", b"old");
    let mut writer = NpyWriter::create(&path, 2).unwrap();
    writer.write_rows(&[1.0, 2.0]).unwrap();
    assert!(writer.write_rows(&[1.0]).is_err());
    drop(writer);
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(NpyWriter::create(&path, 0).is_err());
    let Err(error) = NpyWriter::create(&folder.path().join("none/rows.npy"), 2) else { panic!("no such folder") };
    assert!(error.to_string().starts_with("cannot create "));
}

#[test]
fn embeddings_come_in_several_types() {
    let folder = TempDir::new().unwrap();
    let rows = [3.0_f32, 4.0, 0.0, 2.0];
    let expected = UnitEmbeddings::new(rows.to_vec(), 2).unwrap();
    let (f2, f4, f8) = (
        le(&rows, |value| half::f16::from_f32(value).to_le_bytes()),
        le(&rows, f32::to_le_bytes),
        le(&rows, |value| f64::from(value).to_le_bytes()),
    );
    for (descr, values) in [("<f2", &f2), ("<f4", &f4), ("<f8", &f8)] {
        let path = put(&folder, "rows.npy", &npy(descr, "(2, 2)", values));
        assert_eq!(read_embeddings(&path, None).unwrap(), expected, "{descr}");
    }
    let bf16 = le(&rows, |value| half::bf16::from_f32(value).to_le_bytes());
    for (dtype, values) in [(Dtype::F16, &f2), (Dtype::BF16, &bf16), (Dtype::F32, &f4), (Dtype::F64, &f8)] {
        let labels = le(&[5_i64, -1], i64::to_le_bytes);
        let tensors = [
            ("embeddings", TensorView::new(dtype, vec![2, 2], values).unwrap()),
            ("labels", TensorView::new(Dtype::I64, vec![2], &labels).unwrap()),
        ];
        let path = put(&folder, "rows.safetensors", &safetensors::serialize(tensors, None).unwrap());
        assert_eq!(read_embeddings(&path, None).unwrap(), expected, "{dtype:?}");
        assert_eq!(read_embeddings(&path, Some("embeddings")).unwrap(), expected);
        assert_eq!(read_labels(&path, None).unwrap(), [5, -1]);
        assert_eq!(
            message(&path, read_embeddings(&path, Some("x")).unwrap_err()),
            "rows.safetensors: no tensor x; the file has embeddings, labels"
        );
        assert_eq!(
            message(&path, read_embeddings(&path, Some("labels")).unwrap_err()),
            "rows.safetensors: tensor labels has shape [2], expected 2 dimension(s)"
        );
    }
}

#[test]
fn labels_come_in_every_integer_type() {
    let folder = TempDir::new().unwrap();
    let files = [
        npy("|i1", "(2,)", &le(&[7_i8, -3], i8::to_le_bytes)),
        npy("<i2", "(2,)", &le(&[7_i16, -3], i16::to_le_bytes)),
        npy("<i4", "(2,)", &le(&[7_i32, -3], i32::to_le_bytes)),
        npy("<i8", "(2,)", &le(&[7_i64, -3], i64::to_le_bytes)),
    ];
    for file in files {
        assert_eq!(read_labels(&put(&folder, "labels.npy", &file), None).unwrap(), [7, -3]);
    }
    let files = [
        npy("|u1", "(2,)", &le(&[7_u8, 200], u8::to_le_bytes)),
        npy("<u2", "(2,)", &le(&[7_u16, 200], u16::to_le_bytes)),
        npy("<u4", "(2,)", &le(&[7_u32, 200], u32::to_le_bytes)),
        npy("<u8", "(2,)", &le(&[7_u64, 200], u64::to_le_bytes)),
    ];
    for file in files {
        assert_eq!(read_labels(&put(&folder, "labels.npy", &file), None).unwrap(), [7, 200]);
    }
    let path = put(&folder, "labels.npy", &npy("<u8", "(2,)", &le(&[7, u64::MAX], u64::to_le_bytes)));
    assert_eq!(
        message(&path, read_labels(&path, None).unwrap_err()),
        "labels.npy: label 1 is above 9223372036854775807"
    );
}

#[test]
fn files_that_are_not_what_they_should_be_are_refused() {
    let folder = TempDir::new().unwrap();
    let whole = npy("<f4", "(2, 2)", &le(&[3.0, 4.0, 0.0, 2.0], f32::to_le_bytes));
    let mut too_long = whole.clone();
    too_long.push(0);
    let mut version_9 = whole.clone();
    version_9[6] = 9;
    for (file, expected) in [
        (&b""[..], "rows.npy: not a .npy file: it does not start with \\x93NUMPY"),
        (&b"PK\x03\x04 a zip archive"[..], "rows.npy: not a .npy file: it does not start with \\x93NUMPY"),
        (&whole[..40], "rows.npy: the file ends inside its header"),
        (&whole[..whole.len() - 1], "rows.npy: shape [2, 2] needs 16 bytes of values, found 15: cut off or damaged"),
        (&too_long, "rows.npy: shape [2, 2] needs 16 bytes of values, found 17: cut off or damaged"),
        (&version_9, "rows.npy: .npy version 9, expected 1, 2 or 3"),
        (
            &npy("<f4", "(4294967296, 4294967296)", &[]),
            "rows.npy: shape [4294967296, 4294967296] needs more than memory can hold bytes of values, found 0: cut off or damaged",
        ),
        (&npy("<f4", "(4,)", &whole[64..80]), "rows.npy: an array of shape [4], expected (rows, width)"),
        (&npy("<i4", "(1, 1)", &[1, 0, 0, 0]), "rows.npy: embeddings are I32, expected F32, F16, BF16 or F64"),
        (
            &npy("<f4", "(2, 1)", &le(&[1.0, f32::NAN], f32::to_le_bytes)),
            "rows.npy: embeddings: row 1, column 0 is NaN, expected a finite number",
        ),
        (&npy("<f4", "(3, 0)", &[]), "rows.npy: embeddings: 0 values do not divide into rows of width 0"),
    ] {
        let path = put(&folder, "rows.npy", file);
        assert_eq!(message(&path, read_embeddings(&path, None).unwrap_err()), expected);
    }
    let path = put(&folder, "labels.npy", &npy("<f4", "(1,)", &1.0_f32.to_le_bytes()));
    assert_eq!(message(&path, read_labels(&path, None).unwrap_err()), "labels.npy: labels are F32, expected integers");
    let missing = folder.path().join("missing.npy");
    assert!(message(&missing, read_embeddings(&missing, None).unwrap_err()).starts_with("cannot read missing.npy: "));
    let other = put(&folder, "rows.csv", b"1,2");
    assert!(
        message(&other, read_embeddings(&other, None).unwrap_err())
            .contains("expected a name ending in .npy, .safetensors or .parquet")
    );
}

#[test]
fn safetensors_that_are_not_whole_are_refused() {
    let folder = TempDir::new().unwrap();
    let values = le(&[3.0, 4.0, 0.0, 2.0], f32::to_le_bytes);
    let view = || TensorView::new(Dtype::F32, vec![2, 2], &values).unwrap();
    let whole = safetensors::serialize([("a", view())], None).unwrap();
    let two = safetensors::serialize([("a", view()), ("b", view())], None).unwrap();
    let mut garbage = whole.clone();
    garbage[9] = b'?';
    for (file, expected) in [
        (&whole[..5], "rows.safetensors: not a safetensors file: under 8 bytes long"),
        (&whole[..30], "rows.safetensors: not a safetensors file, or cut off: a header of "),
        (
            &whole[..whole.len() - 1],
            "rows.safetensors: tensor a of shape [2, 2] does not fit the file: cut off or damaged",
        ),
        (&garbage, "rows.safetensors: not a safetensors file: its header is invalid ("),
        (&two, "rows.safetensors: there are several tensors; name one of a, b"),
    ] {
        let path = put(&folder, "rows.safetensors", file);
        let found = message(&path, read_embeddings(&path, None).unwrap_err());
        assert!(found.starts_with(expected), "{found}");
    }
    let path = put(&folder, "rows.safetensors", &whole);
    assert_eq!(message(&path, read_labels(&path, None).unwrap_err()), "rows.safetensors: no tensor of 1 dimension(s)");
}

/// The bytes of a number in Thrift's compact protocol.
fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

#[test]
fn a_parquet_footer_that_claims_too_many_rows_takes_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let paths = vec![String::new(); 100];
    let facts = RowFacts { paths: &paths, labels: &[], class_names: &[] };
    write_embeddings(&path, 8, std::iter::once(Ok(vec![1.0; 800])), &facts).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let (rest, end) = bytes.split_at(bytes.len() - 8);
    let footer_bytes = u32::from_le_bytes(end[..4].try_into().unwrap()) as usize;
    let (data, footer) = rest.split_at(rest.len() - footer_bytes);
    // Field 3, a 64-bit number, zigzag; then field 4, the list of row groups.
    let field = [&[0x16], &varint(2 * 100)[..], &[0x19]].concat();
    let place = footer.windows(field.len()).position(|window| window == field).unwrap();
    let claimed = [&footer[..=place], &varint(2 * 4_000_000_000), &footer[place + field.len() - 1..]].concat();
    let length = (claimed.len() as u32).to_le_bytes();
    std::fs::write(&path, [data, &claimed, &length, b"PAR1"].concat()).unwrap();
    // 4 billion rows of eight values would be 128 GB.
    let error = read_embeddings(&path, None).unwrap_err().to_string();
    assert!(error.contains("4000000000 rows, found 100"), "{error}");
}
