//! Indexes and image folders that are moved, indexes that cannot be written to, and indexes of the first format.

use std::path::{Path, PathBuf};

use kinsight_index::payload::fields;
use kinsight_index::{Index, IndexError, Listing, Payload, Point, PointId, Value, VectorQuery, file_of, uploads_root};

use crate::fixture::{Colors, Fixture, contents, copy_folder, damage, point, stored_file, sync, upsert};

/// A picture as the server keeps it: a file in the index, and a point that names it.
fn upload(index: &Index, name: &str) -> PointId {
    let root = uploads_root(index.path());
    std::fs::create_dir_all(&root).unwrap();
    std::fs::write(root.join(name), name).unwrap();
    let payload = Payload::from([
        (fields::ROOT.to_owned(), Value::from(uploads_root(index.path()).to_str().unwrap())),
        (fields::PATH.to_owned(), Value::from(name)),
    ]);
    let id = index.upload_id(name).unwrap();
    let length = (crate::fixture::DIM as f32).sqrt();
    upsert(index, &[Point { id, vector: vec![1.0 / length; crate::fixture::DIM], payload }]);
    id
}

fn files(index: &Index) -> Vec<PathBuf> {
    contents(index).iter().map(|point| file_of(&point.payload)).collect()
}

#[test]
fn an_index_takes_its_uploads_along() {
    let fixture = Fixture::new(1, 2);
    let index = fixture.create("index", &Colors::new("colors"));
    let id = upload(&index, "a.png");
    drop(index);
    std::fs::rename(fixture.path("index"), fixture.path("elsewhere")).unwrap();
    let moved = Index::open(&fixture.path("elsewhere")).unwrap();
    assert_eq!(files(&moved), [uploads_root(&fixture.path("elsewhere")).join("a.png")]);
    assert!(files(&moved)[0].is_file());
    assert_eq!(upload(&moved, "a.png"), id, "the same picture again is the same image");
    assert_eq!(contents(&moved).len(), 1);
    assert!(moved.roots().unwrap().is_empty());
    let compacted = kinsight_index::compact(&moved, &|_, _| ()).unwrap();
    assert_eq!((files(&compacted), compacted.upload_id("a.png").unwrap()), (files(&moved), id));
}

#[test]
fn a_moved_folder_is_noticed_and_can_be_relocated() {
    let fixture = Fixture::new(2, 3);
    let model = Colors::new("colors");
    let index = fixture.create("index", &model);
    sync(&index, &fixture.images(), &model);
    let before = contents(&index);
    let (old, new) = (fixture.images(), fixture.path("pictures"));
    std::fs::rename(&old, &new).unwrap();

    // Indexing the new place would add all images a second time.
    let listing = Listing::of(&new).unwrap();
    let error = index.writer().unwrap().sync(&listing, &model, 4, &mut |_| true).unwrap_err();
    assert!(matches!(error, IndexError::Moved { images: 6, .. }), "{error}");
    assert!(error.hint().unwrap().contains(&format!("relocate '{}' '{}'", old.display(), new.display())));
    assert_eq!(contents(&index), before);

    let relocate = |old: &Path, new: &Path, force| index.writer().unwrap().relocate(old, new, force);
    let unknown = relocate(&fixture.path("nowhere"), &new, false).unwrap_err().to_string();
    assert!(unknown.contains(old.to_str().unwrap()), "the roots there are: {unknown}");
    let missing = relocate(&old, &fixture.path("index"), false).unwrap_err().to_string();
    assert!(missing.contains("6 of the 6") && missing.contains("--force"), "{missing}");
    assert_eq!(relocate(&old, &new, false).unwrap(), 6);
    assert!(files(&index).iter().all(|file| file.starts_with(&new) && file.is_file()));
    let ids = |points: &[Point]| points.iter().map(|point| point.id).collect::<Vec<_>>();
    assert_eq!(ids(&contents(&index)), ids(&before));
    let query = |filter: &str| {
        let filter = Some(filter.parse().unwrap());
        index.store().search(&VectorQuery { filter, ..VectorQuery::new(before[0].vector.clone(), 9) }).unwrap()[0].len()
    };
    assert_eq!(query(&format!("root = '{}'", new.display())), 6);
    assert_eq!(query(&format!("root = '{}'", old.display())), 0);
    assert_eq!(query("root ~ '*PICTURES'"), 6);
    assert_eq!(query("root is missing"), 0);
    assert_eq!(index.store().facets(fields::ROOT, 9).unwrap(), [(Value::from(new.to_str().unwrap()), 6)]);
    let report = sync(&index, &new, &model);
    assert_eq!((report.unchanged, report.removed, model.embedded.get()), (6, 0, 6), "{report:?}");

    // Other images at the old place are other images.
    std::fs::create_dir_all(old.join("class0")).unwrap();
    std::fs::copy(new.join("class1/1.png"), old.join("class0/0.png")).unwrap();
    assert_eq!(sync(&index, &old, &model).copied, 1);
    assert_eq!(contents(&index).len(), 7);
    assert!(relocate(&old, &new, true).unwrap_err().to_string().contains("no image was indexed from"));
    // Folders in a moved folder move with it.
    let above = fixture.path("above");
    std::fs::create_dir(&above).unwrap();
    std::fs::rename(&new, above.join("pictures")).unwrap();
    std::fs::rename(&old, above.join("images")).unwrap();
    assert_eq!(relocate(old.parent().unwrap(), &above, false).unwrap(), 7);
    assert!(files(&index).iter().all(|file| file.is_file()));
    assert!(damage(&index).is_empty());
}

#[test]
fn a_csv_names_only_what_lies_below_its_folder() {
    let fixture = Fixture::new(1, 2);
    std::fs::create_dir(fixture.path("lists")).unwrap();
    let list = |name: &str, path: &str| {
        let csv = fixture.path(name);
        std::fs::write(&csv, format!("path,label\n{path},x\n")).unwrap();
        Listing::of(&csv)
    };
    let image = fixture.images().canonicalize().unwrap().join("class0/0.png");
    for path in [image.to_str().unwrap(), "../images/class0/0.png"] {
        let error = list("lists/l.csv", path).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("folder above all images"), "{error}");
        assert_eq!(
            list("l.csv", path.trim_start_matches("../")).unwrap().items[0].known["path"],
            "images/class0/0.png".into()
        );
    }
    let inside = list("images/l.csv", "class0/../class0/1.png").unwrap();
    assert_eq!(inside.items[0].known["path"], Value::from("class0/1.png"));
}

/// As on a read-only mount: SQLite cannot make the file that readers share with a writer.
#[test]
fn an_index_that_cannot_be_written_to_is_read() {
    let fixture = Fixture::new(1, 3);
    let model = Colors::new("colors");
    let index = fixture.create("index", &model);
    sync(&index, &fixture.images(), &model);
    drop(index);
    let catalog = stored_file(&fixture.path("index"), "catalog.sqlite");
    for ending in ["-wal", "-shm"] {
        let mut name = catalog.clone().into_os_string();
        name.push(ending);
        assert!(std::fs::metadata(&name).map_or(0, |data| data.len()) == 0 || ending == "-shm", "all is in one file");
        let _ = std::fs::remove_file(&name);
        std::fs::create_dir(&name).unwrap();
    }
    let index = Index::open(&fixture.path("index")).unwrap();
    assert_eq!(contents(&index).len(), 3);
    assert_eq!(index.store().search(&VectorQuery::new(contents(&index)[0].vector.clone(), 2)).unwrap()[0].len(), 2);
    assert_eq!(index.store().facets(fields::LABEL, 9).unwrap(), [(Value::from("class0"), 3)]);
    assert!(damage(&index).is_empty());
    // A writer that can write after all is noticed.
    for ending in ["-wal", "-shm"] {
        let mut name = catalog.clone().into_os_string();
        name.push(ending);
        std::fs::remove_dir(&name).unwrap();
    }
    let other = Index::open(&fixture.path("index")).unwrap();
    let length = (crate::fixture::DIM as f32).sqrt();
    upsert(&other, &[Point { vector: vec![1.0 / length; crate::fixture::DIM], ..point("new", &[1.0]) }]);
    assert_eq!(index.store().len().unwrap(), 4);
}

/// `tests/format1` was written by a kinsight of format 1: three images of `/photos`, one upload, and a graph.
#[test]
fn an_index_of_the_first_format_is_read_and_brought_to_this_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    copy_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format1"), &path);
    let index = Index::open(&path).unwrap();
    assert_eq!((index.manifest().format, index.store().len().unwrap()), (1, 4));
    assert!(damage(&index).is_empty(), "{:?}", damage(&index));
    let before = contents(&index);
    assert_eq!(before[0].payload[fields::ROOT], Value::from("/photos"));
    assert!(index.store().stats().unwrap().graph.is_some());
    let by_root = |index: &Index, root: &Path| {
        let filter = format!("root = '{}'", root.display()).parse().unwrap();
        let query = VectorQuery { filter: Some(filter), ..VectorQuery::new(before[0].vector.clone(), 9) };
        index.store().search(&query).unwrap()[0].len()
    };
    assert_eq!(by_root(&index, Path::new("/photos")), 3);
    let reader = Index::open(&path).unwrap();

    let new = folder.path().join("photos");
    assert_eq!(index.writer().unwrap().relocate(Path::new("/photos"), &new, true).unwrap(), 3);
    index.writer().unwrap().optimize(&|_, _| ()).unwrap();
    let after = contents(&index);
    assert_eq!(after.len(), 4);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((before.id, &before.vector), (after.id, &after.vector));
        let without_root = |point: &Point| {
            point.payload.clone().into_iter().filter(|(name, _)| name != fields::ROOT).collect::<Vec<_>>()
        };
        assert_eq!(without_root(before), without_root(after));
    }
    assert_eq!((by_root(&index, &new), by_root(&index, &uploads_root(&path))), (3, 1));
    // The upload is found although the index was moved, and is the same image when it is sent again.
    let uploaded = after.iter().find(|point| point.payload["label"] == "sent".into()).unwrap();
    assert!(file_of(&uploaded.payload).is_file());
    assert_eq!(index.upload_id(&uploaded.payload["path"].text()).unwrap(), uploaded.id);

    let reopened = Index::open(&path).unwrap();
    assert_eq!(reopened.manifest().format, 2);
    assert!(reopened.manifest().identity.as_ref().is_some_and(|identity| identity.len() == 32));
    assert_eq!(contents(&reopened), after);
    assert!(damage(&reopened).is_empty());
    // Another handle that had it open before goes on, and notices.
    assert_eq!(contents(&reader), after);
    assert!(reader.newer().unwrap().is_some());
    assert!(reader.writer().is_ok());
}
