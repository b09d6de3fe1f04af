//! The local store: writes, reads, filters, searches.

use kinsight_index::{
    Cancel, Cursor, Filter, GraphSettings, Index, IndexError, Payload, Point, PointId, SearchMethod, Value, VectorQuery,
};
use proptest::prelude::*;

use crate::fixture::{bare, damage, point, stored_file, upsert};

fn store(folder: &tempfile::TempDir) -> Index {
    bare(folder.path(), 3, GraphSettings::default())
}

fn names(index: &Index, query: &VectorQuery) -> Vec<String> {
    let hits = index.store().search(query).unwrap().remove(0);
    hits.iter().map(|hit| hit.payload["path"].text()).collect()
}

#[test]
fn points_are_found_replaced_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let query = VectorQuery::new(vec![1.0, 0.0, 0.0], 3);
    assert!(store.store().search(&query).unwrap()[0].is_empty());
    upsert(&store, &[point("a", &[1.0, 0.1, 0.0]), point("b", &[0.5, 0.5, 0.0]), point("c", &[0.0, 1.0, 0.0])]);
    assert_eq!(names(&store, &query), ["a", "b", "c"]);
    upsert(&store, &[point("a", &[0.0, 0.0, 1.0]), point("d", &[1.0, 0.0, 0.0])]);
    assert_eq!(names(&store, &query), ["d", "b", "c"]);
    let id = |name: &str| PointId::of_path("test", name);
    assert_eq!(store.writer().unwrap().remove(&[id("d"), id("nobody")]).unwrap(), 1);
    assert_eq!(names(&store, &query), ["b", "c", "a"]);
    assert_eq!(names(&store, &VectorQuery { exclude: vec![id("b")], ..query }), ["c", "a"]);
    let found = store.store().get(&[id("b"), id("d")]).unwrap();
    assert_eq!(found[0].as_ref().unwrap().payload["path"], Value::from("b"));
    assert!(found[1].is_none());
    assert_eq!(store.store().len().unwrap(), 3);
    assert_eq!(store.store().stats().unwrap().tombstones, 2);
    assert!(damage(&store).is_empty());
}

#[test]
fn two_openings_see_each_others_writes() {
    let folder = tempfile::tempdir().unwrap();
    let first = store(&folder);
    let second = Index::open(folder.path()).unwrap();
    for i in 0..20 {
        upsert(&first, &[point(&format!("p{i}"), &[1.0, i as f32, 0.0])]);
        assert_eq!(second.store().len().unwrap(), i + 1);
    }
    second.writer().unwrap().remove(&[PointId::of_path("test", "p3")]).unwrap();
    assert_eq!(first.store().len().unwrap(), 19);
    assert!(!names(&first, &VectorQuery::new(vec![1.0, 0.0, 0.0], 30)).contains(&"p3".to_owned()));
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let long = Point { vector: vec![2.0, 0.0, 0.0], ..point("long", &[1.0, 0.0, 0.0]) };
    assert!(matches!(
        store.writer().unwrap().upsert(&[point("a", &[1.0, 0.0, 0.0]), long]),
        Err(IndexError::Setting { .. })
    ));
    assert!(matches!(
        store.writer().unwrap().upsert(&[point("wide", &[1.0; 4])]),
        Err(IndexError::Width { found: 4, expected: 3, .. })
    ));
    assert!(store.store().search(&VectorQuery::new(vec![1.0; 4], 1)).is_err());
    assert!(store.store().search(&VectorQuery::new(vec![1.0, 0.0, 0.0], 0)).is_err());
    assert_eq!(store.store().len().unwrap(), 0);
}

#[test]
fn a_flipped_bit_is_found_by_the_check() {
    let folder = tempfile::tempdir().unwrap();
    upsert(&store(&folder), &[point("a", &[1.0, 0.0, 0.0]), point("b", &[0.0, 1.0, 0.0])]);
    let rows = stored_file(folder.path(), "vectors.bin");
    let mut bytes = std::fs::read(&rows).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 0x10;
    std::fs::write(&rows, &bytes).unwrap();
    let damaged = Index::open(folder.path()).unwrap();
    let problems = damage(&damaged);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("checksum"));
    drop(damaged);
    std::fs::write(&rows, &bytes[..70]).unwrap();
    let Err(error) = Index::open(folder.path()) else { panic!("cut off") };
    assert!(error.to_string().contains("cut off"), "{error}");
}

#[test]
fn scrolling_visits_every_point_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let points: Vec<Point> = (0..50).map(|i| point(&format!("{i:02}"), &[1.0, i as f32, 0.5])).collect();
    upsert(&store, &points);
    store.writer().unwrap().remove(&[points[7].id, points[49].id]).unwrap();
    let filter: Filter = "path ~ '*3'".parse().unwrap();
    for (filter, expected) in [(None, 48), (Some(&filter), 5)] {
        let (mut seen, mut cursor) = (Vec::new(), Some(Cursor::default()));
        while let Some(start) = cursor {
            let (points, next) = store.store().scroll(start, 4, filter, &Cancel::new()).unwrap();
            assert!(points.len() <= 4);
            seen.extend(points.into_iter().map(|point| point.payload["path"].text()));
            cursor = next;
        }
        assert_eq!(seen.len(), expected);
        assert!(seen.is_sorted());
    }
}

fn payloads() -> impl Strategy<Value = Vec<Payload>> {
    let value = prop_oneof![
        "[ab]{0,2}".prop_map(Value::from),
        "[0-9]{1,2}".prop_map(Value::from),
        (-3_i8..4).prop_map(|n| Value::from(f64::from(n) / 2.0))
    ];
    let payload = prop::collection::btree_map(prop_oneof![Just("x"), Just("y")].prop_map(str::to_owned), value, 0..3);
    prop::collection::vec(payload, 1..12)
}

fn filters() -> impl Strategy<Value = String> {
    let value = prop_oneof!["'[ab]{0,2}'", "-?[0-9]{1,2}", "-?[0-2]\\.5", "'[ab*?]{1,3}'"];
    let sign = prop_oneof![Just("="), Just("!="), Just("<"), Just("<="), Just(">"), Just(">="), Just("~"), Just("!~")];
    let leaf = prop_oneof![
        ("[xyz]", sign, value.clone()).prop_map(|(name, sign, value)| format!("{name} {sign} {value}")),
        ("[xyz]", value.clone(), value).prop_map(|(name, a, b)| format!("{name} in ({a}, {b})")),
        "[xyz]".prop_map(|name| format!("{name} is missing")),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} and {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} or {b})")),
            inner.prop_map(|a| format!("not {a}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// The columns in the catalog and the payload itself must give the same answer.
    #[test]
    fn a_filter_finds_what_it_matches(payloads in payloads(), texts in prop::collection::vec(filters(), 12)) {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        let points: Vec<Point> = payloads
            .into_iter()
            .enumerate()
            .map(|(i, payload)| Point { payload, ..point(&i.to_string(), &[1.0, i as f32, 0.0]) })
            .collect();
        upsert(&store, &points);
        store.writer().unwrap().remove(&[points[0].id]).unwrap();
        for text in texts {
            let filter: Filter = text.parse().map_err(|error| TestCaseError::fail(format!("{error}")))?;
            let query = VectorQuery { filter: Some(filter.clone()), ..VectorQuery::new(vec![1.0, 0.0, 0.0], 50) };
            let mut found: Vec<PointId> = store.store().search(&query).unwrap()[0].iter().map(|hit| hit.id).collect();
            let mut expected: Vec<PointId> =
                points[1..].iter().filter(|point| filter.matches(&point.payload)).map(|point| point.id).collect();
            found.sort();
            expected.sort();
            prop_assert_eq!(found, expected, "{}", text);
        }
    }
}

#[test]
fn a_method_that_needs_a_graph_is_exact_without_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    upsert(&store, &[point("a", &[1.0, 0.0, 0.0]), point("b", &[0.0, 1.0, 0.0])]);
    let method = SearchMethod::Graph { ef: 64 };
    assert_eq!(names(&store, &VectorQuery { method, ..VectorQuery::new(vec![0.0, 1.0, 0.0], 1) }), ["b"]);
}
