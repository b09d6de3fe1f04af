//! Keeping an index up to date with a folder, doing no more than needed.

use std::time::{Duration, SystemTime};

use kinsight_index::{Index, Listing, SyncEvent, Value};

use crate::fixture::{Colors, Fixture, bmp, contents, sync};

fn touch(path: &std::path::Path, seconds: u64) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
}

#[test]
fn only_what_changed_is_embedded() {
    let fixture = Fixture::new(3, 4);
    let model = Colors::new("colors");
    let index = fixture.create("index", &model);
    let first = sync(&index, &fixture.images(), &model);
    assert_eq!((first.added, model.embedded.get()), (12, 12));
    let again = sync(&index, &fixture.images(), &model);
    assert_eq!((again.unchanged, again.added, model.embedded.get()), (12, 0, 12));

    let images = fixture.images();
    fixture.write_picture("class0/0.png", 200); // other content
    touch(&images.join("class0/0.png"), 2_000_000_000);
    touch(&images.join("class0/1.png"), 1_000_000_000); // only touched
    std::fs::rename(images.join("class1/0.png"), images.join("class2/moved.png")).unwrap();
    std::fs::remove_file(images.join("class1/1.png")).unwrap();
    fixture.write_picture("class1/new.png", 201);
    let report = sync(&index, &images, &model);
    assert_eq!((report.added, report.changed, report.copied, report.updated), (1, 1, 1, 1), "{report:?}");
    assert_eq!((report.unchanged, report.removed), (8, 2), "{report:?}");
    assert_eq!(model.embedded.get(), 14, "the touched and the renamed file were not embedded again");

    // The same as indexing the folder as it now is.
    let fresh = fixture.create("fresh", &Colors::new("colors"));
    sync(&fresh, &images, &model);
    let sorted = |index: &Index| {
        let mut points = contents(index);
        points.sort_by_key(|point| point.id);
        points
    };
    assert_eq!(sorted(&index), sorted(&fresh));
    assert!(index.store().check(&|_, _| ()).unwrap().is_empty());
}

#[test]
fn payloads_hold_label_size_and_hashes() {
    let fixture = Fixture::new(2, 1);
    std::fs::copy(fixture.images().join("class0/0.png"), fixture.images().join("class1/copy.png")).unwrap();
    let model = Colors::new("colors");
    let index = fixture.create("index", &model);
    sync(&index, &fixture.images(), &model);
    let points = contents(&index);
    let payload = &points[0].payload;
    assert_eq!(payload["label"], Value::from("class0"));
    assert_eq!(payload["path"], Value::from("class0/0.png"));
    assert_eq!((&payload["width"], &payload["height"]), (&Value::from(10.0), &Value::from(9.0)));
    assert_eq!(payload["pixel_hash"], points[2].payload["pixel_hash"], "a copy has the same pixels");
    assert_eq!(payload["content_hash"], points[2].payload["content_hash"]);
    assert_ne!(payload["content_hash"], points[1].payload["content_hash"]);
}

#[test]
fn a_csv_brings_its_columns_and_their_changes() {
    let fixture = Fixture::new(1, 3);
    let table = fixture.path("images/table.csv");
    let rows = |price: &str| {
        format!("path,label,price,code\nclass0/0.png,shoe,{price},007\nclass0/1.png,boot,,x\nclass0/2.png,shoe,2.5,y\n")
    };
    std::fs::write(&table, rows("10")).unwrap();
    let model = Colors::new("colors");
    let index = fixture.create("index", &model);
    sync(&index, &table, &model);
    let points = contents(&index);
    assert_eq!(points[0].payload["price"], Value::from(10.0));
    assert_eq!(points[0].payload["code"], Value::from("007"));
    assert!(!points[1].payload.contains_key("price"), "an empty cell is no value");

    std::fs::write(&table, rows("11")).unwrap();
    let report = sync(&index, &table, &model);
    assert_eq!((report.updated, report.unchanged, model.embedded.get()), (1, 2, 3), "{report:?}");
    let filter = "price > 10.5".parse().unwrap();
    let found = index
        .store()
        .scroll(kinsight_index::Cursor::default(), 9, Some(&filter), &kinsight_index::Cancel::new())
        .unwrap()
        .0;
    assert_eq!(found.len(), 1);

    std::fs::write(&table, "path,width\nclass0/0.png,3\n").unwrap();
    assert!(Listing::of(&table).unwrap_err().to_string().contains("width"));
    std::fs::write(&table, "path\nclass0/nobody.png\n").unwrap();
    assert!(Listing::of(&table).unwrap_err().to_string().contains("line 2: no such file"));
}

#[test]
fn single_files_are_added_without_removing_others() {
    let fixture = Fixture::new(2, 2);
    let model = Colors::new("colors");
    let index = fixture.create("index", &model);
    sync(&index, &fixture.images(), &model);
    std::fs::create_dir(fixture.path("more")).unwrap();
    std::fs::write(fixture.path("more/x.bmp"), bmp(99)).unwrap();
    let listings = Listing::of_files(None, &[fixture.path("more/x.bmp")], Some("extra")).unwrap();
    let writer = index.writer().unwrap();
    for listing in &listings {
        writer.sync(listing, &model, 4, &mut |_| true).unwrap();
    }
    drop(writer);
    assert_eq!(index.store().len().unwrap(), 5);
    assert_eq!(contents(&index)[4].payload["label"], Value::from("extra"));
    assert_eq!(sync(&index, &fixture.images(), &model).removed, 0, "another root's images are not gone");
}

#[test]
fn stopping_after_any_batch_and_going_on_equals_one_run() {
    let fixture = Fixture::new(3, 5);
    let model = Colors::new("colors");
    let whole = fixture.create("whole", &model);
    sync(&whole, &fixture.images(), &model);
    for stop_after in 1..5 {
        let index = fixture.create(&format!("stopped{stop_after}"), &model);
        let listing = Listing::of(&fixture.images()).unwrap();
        let mut batches = 0;
        let stopped = index.writer().unwrap().sync(&listing, &model, 4, &mut |event| {
            batches += usize::from(matches!(event, SyncEvent::Done(_)));
            batches < stop_after
        });
        assert!(stopped.unwrap().added < 16);
        sync(&index, &fixture.images(), &model);
        assert_eq!(contents(&index), contents(&whole));
    }
}
