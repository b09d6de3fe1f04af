//! The report of a run: one HTML file that a person can open, print, mail and keep.
//!
//! A table on a terminal says how good a model is; it does not show what the model sees. The report puts the numbers
//! beside the learning curves, the hardest classes and, above all, beside the pictures themselves: what the backbone
//! found before, what it finds now, and which of it is wrong.
//!
//! The file stands alone. Styles, script, charts and pictures are inside it, a content security policy forbids every
//! network access, and nothing but the copy buttons, the theme switch, the map and looking closer needs the script. Every
//! string that came from a user (class names, paths, settings) is escaped on its way out, see `escape`.
//!
//! The module does not measure anything and does not know the tensor engine: callers fill a [`Report`] with numbers
//! and encoded pictures and write the text of [`Report::to_html`] where they want it.
//!
//! Map: `model` is the data; `page` the frame of the document and the order of its sections; `summary`, `methods`,
//! `retrieval`, `explanation`, `map`, `similarities`, `confusion`, `classes` and `details` one section each; `chart` the line charts; `pictures` keeps each picture once;
//! `number` and `escape` turn values into text. `audit` is another page in the same style.

pub mod audit;
mod chart;
mod classes;
mod confusion;
mod details;
pub(crate) mod escape;
mod explanation;
mod map;
mod methods;
mod model;
pub(crate) mod number;
mod page;
mod pictures;
mod retrieval;
mod similarities;
mod summary;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod wellformed;

pub use model::{
    Chart, ClassScore, ClassScores, ConfusedPair, Confusion, Curve, DataFacts, DataPart, EmbeddingMap, Explanation,
    Hit, MapPoint, MethodRole, MethodRow, NextStep, Picture, PictureFormat, Quantity, QueryKind, Ranking,
    ReferenceLine, Report, RetrievalGrid, RetrievalRow, Setting, SimilarityDistribution, Threshold, Warning,
};

impl Report {
    /// The whole report as one HTML document.
    ///
    /// Sections without data are left out, numbers that are not finite are shown as a dash, and equal pictures are
    /// stored once. The same report always gives the same text.
    #[must_use]
    pub fn to_html(&self) -> String {
        page::Page(self).to_string()
    }
}
