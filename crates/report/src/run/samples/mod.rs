//! From the embeddings of methods to what a report shows of them.
//!
//! Figures are those of the evaluation; everything else is looked at in samples of bounded size, so that a report of a
//! million images takes seconds and megabytes, too. Samples are drawn with the run's seed. Who searches among whom is
//! what the evaluation next to them says: queries, gallery, distractors.
//!
//! `rankings` finds neighbors and chooses queries, `classes` judges classes, `pairs` and `places` look at pairs of
//! images and at the map.

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
