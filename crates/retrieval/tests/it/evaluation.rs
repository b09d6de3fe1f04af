//! Evaluation against plain definitions, and what must not change its figures.

use kinsight_retrieval::metrics::{self, Ranking};
use kinsight_retrieval::{
    BootstrapConfig, EvalConfig, KMeansConfig, UnitEmbeddings, evaluate_query_gallery, evaluate_roles, evaluate_self,
};
use proptest::prelude::*;

/// Rows from a coarse grid, so that ties and duplicates are common, and labels of uneven class sizes.
fn labeled(max_rows: usize) -> impl Strategy<Value = (UnitEmbeddings, Vec<i64>)> {
    (2..max_rows, 1_usize..5).prop_flat_map(|(rows, dim)| {
        let values = prop::collection::vec(-2_i8..3, rows * dim);
        (values, prop::collection::vec(0_i64..6, rows)).prop_map(move |(values, mut labels)| {
            let mut values: Vec<f32> = values.into_iter().map(f32::from).collect();
            for row in values.chunks_mut(dim) {
                if row.iter().all(|&value| value == 0.0) {
                    row[0] = 1.0;
                }
            }
            labels[1] = labels[0];
            (UnitEmbeddings::new(values, dim).unwrap(), labels)
        })
    })
}

/// Ranks by a full sort of `f64` scores, ties to the lower index.
fn ranks(queries: &UnitEmbeddings, gallery: &UnitEmbeddings, same: bool, ql: &[i64], gl: &[i64]) -> Vec<Vec<u32>> {
    (0..queries.len())
        .map(|query| {
            let mut order: Vec<(f64, usize)> = (0..gallery.len())
                .filter(|&item| !(same && item == query))
                .map(|item| {
                    let pairs = queries.row(query).iter().zip(gallery.row(item));
                    (pairs.fold(0.0, |sum, (&a, &b)| sum + f64::from(a) * f64::from(b)), item)
                })
                .collect();
            order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            let relevant = order.iter().zip(1_u32..).filter(|((_, item), _)| gl[*item] == ql[query]);
            relevant.map(|(_, rank)| rank).collect()
        })
        .collect()
}

fn all_metrics(ks: Vec<usize>) -> EvalConfig {
    EvalConfig { ks, full_ranking: true, variants: true, ..EvalConfig::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn figures_are_those_of_sorted_rankings((embeddings, labels) in labeled(80), k in 1_usize..90, full in any::<bool>()) {
        let config = EvalConfig { full_ranking: full, ..all_metrics(vec![k]) };
        let evaluation = evaluate_self(&embeddings, &labels, &config).unwrap();
        let ranks = ranks(&embeddings, &embeddings, true, &labels, &labels);
        let rankings: Vec<_> =
            ranks.iter().filter(|r| !r.is_empty()).map(|r| Ranking { ranks: r, relevant: r.len() }).collect();
        prop_assert_eq!(evaluation.queries_without_reference, labels.len() - rankings.len());
        let mean = |score: &dyn Fn(&Ranking<'_>) -> f64| rankings.iter().map(score).sum::<f64>() / rankings.len() as f64;
        let mut expected = vec![
            (format!("recall@{k}/with_reference_only"), mean(&|r| metrics::recall_at_k(r, k))),
            (format!("precision@{k}"), mean(&|r| metrics::precision_at_k(r, k))),
            (format!("ndcg@{k}"), mean(&|r| metrics::ndcg_at_k(r, k))),
            ("map@r".to_owned(), mean(&metrics::map_at_r)),
            ("map@r/counting_query".to_owned(), mean(&metrics::map_at_r_counting_query)),
            ("r_precision".to_owned(), mean(&metrics::r_precision)),
        ];
        if full {
            expected.push(("map".to_owned(), mean(&metrics::average_precision)));
            expected.push(("mrr".to_owned(), mean(&metrics::reciprocal_rank)));
        }
        for (name, value) in expected {
            let found = evaluation.get(&name).unwrap();
            prop_assert!((found - value).abs() < 1e-12, "{}: expected {}, found {}", name, value, found);
        }
        prop_assert!(evaluation.metrics.values().all(|value| (0.0..=1.0 + 1e-12).contains(value)));
    }

    #[test]
    fn names_of_labels_do_not_matter((embeddings, labels) in labeled(60)) {
        let renamed: Vec<i64> = labels.iter().map(|&label| 1000 - 7 * label).collect();
        let config = all_metrics(vec![1, 3]);
        let (a, b) = (evaluate_self(&embeddings, &labels, &config), evaluate_self(&embeddings, &renamed, &config));
        prop_assert_eq!(a.unwrap().metrics, b.unwrap().metrics);
    }

    #[test]
    fn order_of_rows_does_not_matter(seed in any::<u64>(), rows in 2_usize..60) {
        // Continuous values, so that no tie is broken by the index.
        let value = |i: u64| ((seed ^ i.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 40) as f32;
        let values: Vec<f32> = (0..rows as u64 * 3).map(|i| value(i) / 8_388_608.0 - 1.0).collect();
        let embeddings = UnitEmbeddings::new(values, 3).unwrap();
        let labels: Vec<i64> = (0..rows as i64).map(|i| (i * i) % 4).chain([0]).take(rows).collect();
        prop_assume!(rows > 2);
        let order: Vec<usize> = (0..rows).rev().collect();
        let shuffled: Vec<i64> = order.iter().map(|&row| labels[row]).collect();
        let config = all_metrics(vec![1, 3]);
        let a = evaluate_self(&embeddings, &labels, &config).unwrap();
        let b = evaluate_self(&embeddings.select(&order).unwrap(), &shuffled, &config).unwrap();
        for (name, value) in &a.metrics {
            prop_assert!((value - b.metrics[name]).abs() < 1e-12, "{}", name);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn asking_twice_changes_nothing_and_a_copy_is_found((embeddings, labels) in labeled(50), split in 1_usize..49) {
        let split = split.min(labels.len() - 1);
        let (asking, answering): (Vec<usize>, Vec<usize>) = (0..labels.len()).partition(|&row| row < split);
        let of = |rows: &[usize]| -> Vec<i64> { rows.iter().map(|&row| labels[row]).collect() };
        let gallery = embeddings.select(&answering).unwrap();
        let ask = |rows: &[usize]| {
            let queries = embeddings.select(rows).unwrap();
            evaluate_query_gallery(&queries, &of(rows), &gallery, &of(&answering), &all_metrics(vec![1, 3]))
        };
        // A draw in which no query has a relevant item is refused by both.
        if let (Ok(once), Ok(twice)) = (ask(&asking), ask(&[&asking[..], &asking].concat())) {
            for (name, value) in &once.metrics {
                prop_assert!((value - twice.metrics[name]).abs() < 1e-12, "{}", name);
            }
        }
        // Beside a copy of everything, each query has its copy at similarity one, of its own class.
        let both: Vec<usize> = (0..labels.len()).chain(0..labels.len()).collect();
        let found = evaluate_self(&embeddings.select(&both).unwrap(), &of(&both), &all_metrics(vec![1])).unwrap();
        prop_assert_eq!(found.queries_without_reference, 0);
        prop_assert!(found.metrics["mrr"] > 0.0 && found.metrics["recall@1"] > 0.0);
    }

    #[test]
    fn roles_are_the_other_protocols_in_one((embeddings, labels) in labeled(60), cut in 1_usize..59) {
        let all: Vec<usize> = (0..labels.len()).collect();
        let config = all_metrics(vec![1, 2]);
        let itself = evaluate_self(&embeddings, &labels, &config).unwrap();
        prop_assert_eq!(evaluate_roles(&embeddings, &labels, &all, &all, &config).unwrap(), itself.clone());
        let (asking, answering) = all.split_at(cut.min(labels.len() - 1));
        let of = |rows: &[usize]| -> Vec<i64> { rows.iter().map(|&row| labels[row]).collect() };
        let apart = evaluate_query_gallery(
            &embeddings.select(asking).unwrap(),
            &of(asking),
            &embeddings.select(answering).unwrap(),
            &of(answering),
            &config,
        );
        if let Ok(apart) = apart {
            prop_assert_eq!(evaluate_roles(&embeddings, &labels, asking, answering, &config).unwrap(), apart);
        }
        // Some ask, all answer: the self-search's own figures of those queries.
        if let Ok(some) = evaluate_roles(&embeddings, &labels, asking, &all, &config) {
            for class in &some.classes {
                let same = itself.classes.iter().find(|other| other.label == class.label).unwrap();
                prop_assert!(class.queries < same.queries || class == same);
            }
        }
    }
}

/// Over several blocks, with every memory setting and every number of threads: the same figures, to the last bit.
#[test]
fn memory_and_threads_do_not_matter() {
    let rows = 1300;
    let values: Vec<f32> = (0..rows * 6).map(|i| ((i * i + 3 * i) as f32 * 0.137).sin()).collect();
    let embeddings = UnitEmbeddings::new(values, 6).unwrap();
    let labels: Vec<i64> = (0..rows as i64).map(|i| (i * 37) % 90).collect();
    let config = |max_memory_bytes| EvalConfig { max_memory_bytes, ..all_metrics(vec![1, 10, 100]) };
    let reference = evaluate_self(&embeddings, &labels, &config(1 << 30)).unwrap();
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        for bytes in [1_080_000, 1_200_000, 20 << 20] {
            let found = pool.install(|| evaluate_self(&embeddings, &labels, &config(bytes))).unwrap();
            assert_eq!(found, reference, "{threads} threads, {bytes} bytes");
        }
    }
}

#[test]
fn a_query_finds_its_duplicate_but_not_itself() {
    let embeddings = UnitEmbeddings::new(vec![1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0], 2).unwrap();
    // Item 1 is a duplicate of item 0 under another label and stands before item 2, whose score is the same.
    let evaluation = evaluate_self(&embeddings, &[4, 5, 4, 5], &all_metrics(vec![1, 2])).unwrap();
    assert_eq!(evaluation.recall_at(1), Some(0.25));
    assert_eq!(evaluation.recall_at(2), Some(0.75));
}

#[test]
fn distractors_and_unknown_queries_are_counted() {
    let gallery = UnitEmbeddings::new(vec![1.0, 0.0, 0.0, 1.0, 1.0, 1.0], 2).unwrap();
    let queries = UnitEmbeddings::new(vec![1.0, 0.1, 0.1, 1.0], 2).unwrap();
    let evaluation = evaluate_query_gallery(&queries, &[1, 99], &gallery, &[1, 2, -1], &EvalConfig::default()).unwrap();
    assert_eq!(evaluation.queries_without_reference, 1);
    assert_eq!(evaluation.recall_at(1), Some(0.5));
    assert_eq!(evaluation.get("recall@1/with_reference_only"), Some(1.0));
    assert_eq!(evaluation.worst_classes(9).len(), 1);
}

#[test]
fn classes_are_ranked_by_their_scores() {
    let embeddings = UnitEmbeddings::new(vec![1.0, 0.0, 1.0, 0.1, 0.0, 1.0, 1.0, 0.3], 2).unwrap();
    let evaluation = evaluate_self(&embeddings, &[1, 1, 2, 2], &EvalConfig::default()).unwrap();
    assert_eq!(
        evaluation.classes.iter().map(|class| (class.label, class.queries)).collect::<Vec<_>>(),
        [(1, 2), (2, 2)]
    );
    assert_eq!(evaluation.worst_classes(1)[0].label, 2);
    assert_eq!(evaluation.best_classes(1)[0].label, 1);
}

#[test]
fn everything_at_once_serializes_and_hangs_together() {
    let rows = 400;
    let values = (0..rows * 4).map(|i| ((i % (4 * 20)) as f32).cos() + 0.6 * ((i * i) as f32 * 0.3).sin()).collect();
    let embeddings = UnitEmbeddings::new(values, 4).unwrap();
    let labels: Vec<i64> = (0..rows as i64).map(|row| row % 20).collect();
    let config = EvalConfig {
        cmc_depth: 30,
        bootstrap: Some(BootstrapConfig::default()),
        clustering: Some(KMeansConfig::default()),
        false_match_rates: Some(vec![0.1, 0.01]),
        ..all_metrics(vec![1, 10])
    };
    let evaluation = evaluate_self(&embeddings, &labels, &config).unwrap();
    for (name, value) in &evaluation.metrics {
        let interval = evaluation.intervals[name];
        assert!(interval.low <= *value && *value <= interval.high, "{name}: {value} outside {interval:?}");
    }
    assert_eq!(Some(evaluation.cmc[9]), evaluation.recall_at(10));
    assert!(evaluation.cmc.is_sorted() && evaluation.cmc.len() == 30);
    let pairs = evaluation.pairs.as_ref().unwrap();
    assert_eq!((pairs.genuine, pairs.genuine + pairs.impostor), (20 * 190, 400 * 399 / 2));
    assert!(pairs.equal_error_rate.unwrap() < 0.5 && pairs.area_under_roc.unwrap() > 0.5);
    assert!(pairs.operating_points[0].fnmr <= pairs.operating_points[1].fnmr);
    assert!(evaluation.clustering.as_ref().unwrap().nmi > 0.2);
    let json = serde_json::to_value(&evaluation).unwrap();
    assert_eq!(json["metrics"]["map@r"].as_f64(), Some(evaluation.map_at_r()));
}

#[test]
fn what_cannot_be_judged_is_refused() {
    let embeddings = UnitEmbeddings::new(vec![1.0, 0.0, 0.0, 1.0], 2).unwrap();
    let message =
        |labels: &[i64], config: &EvalConfig| evaluate_self(&embeddings, labels, config).unwrap_err().to_string();
    let config = EvalConfig::default();
    assert_eq!(message(&[1], &config), "embeddings: 2 rows but 1 labels");
    assert_eq!(message(&[1, 2], &config), "the set of queries with a relevant item in the gallery is empty");
    let none = EvalConfig { ks: vec![3, 0], ..EvalConfig::default() };
    assert_eq!(message(&[1, 1], &none), "setting ks is [3, 0], expected a list of numbers from 1 up");
    let tight = EvalConfig { max_memory_bytes: 1000, ..EvalConfig::default() };
    assert!(message(&[1, 1], &tight).starts_with("max_memory_bytes is 1000, this search needs at least "));
}
