//! The report of a run: learning curves, results, and above all the pictures themselves: what the backbone found
//! before, what it finds now, and which of it is wrong.
//!
//! Everything can be read without the script; it adds the theme switch, copy buttons, the map and looking closer.
//!
//! Map: `model` is the data; `summary`, `methods`, `retrieval`, `evidence`, `map`, `similarities`, `confusion`,
//! `classes` and `details` are one section each; [`samples`] fills them from the embeddings of a run.

mod classes;
mod confusion;
mod details;
mod evidence;
mod map;
mod methods;
mod model;
mod retrieval;
pub mod samples;
mod similarities;
mod summary;

use crate::chart;
use crate::frame;
use crate::pictures::PictureStore;

pub use model::{
    Chart, ClassScore, ClassScores, ConfusedPair, Confusion, Curve, DataFacts, DataPart, EmbeddingMap, ExplainedPair,
    Hit, MapPoint, MethodRole, MethodRow, NextStep, Quantity, QueryKind, Ranking, ReferenceLine, Report, RetrievalGrid,
    RetrievalRow, Setting, SimilarityDistribution, Threshold, Warning,
};

impl Report {
    /// The whole report as one HTML document.
    ///
    /// Sections without data are left out, numbers that are not finite are shown as a dash, and equal pictures are
    /// stored once. The same report always gives the same text.
    #[must_use]
    pub fn to_html(&self) -> String {
        let mut pictures = PictureStore::default();
        let sections = [
            methods::section(&self.methods),
            chart::section("Learning curves", &self.charts),
            self.retrieval.as_ref().and_then(|grid| retrieval::section(grid, &mut pictures)),
            evidence::section(&self.explanations, &mut pictures),
            self.map.as_ref().and_then(map::section),
            self.classes.as_ref().and_then(|classes| classes::section(classes, &mut pictures)),
            self.confusion.as_ref().and_then(|confusion| confusion::section(confusion, &mut pictures)),
            similarities::section(&self.similarities),
            details::next_steps(&self.next_steps),
            self.data.as_ref().map(details::data),
            details::settings(&self.settings),
        ];
        let sections: Vec<_> = sections.into_iter().flatten().collect();
        frame::document(&self.title, "report", summary::head(self), &sections, &pictures)
    }
}
