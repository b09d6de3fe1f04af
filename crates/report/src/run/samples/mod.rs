//! From the embeddings of methods to what a report shows of them.
//!
//! Figures are those of the evaluation; everything else is looked at in samples of bounded size, so that a report of a
//! million images takes seconds and megabytes, too. Samples are drawn with the run's seed. Who searches among whom is
//! what the evaluation next to them says: queries, gallery, distractors.
//!
//! `rankings` finds neighbors and chooses queries, `classes` judges classes, `pairs` and `places` look at pairs of images
//! and at the map.

mod classes;
mod pairs;
mod places;
mod rankings;

use std::borrow::Cow;
use std::path::Path;

use kinsight_data::Dataset;
use kinsight_retrieval::{Evaluation, RetrievalError, UnitEmbeddings};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::model::{EmbeddingMap, SimilarityDistribution};
use crate::pictures::{Picture, Thumbnails};

pub use rankings::Rankings;

/// What one method measured on the test set.
#[derive(Clone, Copy, Debug)]
pub struct MethodResult<'a> {
    /// The method's name.
    pub name: &'a str,
    /// A row for each image that could be read.
    pub embeddings: &'a UnitEmbeddings,
    /// The class of each row, an index into the names of the test set.
    pub labels: &'a [i64],
    /// Which image of the test set each row is.
    pub indices: &'a [usize],
    /// Rows that search, ascending.
    pub queries: &'a [usize],
    /// Rows that are searched, ascending; a row that is also a query is left out of its own results.
    pub gallery: &'a [usize],
    /// The figures.
    pub evaluation: &'a Evaluation,
}

impl MethodResult<'_> {
    /// Whether every row searches among all others.
    fn is_self_search(&self) -> bool {
        self.queries.len() == self.labels.len() && self.gallery.len() == self.labels.len()
    }

    /// The embeddings of the gallery, in its order.
    fn gallery_embeddings(&self) -> Result<Cow<'_, UnitEmbeddings>, RetrievalError> {
        match self.gallery.len() == self.labels.len() {
            true => Ok(Cow::Borrowed(self.embeddings)),
            false => Ok(Cow::Owned(self.embeddings.select(self.gallery)?)),
        }
    }
}

/// The methods of a report on one test set: first the baseline, last the one that the report is about.
#[derive(Debug)]
pub struct Samples<'a> {
    test: &'a Dataset,
    methods: Vec<MethodResult<'a>>,
    seed: u64,
    thumbnails: Thumbnails,
}

impl<'a> Samples<'a> {
    /// Samples drawn with `seed` of what `methods` measured on `test`.
    pub fn new(test: &'a Dataset, methods: Vec<MethodResult<'a>>, seed: u64) -> Self {
        Self { test, methods, seed, thumbnails: Thumbnails::default() }
    }

    /// How similar pairs of one class are and pairs of two, for each method.
    ///
    /// # Errors
    /// [`RetrievalError`] if there is not enough memory to compare them.
    pub fn similarities(&self) -> Result<Vec<SimilarityDistribution>, RetrievalError> {
        pairs::distributions(self)
    }

    /// The images as the last method places them; none with fewer than four.
    ///
    /// # Errors
    /// [`RetrievalError`] if they cannot be placed.
    pub fn map(&self) -> Result<Option<EmbeddingMap>, RetrievalError> {
        places::map(self)
    }

    /// Random numbers for one purpose, told from others by `stream`.
    fn rng(&self, stream: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(stream);
        rng
    }

    fn class_name(&self, label: i64) -> String {
        self.test.class_names.get(label as usize).cloned().unwrap_or_default()
    }

    /// The file of image `index` of the test set.
    fn path(&self, index: usize) -> &'a Path {
        self.test.items.get(index).map_or(Path::new(""), |item| item.path.as_path())
    }

    fn file_name(&self, index: usize) -> String {
        self.path(index).file_name().map(|name| name.to_string_lossy().to_string()).unwrap_or_default()
    }

    /// The thumbnail of image `index` of the test set.
    fn picture(&mut self, index: usize) -> Picture {
        let label = self.test.items.get(index).map_or_else(String::new, |item| self.class_name(item.label.into()));
        let (path, caption) = (self.path(index), self.file_name(index));
        self.thumbnails.get(index, path, label, caption)
    }

    /// A JPEG of image `index` with its class and file name.
    pub fn labeled(&self, index: usize, jpeg: Vec<u8>) -> Picture {
        let label = self.test.items.get(index).map_or_else(String::new, |item| self.class_name(item.label.into()));
        Picture::jpeg(label, self.file_name(index), jpeg)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use kinsight_data::dataset::Item;
    use kinsight_retrieval::{EvalConfig, evaluate_roles};

    use super::*;

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
        // Queries 0 and 1 are next to each other but not in the gallery: 0 must find 2 (right), 1 must find the distractor 4.
        let (angles, labels) = ([0.0, 0.05, -0.2, 0.9, 0.2, 0.95, 1.2], [0, 1, 0, 1, 2, 0, 1]);
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
            assert_eq!(worth, [(0, 4, false), (1, 4, false)].map(|pair| if pair.0 == 0 { (0, 2, true) } else { pair }));
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
}
