//! Filters that would take too long, and searches that are cancelled.

use std::time::{Duration, Instant};

use kinsight_index::payload::fields;
use kinsight_index::{Cancel, Cursor, Filter, GraphSettings, Index, IndexError, Payload, Point, Value, VectorQuery};

use crate::fixture::{bare, point, upsert};

/// An index of many points with a long path each.
fn long_paths(folder: &std::path::Path, count: usize) -> Index {
    let index = bare(folder, 3, GraphSettings::default());
    let points: Vec<Point> = (0..count)
        .map(|i| {
            let path = format!("{}{i}", "abcdefghij/".repeat(20));
            let payload = Payload::from([("path".to_owned(), Value::from(path))]);
            Point { payload, ..point(&i.to_string(), &[1.0, i as f32, 0.5]) }
        })
        .collect();
    upsert(&index, &points);
    index
}

fn patterns(count: usize) -> Filter {
    let parts: Vec<String> = (0..count).map(|i| format!("path ~ '*x{i}*y*'")).collect();
    parts.join(" or ").parse().unwrap()
}

#[test]
fn a_filter_costs_conditions_times_rows_and_no_more_than_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let index = long_paths(folder.path(), 200);
    assert_eq!(patterns(7).cost(200), 1400);
    assert_eq!("label = a and label in (b, c) and not width > 3".parse::<Filter>().unwrap().cost(200), 2 * 3 + 200);
    let search = |filter: &Filter| {
        let query = VectorQuery { filter: Some(filter.clone()), ..VectorQuery::new(vec![1.0, 0.0, 0.0], 1) };
        index.store().search(&query)
    };
    assert!(search(&patterns(50)).is_ok());
    index.limit_filter_cost(5000);
    let error = search(&patterns(51)).unwrap_err();
    assert!(matches!(error, IndexError::FilterTooCostly { cost: 10_200, limit: 5000 }), "{error}");
    assert!(error.hint().unwrap().contains("equality"));
    let scroll = index.store().scroll(Cursor::default(), 3, Some(&patterns(51)), &Cancel::new());
    assert!(matches!(scroll, Err(IndexError::FilterTooCostly { .. })));
    assert!(search(&patterns(25)).is_ok());
}

#[test]
fn a_cancelled_search_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let index = long_paths(folder.path(), 20_000);
    index.limit_filter_cost(u64::MAX);
    let filter = Some(patterns(400));
    let search = |cancel: Cancel| {
        let query = VectorQuery { filter: filter.clone(), cancel, ..VectorQuery::new(vec![1.0, 0.0, 0.0], 1) };
        let started = Instant::now();
        let error = index.store().search(&query).unwrap_err();
        assert!(matches!(error, IndexError::Cancelled), "{error}");
        started.elapsed()
    };
    let soon = Duration::from_millis(100);
    let elapsed = search(Cancel::with_deadline(Instant::now() + soon));
    assert!(elapsed < Duration::from_secs(2), "{elapsed:?}");
    // It ends in any case, so that a failure is told and not waited for.
    let cancel = Cancel::with_deadline(Instant::now() + Duration::from_secs(20));
    let elapsed = std::thread::scope(|scope| {
        let running = scope.spawn(|| search(cancel.clone()));
        std::thread::sleep(soon);
        // Meanwhile others are answered: nothing is locked.
        let started = Instant::now();
        assert_eq!(index.store().search(&VectorQuery::new(vec![1.0, 0.0, 0.0], 1)).unwrap()[0].len(), 1);
        // Also those with another filter.
        let other =
            VectorQuery { filter: Some("label = a".parse().unwrap()), ..VectorQuery::new(vec![1.0, 0.0, 0.0], 1) };
        assert!(index.store().search(&other).unwrap()[0].is_empty());
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        cancel.cancel();
        running.join().unwrap()
    });
    assert!(elapsed < Duration::from_secs(3), "{elapsed:?}");
    let done = Cancel::new();
    done.cancel();
    let query = VectorQuery { cancel: done.clone(), ..VectorQuery::new(vec![1.0, 0.0, 0.0], 1) };
    assert!(matches!(index.store().search(&query), Err(IndexError::Cancelled)), "an exact search, too");
    assert!(matches!(index.store().scroll(Cursor::default(), 1, filter.as_ref(), &done), Err(IndexError::Cancelled)));
}

#[test]
fn facets_count_values_and_the_revision_counts_writes() {
    let folder = tempfile::tempdir().unwrap();
    let index = bare(folder.path(), 3, GraphSettings::default());
    let labeled = |name: &str, label: &str| Point {
        payload: Payload::from([(fields::LABEL.to_owned(), Value::from(label))]),
        ..point(name, &[1.0, 0.0, 0.0])
    };
    let start = index.store().revision().unwrap();
    upsert(&index, &[labeled("a", "shoe"), labeled("b", "boot"), labeled("c", "shoe"), labeled("d", "hat")]);
    let facets = || index.store().facets(fields::LABEL, 9).unwrap();
    assert_eq!(facets(), [("shoe".into(), 2), ("boot".into(), 1), ("hat".into(), 1)]);
    let other = Index::open(folder.path()).unwrap();
    let before = other.store().revision().unwrap();
    assert!(before > start);
    index.writer().unwrap().remove(&[labeled("a", "").id]).unwrap();
    assert!(other.store().revision().unwrap() > before, "another opening notices");
    upsert(&other, &[labeled("d", "shoe")]);
    assert_eq!(facets(), [("shoe".into(), 2), ("boot".into(), 1)]);
    assert_eq!(index.store().facets(fields::LABEL, 1).unwrap().len(), 1);
    assert!(index.store().facets("nothing", 9).unwrap().is_empty());
    let before = index.store().revision().unwrap();
    assert!(kinsight_index::compact(&index, &|_, _| ()).unwrap().store().revision().unwrap() > before);
}
