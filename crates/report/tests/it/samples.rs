//! What a report shows of embeddings follows the protocol of its figures.

use std::path::PathBuf;

use kinsight_data::Dataset;
use kinsight_data::dataset::Item;
use kinsight_report::run::samples::{MethodResult, Rankings, Samples};
use kinsight_retrieval::{EvalConfig, UnitEmbeddings, evaluate_roles};

/// Images on a circle at `angles`, of the classes `labels`.
fn check(angles: &[f32], labels: &[i64], roles: [&[usize]; 2], look: impl Fn(Rankings<'_>, Samples<'_>)) {
    let values = angles.iter().flat_map(|angle| [angle.cos(), angle.sin()]).collect();
    let embeddings = UnitEmbeddings::new(values, 2).unwrap();
    let item = |(row, label): (usize, &i64)| Item {
        path: PathBuf::from(format!("{row}.jpg")),
        label: *label as u32,
        crop: None,
    };
    let test = Dataset {
        root: PathBuf::new(),
        items: labels.iter().enumerate().map(item).collect(),
        class_names: ["ant", "bee", "(distractors)"].map(str::to_owned).to_vec(),
    };
    let [queries, gallery] = roles;
    let evaluation = evaluate_roles(&embeddings, labels, queries, gallery, &EvalConfig::default()).unwrap();
    let indices: Vec<usize> = (0..labels.len()).collect();
    let method = |name| MethodResult {
        name,
        embeddings: &embeddings,
        labels,
        indices: &indices,
        queries,
        gallery,
        evaluation: &evaluation,
    };
    let samples = Samples::new(&test, vec![method("Zero-shot"), method("linear")], 0);
    look(Rankings::of(&samples).unwrap(), samples);
}

#[test]
fn what_is_shown_follows_the_protocol_of_the_figures() {
    // Queries 0 and 1 are next to each other but not in the gallery: 0 must find 2 (right), 1 must find the distractor
    // 4.
    let (angles, labels) = ([0.0, 0.05, -0.15, 0.9, 0.2, 0.95, 1.2], [0, 1, 0, 1, 2, 0, 1]);
    check(&angles, &labels, [&[0, 1], &[2, 3, 4, 5, 6]], |rankings, mut samples| {
        let grid = rankings.grid(&mut samples);
        assert_eq!(grid.note, "The protocol's 2 queries are searched among its 5 gallery images.");
        for row in &grid.rows {
            assert!(["0.jpg", "1.jpg"].contains(&row.query.caption.as_str()), "{} never searches", row.query.caption);
            let hits: Vec<&str> = row.rankings[0].hits.iter().map(|hit| hit.picture.caption.as_str()).collect();
            assert_eq!(hits.len(), 5);
            assert!(!hits.contains(&"0.jpg") && !hits.contains(&"1.jpg"), "{hits:?} are not all in the gallery");
        }
        // As Recall@1 has it: one of two.
        let worth = rankings.worth_explaining(5);
        assert_eq!(worth, [(1, 4, false), (0, 2, true)]);
        let confusion = rankings.confusion(&mut samples).unwrap();
        assert_eq!(confusion.among, "the 5 nearest images");
        assert!(confusion.pairs.iter().any(|pair| pair.taken_for == "(distractors)"));
        assert!(confusion.classes.iter().all(|class| class != "(distractors)"), "they never search");
        let scores = rankings.class_scores(&mut samples).unwrap();
        assert_eq!(scores.worst.iter().chain(&scores.best).map(|class| class.images).max(), Some(1));
        // Pairs of a query and a gallery image: 2 x 5, three of one class.
        let similarities = samples.similarities().unwrap();
        assert_eq!(similarities[0].pairs, (4, 6));
        let map = samples.map().unwrap().unwrap();
        let astray: Vec<&str> =
            map.points.iter().filter(|point| point.astray).map(|point| point.caption.as_str()).collect();
        assert_eq!(astray, ["1.jpg"], "only a query can be astray");
    });
}

#[test]
fn every_image_searches_the_others_without_a_protocol() {
    let all = [0, 1, 2, 3];
    check(&[0.0, 0.1, 1.0, 1.1], &[0, 0, 1, 1], [&all, &all], |rankings, mut samples| {
        let grid = rankings.grid(&mut samples);
        assert_eq!(grid.note, "Each query is searched among the 3 other test images.");
        for row in &grid.rows {
            assert!(row.rankings[1].hits.iter().all(|hit| hit.picture.caption != row.query.caption));
            assert!(row.rankings[1].hits[0].correct);
        }
        assert!(samples.map().unwrap().unwrap().points.iter().all(|point| !point.astray));
        assert_eq!(samples.similarities().unwrap()[1].pairs, (2, 4));
    });
}
