//! Damage is told, and not copied as if it were whole.

use kinsight_index::{Index, IndexError, Listing, Migration, compact};

use crate::fixture::{Colors, Fixture, contents, damage, source, stored_file, sync};

/// An index of six images, and the file of its vectors.
fn six(fixture: &Fixture, model: &Colors) -> Index {
    let index = fixture.create("index", model);
    sync(&index, &fixture.images(), model);
    index
}

/// Flips a low bit of the mantissa of a number of row `row`: the vector is still of length one.
fn rot(index: &Index, row: usize) {
    let file = stored_file(index.path(), "vectors.bin");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[64 + row * crate::fixture::DIM * 4] ^= 1;
    std::fs::write(&file, bytes).unwrap();
}

#[test]
fn compaction_refuses_rotten_rows_and_names_them() {
    let fixture = Fixture::new(2, 3);
    let model = Colors::new("colors");
    let index = six(&fixture, &model);
    rot(&index, 2);
    let rotten = contents(&index)[2].id;
    let Err(error) = compact(&index, &|_, _| ()) else { panic!("damage was copied") };
    assert!(error.to_string().contains(&format!("{rotten}: row 2 does not have the checksum")), "{error}");
    assert_eq!(damage(&index).len(), 1, "it is as it was");
    // Taken out, and indexed again, it is whole.
    index.writer().unwrap().remove(&[rotten]).unwrap();
    sync(&index, &fixture.images(), &model);
    let compacted = compact(&index, &|_, _| ()).unwrap();
    assert!(damage(&compacted).is_empty());
    assert_eq!(compacted.store().stats().unwrap().tombstones, 0);
}

#[test]
fn a_damaged_vector_is_embedded_again_and_not_copied() {
    let fixture = Fixture::new(1, 3);
    let model = Colors::new("colors");
    let index = six(&fixture, &model);
    let whole = contents(&index)[1].clone();
    rot(&index, 1);
    let csv = fixture.path("images/labels.csv");
    std::fs::write(&csv, "path,label\nclass0/1.png,other\n").unwrap();
    index.writer().unwrap().sync(&Listing::of(&csv).unwrap(), &model, 4, &mut |_| true).unwrap();
    let updated = contents(&index).into_iter().find(|point| point.id == whole.id).unwrap();
    assert_eq!((updated.vector, &updated.payload["label"]), (whole.vector, &"other".into()));
    assert!(damage(&index).is_empty());
}

#[test]
fn a_migration_does_not_put_damaged_rows_in_place() {
    let fixture = Fixture::new(1, 4);
    let (old, new) = (Colors::new("colors"), Colors::new("other colors"));
    let index = six(&fixture, &old);
    let fingerprint = kinsight_index::ImageEmbedder::fingerprint(&new).clone();
    let migration = Migration::start(&index, fingerprint, source()).unwrap();
    assert!(migration.run(&new, 4, &mut |_, _| true).unwrap().complete);
    let file = fixture.path("index/generations/2/vectors.bin");
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 0x01;
    std::fs::write(&file, bytes).unwrap();
    let Err(error) = migration.finish() else { panic!("damage was put in place") };
    assert!(matches!(error, IndexError::Corrupt { .. }) && error.to_string().contains("row 3"), "{error}");
    assert_eq!(Index::open(index.path()).unwrap().manifest().generation, 1);
}

/// A number of rows that no machine has memory for.
#[test]
fn a_damaged_row_count_is_an_error_and_not_an_allocation() {
    let fixture = Fixture::new(1, 3);
    let index = six(&fixture, &Colors::new("colors"));
    drop(index);
    let catalog = rusqlite::Connection::open(stored_file(&fixture.path("index"), "catalog.sqlite")).unwrap();
    for rows in ["1<<61", "-1", "4000000000", "4"] {
        catalog.execute_batch(&format!("UPDATE state SET rows = {rows}, revision = revision + 1")).unwrap();
        let Err(error) = Index::open(&fixture.path("index")) else { panic!("{rows} rows") };
        assert!(matches!(error, IndexError::Corrupt { .. }), "{error}");
    }
    catalog.execute_batch("UPDATE state SET rows = 3, revision = revision + 1; INSERT INTO dead VALUES (99)").unwrap();
    assert!(Index::open(&fixture.path("index")).is_err(), "a tombstone of a row that there is not");
}

#[test]
fn a_payload_that_cannot_be_read_is_damage() {
    let fixture = Fixture::new(2, 3);
    let index = six(&fixture, &Colors::new("colors"));
    let catalog = rusqlite::Connection::open(stored_file(index.path(), ".sqlite")).unwrap();
    catalog.execute("UPDATE points SET payload = '{' WHERE slot = 4", []).unwrap();
    let problems = damage(&index);
    assert!(problems.len() == 1 && problems[0].contains("the payload of row 4 is not readable"), "{problems:?}");
}
