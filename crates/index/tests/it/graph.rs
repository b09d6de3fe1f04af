//! The graph: made beyond the limit, extended, and judged against exact search.

use kinsight_index::{
    Filter, GraphSettings, LocalStore, Payload, Point, PointId, SearchMethod, Value, VectorQuery, VectorStore,
};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

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

fn recall(store: &LocalStore, filter: Option<&str>) -> f64 {
    let filter: Option<Filter> = filter.map(|text| text.parse().unwrap());
    let (mut found, mut wanted) = (0, 0);
    for query in points(50_000..50_040) {
        let search = |method| {
            let query = VectorQuery { method, filter: filter.clone(), ..VectorQuery::new(query.vector.clone(), 10) };
            store.search(&query).unwrap().remove(0)
        };
        let exact = search(SearchMethod::Exact);
        let graph = search(SearchMethod::Graph { expansion: 0 });
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
    let store = LocalStore::create(folder.path(), DIM, settings.clone()).unwrap();
    store.upsert(&points(0..900)).unwrap();
    store.optimize(&|_, _| ()).unwrap();
    assert!(store.stats().unwrap().graph.is_none(), "so few are searched exactly");

    store.upsert(&points(900..3000)).unwrap();
    store.optimize(&|_, _| ()).unwrap();
    let graph = store.stats().unwrap().graph.unwrap();
    assert_eq!(graph.rows, 3000);
    assert!(graph.recall_at_10 >= settings.recall_at_10, "{graph:?}");
    assert!(recall(&store, None) >= 0.95);

    // New rows are found before the graph knows them, removed ones are not found although it does.
    let newest = points(3000..3010);
    store.upsert(&newest).unwrap();
    let removed = points(0..500);
    store.remove(&removed.iter().map(|point| point.id).collect::<Vec<_>>()).unwrap();
    let auto = |vector: &[f32]| store.search(&VectorQuery::new(vector.to_vec(), 1)).unwrap()[0][0].id;
    assert!(newest.iter().all(|point| auto(&point.vector) == point.id));
    assert!(removed.iter().take(20).all(|point| auto(&point.vector) != point.id));
    assert!(recall(&store, Some("number >= 1000")) >= 0.95);

    store.upsert(&points(3010..3400)).unwrap();
    store.optimize(&|_, _| ()).unwrap();
    assert_eq!(store.stats().unwrap().graph.unwrap().rows, 3400);
    assert!(recall(&store, None) >= 0.95);
    drop(store);

    let reopened = LocalStore::open(folder.path(), settings).unwrap();
    assert_eq!(reopened.stats().unwrap().graph.unwrap().rows, 3400);
    assert!(reopened.check(&|_, _| ()).unwrap().is_empty());
    let files = std::fs::read_dir(folder.path()).unwrap();
    let graphs = files.filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().ends_with(".usearch"));
    assert_eq!(graphs.count(), 1, "the graph that was replaced is gone");
}

#[test]
fn without_its_files_search_is_exact_and_the_graph_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let settings = GraphSettings { exact_values: 0, ..GraphSettings::default() };
    let store = LocalStore::create(folder.path(), DIM, settings.clone()).unwrap();
    store.upsert(&points(0..1000)).unwrap();
    store.optimize(&|_, _| ()).unwrap();
    drop(store);
    let walk = folder.path().join("graph-1000.walk");
    let whole = std::fs::read(&walk).unwrap();
    let mut flipped = whole.clone();
    flipped[70_000] ^= 1;
    for (damage, told, works) in [
        (Some(&whole[..whole.len() / 2]), "cut off", false),
        (Some(&flipped[..]), "checksum", true),
        (None, "cannot open", false),
    ] {
        match damage {
            Some(bytes) => std::fs::write(&walk, bytes).unwrap(),
            None => std::fs::remove_file(&walk).unwrap(),
        }
        let store = LocalStore::open(folder.path(), settings.clone()).unwrap();
        let problems = store.check(&|_, _| ()).unwrap();
        assert!(problems.len() == 1 && problems[0].contains(told), "{told}: {problems:?}");
        assert_eq!(store.stats().unwrap().graph.is_some(), works, "{told}");
        assert!(recall(&store, None) >= 0.95);
    }
    let store = LocalStore::open(folder.path(), settings.clone()).unwrap();
    store.optimize(&|_, _| ()).unwrap();
    assert!(store.check(&|_, _| ()).unwrap().is_empty());
    assert_eq!(store.stats().unwrap().graph.unwrap().rows, 1000);

    // usearch's own file is needed to add rows alone.
    std::fs::write(folder.path().join("graph-1000.usearch"), b"damaged").unwrap();
    store.upsert(&points(1000..1200)).unwrap();
    store.optimize(&|_, _| ()).unwrap();
    assert_eq!(store.stats().unwrap().graph.unwrap().rows, 1200);
    assert!(recall(&store, None) >= 0.95);
}

/// Too few rows to leave any out for measuring.
#[test]
fn a_graph_of_a_handful_of_rows_finds_them() {
    for count in [1, 3, 8] {
        let folder = tempfile::tempdir().unwrap();
        let settings = GraphSettings { exact_values: 0, ..GraphSettings::default() };
        let store = LocalStore::create(folder.path(), DIM, settings).unwrap();
        let points = points(0..count);
        store.upsert(&points).unwrap();
        store.optimize(&|_, _| ()).unwrap();
        assert_eq!(store.stats().unwrap().graph.unwrap().rows, count);
        for point in &points {
            assert_eq!(store.search(&VectorQuery::new(point.vector.clone(), 1)).unwrap()[0][0].id, point.id);
        }
    }
}

#[test]
fn many_threads_search_one_graph() {
    let folder = tempfile::tempdir().unwrap();
    let settings = GraphSettings { exact_values: 0, ..GraphSettings::default() };
    let store = LocalStore::create(folder.path(), DIM, settings).unwrap();
    let points = points(0..1200);
    store.upsert(&points).unwrap();
    store.optimize(&|_, _| ()).unwrap();
    let found = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let (store, points, found) = (&store, &points, &found);
            scope.spawn(move || {
                for point in points.iter().skip(thread).step_by(16) {
                    let method = SearchMethod::Graph { expansion: 64 };
                    let query = VectorQuery { method, ..VectorQuery::new(point.vector.clone(), 5) };
                    let first = store.search(&query).unwrap()[0][0].id;
                    found.fetch_add(usize::from(first == point.id), std::sync::atomic::Ordering::Relaxed);
                }
            });
        }
    });
    let found = found.into_inner();
    assert!(found >= 1150, "{found} of 1200 found themselves");
}
