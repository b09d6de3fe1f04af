//! The graph: made beyond the limit, extended, and judged against exact search.

use kinsight_index::{Filter, GraphSettings, Index, Payload, Point, PointId, SearchMethod, Value, VectorQuery};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::fixture::{bare, damage, optimize, stored_file, upsert};

const DIM: usize = 24;

/// Clustered unit vectors, numbered in their payload.
fn points(range: std::ops::Range<usize>) -> Vec<Point> {
    range
        .map(|i| {
            let mut center = ChaCha8Rng::seed_from_u64((i % 40) as u64);
            let mut own = ChaCha8Rng::seed_from_u64(1000 + i as u64);
            let row: Vec<f32> =
                (0..DIM).map(|_| center.random_range(-1.0..1.0_f32) + own.random_range(-0.5..0.5_f32)).collect();
            let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
            Point {
                id: PointId::of_path("graph", &i.to_string()),
                vector: row.iter().map(|value| value / length).collect(),
                payload: Payload::from([("number".to_owned(), Value::from(i as f64))]),
            }
        })
        .collect()
}

fn recall(store: &Index, filter: Option<&str>) -> f64 {
    let filter: Option<Filter> = filter.map(|text| text.parse().unwrap());
    let (mut found, mut wanted) = (0, 0);
    for query in points(50_000..50_040) {
        let search = |method| {
            let query = VectorQuery { method, filter: filter.clone(), ..VectorQuery::new(query.vector.clone(), 10) };
            store.store().search(&query).unwrap().remove(0)
        };
        let exact = search(SearchMethod::Exact);
        let graph = search(SearchMethod::Graph { ef: 0 });
        assert!(graph.is_sorted_by(|a, b| a.score >= b.score));
        wanted += exact.len();
        found += exact.iter().filter(|hit| graph.iter().any(|other| other.id == hit.id)).count();
    }
    found as f64 / wanted as f64
}

#[test]
fn the_graph_is_made_extended_and_finds_nearly_all() {
    let folder = tempfile::tempdir().unwrap();
    let settings = GraphSettings { exact_values: 1000 * DIM, ..GraphSettings::default() };
    let store = bare(folder.path(), DIM, settings.clone());
    upsert(&store, &points(0..900));
    optimize(&store);
    assert!(store.store().stats().unwrap().graph.is_none(), "so few are searched exactly");

    upsert(&store, &points(900..3000));
    optimize(&store);
    let graph = store.store().stats().unwrap().graph.unwrap();
    assert_eq!(graph.rows, 3000);
    assert!(graph.recall_at_10 >= settings.recall_at_10, "{graph:?}");
    assert!(recall(&store, None) >= 0.95);

    // New rows are found before the graph knows them, removed ones are not found although it does.
    let newest = points(3000..3010);
    upsert(&store, &newest);
    let removed = points(0..500);
    store.writer().unwrap().remove(&removed.iter().map(|point| point.id).collect::<Vec<_>>()).unwrap();
    let auto = |vector: &[f32]| store.store().search(&VectorQuery::new(vector.to_vec(), 1)).unwrap()[0][0].id;
    assert!(newest.iter().all(|point| auto(&point.vector) == point.id));
    assert!(removed.iter().take(20).all(|point| auto(&point.vector) != point.id));
    assert!(recall(&store, Some("number >= 1000")) >= 0.95);

    upsert(&store, &points(3010..3400));
    optimize(&store);
    assert_eq!(store.store().stats().unwrap().graph.unwrap().rows, 3400);
    assert!(recall(&store, None) >= 0.95);
    drop(store);

    let reopened = Index::open(folder.path()).unwrap();
    assert_eq!(reopened.store().stats().unwrap().graph.unwrap().rows, 3400);
    assert!(damage(&reopened).is_empty());
    // The graph that was replaced is gone: there is one of each.
    [".usearch", ".hnsw"].into_iter().for_each(|ending| drop(stored_file(folder.path(), ending)));
}

#[test]
fn without_its_files_search_is_exact_and_the_graph_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let settings = GraphSettings { exact_values: 0, ..GraphSettings::default() };
    let store = bare(folder.path(), DIM, settings.clone());
    upsert(&store, &points(0..1000));
    optimize(&store);
    drop(store);
    let searched = stored_file(folder.path(), ".hnsw");
    let whole = std::fs::read(&searched).unwrap();
    let mut flipped = whole.clone();
    flipped[70_000] ^= 1;
    for (bytes, told) in
        [(Some(&whole[..whole.len() / 2]), "cut off"), (Some(&flipped[..]), "checksum"), (None, "cannot read")]
    {
        match bytes {
            Some(bytes) => std::fs::write(&searched, bytes).unwrap(),
            None => std::fs::remove_file(&searched).unwrap(),
        }
        let store = Index::open(folder.path()).unwrap();
        let problems = damage(&store);
        assert!(problems.len() == 1 && problems[0].contains(told), "{told}: {problems:?}");
        assert!(store.store().stats().unwrap().graph.is_none(), "{told}: search is exact");
        assert!(recall(&store, None) >= 0.95);
    }
    let store = Index::open(folder.path()).unwrap();
    optimize(&store);
    assert!(damage(&store).is_empty());
    assert_eq!(store.store().stats().unwrap().graph.unwrap().rows, 1000);

    // usearch's own file is needed to add rows alone.
    std::fs::write(stored_file(folder.path(), ".usearch"), b"damaged").unwrap();
    upsert(&store, &points(1000..1200));
    optimize(&store);
    assert_eq!(store.store().stats().unwrap().graph.unwrap().rows, 1200);
    assert!(recall(&store, None) >= 0.95);
}

/// Too few rows to leave any out for measuring.
#[test]
fn a_graph_of_a_handful_of_rows_finds_them() {
    for count in [1, 3, 8] {
        let folder = tempfile::tempdir().unwrap();
        let settings = GraphSettings { exact_values: 0, ..GraphSettings::default() };
        let store = bare(folder.path(), DIM, settings);
        let points = points(0..count);
        upsert(&store, &points);
        optimize(&store);
        assert_eq!(store.store().stats().unwrap().graph.unwrap().rows, count);
        for point in &points {
            assert_eq!(store.store().search(&VectorQuery::new(point.vector.clone(), 1)).unwrap()[0][0].id, point.id);
        }
    }
}

#[test]
fn many_threads_search_one_graph() {
    let folder = tempfile::tempdir().unwrap();
    let settings = GraphSettings { exact_values: 0, ..GraphSettings::default() };
    let store = bare(folder.path(), DIM, settings);
    let points = points(0..1200);
    upsert(&store, &points);
    optimize(&store);
    let found = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let (store, points, found) = (&store, &points, &found);
            scope.spawn(move || {
                for point in points.iter().skip(thread).step_by(16) {
                    let method = SearchMethod::Graph { ef: 64 };
                    let query = VectorQuery { method, ..VectorQuery::new(point.vector.clone(), 5) };
                    let first = store.store().search(&query).unwrap()[0][0].id;
                    found.fetch_add(usize::from(first == point.id), std::sync::atomic::Ordering::Relaxed);
                }
            });
        }
    });
    let found = found.into_inner();
    assert!(found >= 1150, "{found} of 1200 found themselves");
}

/// The file that is handed to a C++ library is compared with its checksum first, and `check` reads it.
#[test]
fn a_flipped_bit_in_usearchs_file_is_told_and_the_file_not_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let store = bare(folder.path(), DIM, GraphSettings { exact_values: 0, ..GraphSettings::default() });
    upsert(&store, &points(0..1000));
    optimize(&store);
    let file = stored_file(folder.path(), ".usearch");
    let mut bytes = std::fs::read(&file).unwrap();
    // In the nodes: the edge lists that usearch follows without a look at where they lead.
    for place in (bytes.len() / 2..bytes.len()).step_by(7) {
        bytes[place] ^= 0x5a;
    }
    std::fs::write(&file, &bytes).unwrap();
    let problems = damage(&store);
    assert!(problems.len() == 1 && problems[0].contains("usearch") && problems[0].contains("checksum"), "{problems:?}");
    upsert(&store, &points(1000..1200));
    optimize(&store);
    assert!(damage(&store).is_empty());
    assert!(recall(&store, None) >= 0.95, "all rows were added again");
}

/// The recall that is stated is that of the searches that follow, also after many rows were removed.
#[test]
fn recall_is_measured_again_after_many_removals() {
    let folder = tempfile::tempdir().unwrap();
    let store = bare(folder.path(), DIM, GraphSettings { exact_values: 0, ..GraphSettings::default() });
    let all = points(0..2000);
    upsert(&store, &all);
    optimize(&store);
    let stats = |store: &Index| store.store().stats().unwrap().graph.unwrap();
    let before = stats(&store);
    assert_eq!((before.tombstones, before.recall_queries), (0, 200));
    let removed: Vec<PointId> = all.iter().step_by(3).map(|point| point.id).collect();
    store.writer().unwrap().remove(&removed[..100]).unwrap();
    optimize(&store);
    assert_eq!(stats(&store), before, "a few removals change little");
    store.writer().unwrap().remove(&removed).unwrap();
    optimize(&store);
    let after = stats(&store);
    assert_eq!((after.tombstones, after.rows), (removed.len(), 2000));
    assert!(after.recall_queries > 100 && after.recall_at_10 >= 0.97, "{after:?}");
    upsert(&store, &points(2000..2400));
    optimize(&store);
    let extended = stats(&store);
    // New rows alone would be a sixth of the sample.
    assert!(extended.rows == 2400 && extended.recall_queries > 100, "{extended:?}");
}
