//! Exact search against a full sort.

use kinsight_retrieval::{KnnConfig, Neighbor, RetrievalError, UnitEmbeddings, search, search_self};
use proptest::prelude::*;

fn rows(seed: u64, rows: usize, dim: usize) -> UnitEmbeddings {
    let value =
        |i: u64| ((seed ^ i.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 40) as f32;
    let values = (0..(rows * dim) as u64).map(|i| value(i) / 8_388_608.0 - 1.0 + 1e-4).collect();
    UnitEmbeddings::new(values, dim).unwrap()
}

/// Scores of a ranking must match those of a full sort; indices may differ where scores are equal to rounding.
fn same_ranking(found: &[Neighbor], query: &[f32], gallery: &UnitEmbeddings, without: Option<usize>) {
    let score = |item: usize| -> f32 { query.iter().zip(gallery.row(item)).map(|(&a, &b)| a * b).sum() };
    let mut sorted: Vec<f32> = (0..gallery.len()).filter(|&item| Some(item) != without).map(score).collect();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let mut seen = Vec::new();
    for (neighbor, expected) in found.iter().zip(sorted) {
        assert!((neighbor.score() - expected).abs() < 1e-5);
        assert!((neighbor.score() - score(neighbor.index() as usize)).abs() < 1e-5);
        assert_ne!(Some(neighbor.index() as usize), without);
        seen.push(neighbor.index());
    }
    assert!(found.is_sorted_by(|a, b| a > b));
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), found.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn top_k_equals_full_sort(seed in any::<u64>(), n in 2_usize..700, dim in 1_usize..20, k in 1_usize..800, mib in 1_usize..40) {
        let embeddings = rows(seed, n, dim);
        let config = KnnConfig { k, max_memory_bytes: mib << 20 };
        match search_self(&embeddings, &config) {
            Ok(neighbors) => {
                prop_assert_eq!((neighbors.len(), neighbors.k()), (n, k.min(n - 1)));
                for (query, found) in neighbors.rows().enumerate() {
                    same_ranking(found, embeddings.row(query), &embeddings, Some(query));
                }
            }
            Err(RetrievalError::Memory { needed, .. }) => prop_assert!(needed > mib << 20),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn top_k_of_a_gallery_equals_full_sort(seed in any::<u64>(), q in 1_usize..40, n in 1_usize..1200, k in 1_usize..60) {
        let (queries, gallery) = (rows(seed, q, 8), rows(seed ^ 1, n, 8));
        let neighbors = search(&queries, &gallery, &KnnConfig { k, ..KnnConfig::default() }).unwrap();
        prop_assert_eq!((neighbors.len(), neighbors.k()), (q, k.min(n)));
        for (query, found) in neighbors.rows().enumerate() {
            same_ranking(found, queries.row(query), &gallery, None);
        }
    }
}

#[test]
fn ties_go_to_the_lower_index_and_duplicates_are_found() {
    let embeddings = UnitEmbeddings::new([1.0, 0.0].repeat(1200), 2).unwrap();
    let neighbors = search_self(&embeddings, &KnnConfig { k: 3, ..KnnConfig::default() }).unwrap();
    let indices = |query: usize| neighbors.row(query).iter().map(|neighbor| neighbor.index()).collect::<Vec<_>>();
    assert_eq!(indices(0), [1, 2, 3]);
    assert_eq!(indices(1), [0, 2, 3]);
    assert_eq!(indices(1199), [0, 1, 2]);
}

#[test]
fn threads_do_not_matter() {
    let (embeddings, queries) = (rows(5, 1500, 16), rows(6, 77, 16));
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let config = KnnConfig { k: 40, ..KnnConfig::default() };
        pool.install(|| (search_self(&embeddings, &config).unwrap(), search(&queries, &embeddings, &config).unwrap()))
    };
    let reference = run(1);
    assert_eq!(run(2), reference);
    assert_eq!(run(5), reference);
}

#[test]
fn memory_too_small_names_what_is_needed_and_that_much_is_enough() {
    let embeddings = rows(7, 3000, 4);
    let config = |max_memory_bytes| KnnConfig { k: 100, max_memory_bytes };
    let Err(RetrievalError::Memory { allowed: 5000, needed }) = search_self(&embeddings, &config(5000)) else {
        panic!("5000 bytes cannot be enough");
    };
    let tight = search_self(&embeddings, &config(needed)).unwrap();
    let roomy = search_self(&embeddings, &config(1 << 30)).unwrap();
    assert!(tight.rows().eq(roomy.rows()));
}

#[test]
fn what_cannot_be_searched_is_refused() {
    let embeddings = rows(8, 3, 4);
    assert!(matches!(
        search_self(&embeddings, &KnnConfig { k: 0, ..KnnConfig::default() }),
        Err(RetrievalError::Setting { name: "k", .. })
    ));
    assert!(matches!(search_self(&rows(8, 1, 4), &KnnConfig::default()), Err(RetrievalError::Empty { .. })));
    assert!(matches!(
        search(&embeddings, &rows(8, 3, 5), &KnnConfig::default()),
        Err(RetrievalError::WidthMismatch { queries: 4, gallery: 5 })
    ));
    let none = UnitEmbeddings::new(vec![], 4).unwrap();
    assert!(matches!(search(&embeddings, &none, &KnnConfig::default()), Err(RetrievalError::Empty { .. })));
    assert!(search(&none, &embeddings, &KnnConfig::default()).unwrap().is_empty());
}
