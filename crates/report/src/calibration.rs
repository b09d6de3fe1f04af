//! What a score means: how often pairs are taken for the same, or missed, by threshold.

use serde::{Deserialize, Serialize};

use crate::frame::{self, intro};
use crate::pictures::PictureStore;
use crate::run::Chart;

/// Everything the page of a calibration shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CalibrationPage {
    /// Heading.
    pub title: String,
    /// The thresholds and what they were measured on, in a sentence.
    pub subtitle: String,
    /// With what the page was made.
    pub created: String,
    /// Error rates by threshold.
    pub charts: Vec<Chart>,
}

impl CalibrationPage {
    /// The whole page as one HTML document.
    #[must_use]
    pub fn to_html(&self) -> String {
        let sections: Vec<_> = crate::chart::section("Error rates", &self.charts).into_iter().collect();
        let head = intro(&self.title, &self.subtitle, &self.created);
        frame::document(&self.title, "calibration", head, &sections, &PictureStore::default())
    }
}
