//! What a reader sees while another thread writes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kinsight_index::{Filter, GraphSettings, Index, Payload, Point, Value, VectorQuery};

use crate::fixture::{bare, point, upsert};

/// Runs `read` again and again while one point is replaced by others with the same id, at least `writes` times.
fn while_replaced(index: &Index, writes: usize, mut read: impl FnMut()) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let writer = index.writer().unwrap();
            for i in 0..writes {
                let payload = Payload::from([("number".to_owned(), Value::from(i as f64))]);
                let replaced = Point { payload, ..point("one", &[1.0, (i % 7) as f32, 0.0]) };
                writer.upsert(&[replaced]).unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            read();
        }
    });
}

#[test]
fn a_point_that_is_being_replaced_is_always_found_once() {
    let folder = tempfile::tempdir().unwrap();
    let index = bare(folder.path(), 3, GraphSettings::default());
    upsert(&index, &[point("one", &[1.0, 0.0, 0.0])]);
    let everything: Filter = "number >= 0 or number is missing".parse().unwrap();
    let id = point("one", &[1.0, 0.0, 0.0]).id;
    let mut searches = 0;
    while_replaced(&index, 300, || {
        for filter in [None, Some(everything.clone())] {
            let query = VectorQuery { filter, ..VectorQuery::new(vec![1.0, 0.0, 0.0], 1) };
            let hits = index.store().search(&query).unwrap().remove(0);
            assert_eq!(hits.iter().map(|hit| hit.id).collect::<Vec<_>>(), [id]);
        }
        assert!(index.store().get(&[id]).unwrap()[0].is_some());
        assert_eq!(index.store().len().unwrap(), 1);
        searches += 1;
    });
    assert!(searches > 10, "{searches}");
}

/// A writer inside its transaction does not block readers.
#[test]
fn readers_do_not_wait_for_a_writer() {
    let folder = tempfile::tempdir().unwrap();
    let index = bare(folder.path(), 3, GraphSettings::default());
    upsert(&index, &[point("one", &[1.0, 0.0, 0.0])]);
    let catalog = folder.path().join("generations/1/catalog.sqlite");
    let writing = rusqlite::Connection::open(catalog).unwrap();
    writing.execute_batch("BEGIN IMMEDIATE; UPDATE state SET revision = revision + 1").unwrap();
    let started = Instant::now();
    let revision = index.store().revision().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..20 {
            let search = || index.store().search(&VectorQuery::new(vec![1.0, 0.0, 0.0], 1)).unwrap();
            scope.spawn(move || assert_eq!(search()[0].len(), 1));
        }
    });
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(index.store().revision().unwrap(), revision);
    writing.execute_batch("COMMIT").unwrap();
    assert_eq!(index.store().revision().unwrap(), revision + 1, "every write shows");
}

/// Nor for one in this process, however long its write takes.
#[test]
fn readers_do_not_wait_for_a_writer_of_this_process() {
    let folder = tempfile::tempdir().unwrap();
    let index = bare(folder.path(), 3, GraphSettings::default());
    upsert(&index, &[point("one", &[1.0, 0.0, 0.0])]);
    let many: Vec<Point> = (0..40_000).map(|i| point(&i.to_string(), &[1.0, i as f32, 0.5])).collect();
    let writer = index.writer().unwrap();
    let (begun, done) = (AtomicBool::new(false), AtomicBool::new(false));
    let mut searches = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            begun.store(true, Ordering::Relaxed);
            writer.upsert(&many).unwrap();
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            let has_begun = begun.load(Ordering::Relaxed);
            assert_eq!(index.store().search(&VectorQuery::new(vec![1.0, 0.0, 0.0], 1)).unwrap()[0].len(), 1);
            searches += usize::from(has_begun && !done.load(Ordering::Relaxed));
        }
    });
    assert!(searches >= 60, "{searches} searches while a batch was written");
}

/// Snapshots end with the call that took them: the log of writes is started over, however many readers there are.
#[test]
fn the_write_ahead_log_does_not_grow_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let index = bare(folder.path(), 3, GraphSettings::default());
    upsert(&index, &[point("one", &[1.0, 0.0, 0.0])]);
    let log = folder.path().join("generations/1/catalog.sqlite-wal");
    let mut largest = 0;
    while_replaced(&index, 2500, || {
        index.store().search(&VectorQuery::new(vec![1.0, 0.0, 0.0], 1)).unwrap();
        largest = largest.max(std::fs::metadata(&log).map_or(0, |data| data.len()));
    });
    // SQLite copies the log into the file from 4 MB on; each of these writes adds some 30 KB to it.
    assert!(largest < 24 << 20, "{largest} bytes");
}
