//! Another index at the path of an open one.

use kinsight_index::{GraphSettings, Index, IndexError, VectorQuery};

use crate::fixture::{bare, damage, point, upsert};

/// An index with one point, and another one with two put in its place while `old` has it open.
fn replaced(folder: &std::path::Path) -> (Index, Index) {
    let path = folder.join("index");
    let old = bare(&path, 3, GraphSettings::default());
    upsert(&old, &[point("old", &[1.0, 0.0, 0.0])]);
    std::fs::remove_dir_all(&path).unwrap();
    let new = bare(&path, 3, GraphSettings::default());
    upsert(&new, &[point("a", &[0.0, 1.0, 0.0]), point("b", &[0.0, 0.0, 1.0])]);
    (old, new)
}

#[test]
fn a_replaced_index_cannot_be_written_to_through_an_old_handle() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = replaced(folder.path());
    let error = old.writer().map(|_| ()).unwrap_err();
    assert!(matches!(error, IndexError::Replaced { .. }), "{error}");
    assert!(error.to_string().contains("replaced by another index"), "{error}");
    assert!(damage(&new).is_empty());
    assert_eq!(new.store().len().unwrap(), 2);
    let newer = old.newer().unwrap().expect("a replaced index is noticed");
    assert_eq!(newer.store().len().unwrap(), 2);
    std::fs::remove_dir_all(folder.path().join("index")).unwrap();
    assert!(matches!(newer.writer().map(|_| ()), Err(IndexError::NoIndex { .. })));
    assert!(!folder.path().join("index").exists(), "asking to write makes no folder");
}

#[test]
fn an_open_writer_never_touches_the_files_that_were_put_in_the_place_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let old = bare(&path, 3, GraphSettings { exact_values: 0, ..GraphSettings::default() });
    upsert(&old, &[point("old", &[1.0, 0.0, 0.0])]);
    let writer = old.writer().unwrap();
    std::fs::rename(&path, folder.path().join("aside")).unwrap();
    let new = bare(&path, 3, GraphSettings::default());
    upsert(&new, &[point("a", &[0.0, 1.0, 0.0]), point("b", &[0.0, 0.0, 1.0])]);
    let read = |name: &str| std::fs::read(path.join(name)).unwrap();
    let files = ["index.json", "generations/1/vectors.bin", "generations/1/catalog.sqlite"];
    let before = files.map(read);
    let refused = |result: Result<(), IndexError>| assert!(matches!(result, Err(IndexError::Replaced { .. })));
    refused(writer.upsert(&[point("lost", &[1.0, 0.0, 0.0])]));
    refused(writer.remove(&[point("old", &[1.0, 0.0, 0.0]).id]).map(|_| ()));
    refused(writer.set_calibration(None));
    refused(writer.optimize(&|_, _| ()));
    drop(writer);
    assert!(files.map(read) == before);
    assert!(damage(&new).is_empty());
    // What is open goes on to be answered from, whatever lies at the path.
    assert_eq!(old.store().search(&VectorQuery::new(vec![1.0, 0.0, 0.0], 3)).unwrap()[0].len(), 1);
}
